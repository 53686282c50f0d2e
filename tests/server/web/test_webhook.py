"""The validating webhook: what would not start is not admitted, what is not known is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight_server.mcp.app import build_server
from vllm_preflight_server.mcp.processes import Processes
from vllm_preflight_server.web.settings import HttpSettings
from vllm_preflight_server.web.worker import http_app

FOLDER = Path(__file__).parents[2] / "data" / "manifests"


def _object(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def _client(settings: HttpSettings) -> TestClient:
    app, _ = http_app(build_server(None), settings, Processes())
    return TestClient(app)


@pytest.fixture
def client() -> TestClient:
    return _client(HttpSettings(webhook=True))


def _review(client: TestClient, thing: object) -> dict[str, Any]:
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    answer = client.post("/validate", json={**review, "request": {"uid": "u-1", "object": thing}})
    assert answer.status_code == 200
    body = answer.json()
    assert body["kind"] == "AdmissionReview" and body["response"]["uid"] == "u-1"
    return body["response"]


def test_only_what_would_not_start_is_refused(client: TestClient) -> None:
    assert _review(client, _object("good.yaml"))["allowed"] is True
    refused = _review(client, _object("bad.yaml"))
    assert refused["allowed"] is False and "does not start" in refused["status"]["message"]


def test_gpus_that_do_not_add_up_are_refused(client: TestClient) -> None:
    thing = _object("good.yaml")
    thing["spec"]["template"]["spec"]["containers"][0]["args"] += ["-tp", "4"]
    refused = _review(client, thing)
    assert refused["allowed"] is False and "needs 4 GPUs" in refused["status"]["message"]


def test_what_is_not_known_is_admitted_with_a_warning(client: TestClient) -> None:
    thing = _object("good.yaml")
    del thing["spec"]["template"]["spec"]["nodeSelector"]
    admitted = _review(client, thing)
    assert admitted["allowed"] is True and "which GPU" in admitted["warnings"][0]
    assert _review(client, {"kind": "Service"}) == {"uid": "u-1", "allowed": True}
    assert _review(client, None)["allowed"] is True


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"request": 1}', b"[" * 100_000])
def test_what_is_no_review_is_a_bad_request(client: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.post("/validate", content=body, headers=headers).status_code == 400
    assert client.post("/validate", content=json.dumps({"request": {}})).status_code == 400


def test_it_is_off_unless_asked_for() -> None:
    client = _client(HttpSettings())
    assert client.post("/validate", json={"request": {}}).status_code == 404
    with pytest.raises(InvalidRequest, match="--tools"):
        HttpSettings(webhook=True, tools=("plan_deployment",)).checked()
