"""A Hub that is silent, lies or bombs delays and misleads only who asked it."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult
from tests.quiet_http import QuietHTTPServer
from tests.server.conftest import text_of
from tests.server.hostile.conftest import Stdio
from tests.server.hostile.inputs import CONFIGS, ESCAPES, HEADERS, LLAMA

from vllm_preflight.base.text import is_clean
from vllm_preflight.models import hub_reach
from vllm_preflight.models.sources import forget_models, load_model
from vllm_preflight_server.mcp.app import build_server
from vllm_preflight_server.mcp.processes import Processes

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Answer = tuple[int, dict[str, str], bytes]


class Hub(QuietHTTPServer):
    """A Hub with the files of one test; `asked` are the requests it got."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], listing: Any = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.listing = listing or {
            "id": "org/model",
            "sha": COMMIT,
            "siblings": [{"rfilename": name, "size": len(data)} for name, data in files.items()],
        }
        self.asked: list[tuple[str, str | None]] = []
        self.silent = threading.Event()

    def answer(self, path: str, mark: str | None) -> Answer:
        self.asked.append((path, mark))
        if path.startswith("/api/"):
            if mark == '"one"':
                return 304, {}, b""
            return 200, {"ETag": '"one"'}, json.dumps(self.listing).encode()
        data = self.files.get(path.rpartition("/")[2])
        return (404, {}, b"") if data is None else (200, {}, data)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        hub = cast(Hub, self.server)
        if hub.silent.is_set():
            threading.Event().wait(60)
        status, headers, body = hub.answer(self.path, self.headers.get("If-None-Match"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@contextmanager
def serving(hub: Hub) -> Generator[str]:
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{hub.server_port}"
    finally:
        hub.shutdown()
        hub.server_close()


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("vllm_preflight.models.hub_client.is_offline", lambda: False)
    monkeypatch.setattr("vllm_preflight.models.sources.is_offline", lambda: False)
    forget_models()
    yield monkeypatch
    forget_models()


KINDS = {
    **{kind: {"config.json": CONFIGS[kind]} for kind in CONFIGS},
    **{
        f"header: {kind}": {
            "config.json": json.dumps(LLAMA).encode(),
            "model.safetensors": len(header).to_bytes(8, "little") + header,
        }
        for kind, header in HEADERS.items()
    },
    ESCAPES: {f"{ESCAPES}.safetensors": b""},
}


def test_what_the_hub_has_is_answered_or_refused() -> None:
    """One server, all kinds of repositories; it is up to date after each."""
    hub = Hub({})
    with serving(hub) as address:
        server = Stdio(HF_HUB_OFFLINE="0", HF_ENDPOINT=address)
        for number, files in enumerate(KINDS.values()):
            fresh = Hub(files)
            hub.files, hub.listing = fresh.files, {**fresh.listing, "id": f"org/model{number}"}
            fresh.server_close()
            answer = server.call("inspect_model", {"model": f"org/model{number}"})
            text = answer["result"]["content"][0]["text"]
            assert is_clean(text)
            assert "internal error" not in text
        server.close()


def test_a_kept_model_is_asked_for_conditionally(online: pytest.MonkeyPatch) -> None:
    hub = Hub({"config.json": json.dumps(LLAMA).encode()})
    with serving(hub) as address:
        online.setenv("HF_ENDPOINT", address)
        first = load_model("org/model")
        assert load_model("org/model") is first
        assert len(hub.asked) == 2
        online.setattr("vllm_preflight.models.sources._FRESH_S", 0.0)
        assert load_model("org/model") is first
        path, mark = hub.asked[2]
        assert path.startswith("/api/")
        assert mark == '"one"'
        assert len(hub.asked) == 3


def test_a_model_that_changed_is_read_again(online: pytest.MonkeyPatch) -> None:
    hub = Hub({"config.json": json.dumps(LLAMA).encode()})
    with serving(hub) as address:
        online.setenv("HF_ENDPOINT", address)
        online.setattr("vllm_preflight.models.sources._FRESH_S", 0.0)
        online.setattr("vllm_preflight.models.hub_client._MOST_ANSWERS", 0)
        first = load_model("org/model")
        hub.listing = {**hub.listing, "sha": COMMIT[::-1]}
        hub.files = {"config.json": json.dumps({**LLAMA, "num_hidden_layers": 2}).encode()}
        second = load_model("org/model")
        assert (len(first.architecture.layers), len(second.architecture.layers)) == (32, 2)


def test_a_silent_hub_delays_only_who_asked_it(online: pytest.MonkeyPatch) -> None:
    hub = Hub({})
    hub.silent.set()
    with serving(hub) as address:
        online.setenv("HF_ENDPOINT", address)
        own = Processes()
        stuck: list[CallToolResult] = []

        async def session() -> list[CallToolResult]:
            others: list[CallToolResult] = []
            async with Client(build_server(processes=own)) as client:

                async def ask(number: int) -> None:
                    model = f"nobody/knows-{number}"
                    stuck.append(await client.call_tool("inspect_model", {"model": model}))

                async with anyio.create_task_group() as group:
                    for number in range(60):
                        group.start_soon(ask, number)
                    await anyio.sleep(1)
                    # It needs no Hub, and none of their threads, places or processes.
                    overhead = {"vram_total_gib": 80}
                    others.append(await client.call_tool("compute_overhead", overhead))
                    assert not stuck
                qwen = {"model": "Qwen/Qwen3-8B"}
                others.append(await client.call_tool("inspect_model", qwen))
            await own.close()
            return others

        meanwhile, known = anyio.run(session)
    assert not meanwhile.is_error
    assert not known.is_error
    assert "did not answer" in text_of(known) or "cannot be reached" in text_of(known)
    # The first waited for it; the others were told.
    assert len(stuck) == 60
    told = [answer for answer in stuck if "a moment ago" in text_of(answer)]
    assert len(told) >= 50


def test_what_is_remembered_of_models_is_bounded() -> None:
    for number in range(1_000):
        hub_reach.found_refused(f"org/model{number}", "gated")
    assert len(hub_reach.known()["refused"]) <= 100
    hub_reach.forget_away()
