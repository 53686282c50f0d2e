"""Headless Chromium: a page's DOM after its script ran, and a host that shows the MCP App."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.quiet_http import QuietHTTPServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_LONGEST_S = 20
_HOST_PAGE = (
    '<!doctype html><meta charset="utf-8"><body style="margin: 0">'
    '<script type="module" src="/host.js"></script><img src="/held" alt="">'
)


def chromium(url: str, *options: str) -> str:
    """What Chromium prints for `url` after the page's load event."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", *options, url],
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=True,
        )
    return done.stdout


def play(host: Path, scenario: Mapping[str, Any], options: Sequence[str]) -> list[dict[str, Any]]:
    """Show a scenario in the host bundled at `host`; what the page sent, in order."""
    with _server(host, scenario) as (url, events):
        chromium(url, *options)
    return events


@contextmanager
def _server(host: Path, scenario: Mapping[str, Any]) -> Generator[tuple[str, list[dict[str, Any]]]]:
    events: list[dict[str, Any]] = []
    finished = threading.Event()
    pages = {
        "/": ("text/html", _HOST_PAGE.encode()),
        "/host.js": ("text/javascript", host.read_bytes()),
        "/scenario": ("application/json", json.dumps(scenario).encode()),
    }
    server = QuietHTTPServer(("127.0.0.1", 0), partial(_Handler, pages, events, finished))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", events
    finally:
        finished.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Serves the host; holds back one image, so that the page loads when all was played."""

    def __init__(
        self,
        pages: Mapping[str, tuple[str, bytes]],
        events: list[dict[str, Any]],
        finished: threading.Event,
        *args: Any,
    ) -> None:
        self.pages, self.events, self.finished = pages, events, finished
        super().__init__(*args)

    def do_GET(self) -> None:
        """A page, or the held image."""
        if self.path == "/held":
            self.finished.wait(_LONGEST_S)
        kind, body = self.pages.get(self.path, ("text/plain", b""))
        self._answer(200 if body else 404, kind, body)

    def do_POST(self) -> None:
        """One thing the page sent."""
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.events.append(event)
        self._answer(204, "text/plain", b"")
        if event["event"] == "teardown answered":
            self.finished.set()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
