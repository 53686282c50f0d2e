"""The JSON API: the tools' answers, problems as RFC 9457, and a description that holds."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import anyio
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient
from tests.server.conftest import Ask

from vllm_preflight.artifacts.request import ALL_KINDS
from vllm_preflight.base.text import is_clean
from vllm_preflight_server.mcp.app import make_tools
from vllm_preflight_server.web.api import QUESTIONS, api_app, in_full
from vllm_preflight_server.web.wanted import CLIENT_LEFT, while_wanted
from vllm_preflight_server.web.warm import WarmUp
from vllm_preflight_server.web.worker import transport_security

MADE = make_tools()
TOOLS = {path: tool for path, name in QUESTIONS.items() for tool in MADE if tool.name == name}
APP = api_app(MADE, transport_security(()), WarmUp(MADE))
PLAN: dict[str, Any] = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 16}
LAUNCH: dict[str, Any] = {"command": "vllm serve Qwen/Qwen3-8B --swap-space 4", "gpu": "H100"}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("plan", PLAN),
    ("plan", {**PLAN, "gpu": "RTX 4090"}),
    ("check", LAUNCH),
    ("check", {"model": "Qwen/Qwen3-8B", "gpu": "L4", "vary": {"max_num_seqs": [64, 256]}}),
    ("compare", {"model": "Qwen/Qwen3-8B", "gpus": "L40S,H100", "concurrency": 4}),
    ("find-models", {"gpu": "L4", "family": "qwen3", "limit": 3}),
    ("explain", {"log": "torch.OutOfMemoryError: CUDA out of memory."}),
    ("inspect", {"model": "Qwen/Qwen3-8B"}),
    ("generate", {**PLAN, "kinds": ["serve"]}),
    ("overhead", {"vram_total_gib": 80, "tensor_parallel_size": 4}),
]


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(APP, base_url="http://localhost:8765") as client:
        yield client


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    return client.get("/api/openapi.json").json()


@pytest.mark.parametrize(("path", "question"), ASKED, ids=lambda value: str(value)[:40])
def test_answers_are_the_tools(
    path: str, question: dict[str, Any], client: TestClient, document: dict[str, Any], ask: Ask
) -> None:
    answered = client.post(f"/api/{path}", json=question)
    assert answered.status_code == 200, answered.text
    if "detail" in TOOLS[path].spec.request.model_fields:
        told = ask(QUESTIONS[path], in_full(question, TOOLS[path])).structured_content
        assert answered.json() == told
    # The description holds for what it describes.
    operation = document["paths"][f"/api/{path}"]["post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    whole = {**schema, "components": document["components"]}
    validator: Any = jsonschema.Draft202012Validator(whole)
    validator.validate(answered.json())


def test_files_come_as_one_archive(client: TestClient, document: dict[str, Any]) -> None:
    answered = client.post("/api/generate.zip", json=PLAN)
    assert answered.status_code == 200
    responses = document["paths"]["/api/generate.zip"]["post"]["responses"]
    assert list(responses["200"]["content"]) == [answered.headers["content-type"]]
    told = client.post("/api/generate", json={**PLAN, "kinds": list(ALL_KINDS)}).json()["files"]
    with zipfile.ZipFile(io.BytesIO(answered.content)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == told
    assert {"serve.sh", "README.md", "kubernetes.yaml"} <= told.keys()
    few = client.post("/api/generate.zip", json={**PLAN, "kinds": "serve"})
    with zipfile.ZipFile(io.BytesIO(few.content)) as archive:
        assert archive.namelist() == ["serve.sh"]
    refused = client.post("/api/generate.zip", json={**PLAN, "gpu": "RTX 4090", "gpus": 1})
    assert refused.status_code == 409 and refused.json()["code"] == "plan_refused"


def test_who_leaves_takes_the_question_along() -> None:
    stopped: list[str] = []

    async def work() -> Response:
        try:
            await anyio.sleep_forever()
            return Response()
        finally:
            stopped.append("work")

    async def left() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def asked() -> Response:
        return await while_wanted(Request({"type": "http"}, left), work)

    assert anyio.run(asked).status_code == CLIENT_LEFT and stopped == ["work"]


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "words"),
    [
        ("plan", {**PLAN, "gpu": "H1000"}, 404, "unknown_gpu", 'No GPU called "H1000"'),
        ("plan", {**PLAN, "model": "nobody/nothing"}, 404, "unknown_model", "nobody/nothing"),
        ("plan", {**PLAN, "concurency": 1}, 400, "invalid_request", "did you mean 'concurrency'"),
        ("plan", [1], 400, "invalid_request", "must be a JSON object"),
        ("plan", {**PLAN, "detail": "concise"}, 400, "invalid_request", "leave detail out"),
        ("generate", {**PLAN, "gpu": "T4", "gpus": 1}, 409, "plan_refused", ""),
        ("nothing", {}, 404, "invalid_request", "see /api/"),
    ],
)
def test_problems_say_what_is_wrong(
    path: str, body: object, status: int, code: str, words: str, client: TestClient
) -> None:
    answered = client.post(f"/api/{path}", json=body)
    assert answered.status_code == status, answered.text
    assert answered.headers["content-type"] == "application/problem+json"
    told = answered.json()
    assert (told["status"], told["code"], told["type"]) == (status, code, "about:blank")
    assert words in told["detail"]


def test_a_path_is_shown_as_it_may_be(client: TestClient) -> None:
    told = client.get("/api/%1b%5b31m%e2%80%ae").json()["detail"]
    assert is_clean(told)
    assert "\\x1b[31m\\u202e" in told


def test_only_json_is_read(client: TestClient) -> None:
    assert client.post("/api/plan", content=b"{", headers={"content-type": "text/plain"}).is_error
    sent = {"content-type": "application/json"}
    assert client.post("/api/plan", content=b"{", headers=sent).status_code == 400
    assert client.post("/api/plan", content=b" " * 5_000_000, headers=sent).status_code == 413
    deep = b"[" * 200_000
    assert client.post("/api/plan", content=deep, headers=sent).status_code == 400
    assert client.get("/api/plan").status_code == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:8765"}, 200),
    ],
)
def test_only_hosts_and_origins_that_are_served(
    headers: dict[str, str], status: int, client: TestClient
) -> None:
    assert client.get("/api/gpus", headers=headers).status_code == status
    assert client.post("/api/plan", json=PLAN, headers=headers).status_code == status


@pytest.mark.parametrize("name", ["models", "gpus", "openapi.json"])
def test_catalogues_are_sent_once(name: str, client: TestClient) -> None:
    first = client.get(f"/api/{name}")
    assert first.status_code == 200 and first.json()
    again = client.get(f"/api/{name}", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(f"/api/{name}", headers={"if-none-match": '"other"'})
    assert other.content == first.content


def test_the_page_lists_every_question(client: TestClient) -> None:
    page = client.get("/api/")
    assert "<script" not in page.text
    assert all(f"POST /api/{path}" in page.text for path in QUESTIONS)


def test_the_document_is_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    text = json.dumps(document)
    named = set(document["components"]["schemas"])
    used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= named


SCHEMA: Any = schemathesis.openapi.from_asgi(
    "/api/openapi.json",
    APP,
    headers={"Host": "localhost:8765"},
    config=SchemathesisConfig(),
)


@SCHEMA.include(path_regex="/api/(plan|check|overhead|models|gpus)$").parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_generated_requests_never_meet_a_bug(case: Any) -> None:
    answered = case.call(headers={"Host": "localhost:8765"})
    assert answered.status_code < 500, answered.text
