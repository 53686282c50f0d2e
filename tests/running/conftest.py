"""A local server that speaks vLLM's endpoints."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler

import pytest
from tests.quiet_http import QuietHTTPServer

Serve = Callable[[Mapping[str, str]], str]


def version(text: str) -> str:
    return json.dumps({"version": text})


def models(model: str, length: int) -> str:
    own = {"id": "served", "root": model, "parent": None, "max_model_len": length}
    adapter = {"id": "adapter", "root": "/lora", "parent": "served", "max_model_len": None}
    return json.dumps({"object": "list", "data": [own, adapter]})


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve these texts by path on a port of this machine; the address."""
    running: list[QuietHTTPServer] = []

    def start(texts: Mapping[str, str]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = texts.get(self.path)
                if text is not None and text.startswith("302 "):
                    self.send_response(302)
                    self.send_header("Location", text.removeprefix("302 "))
                    self.end_headers()
                    return
                self.send_response(404 if text is None else 200)
                self.end_headers()
                self.wfile.write((text or "").encode())

            def log_message(self, *_args: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                return

        server = QuietHTTPServer(("127.0.0.1", 0), Handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
