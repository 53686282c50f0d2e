"""A Hub of our own on this machine, for a real client to talk to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import close_session, constants
from tests.quiet_http import QuietHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeRepository:
    """A model repository: its files, and what its listing says beside them."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    elements: dict[str, int] | None = None
    gated: str | bool = False
    commit: str = COMMIT
    revisions: tuple[str, ...] = ("main",)
    # Where a file's bytes really are: another path, or another server.
    redirects: dict[str, str] = field(default_factory=dict[str, str])
    renamed_to: str = ""


class FakeHub:
    """The endpoints of the Hub that clients use, with what can go wrong with them.

    `failure` replaces every answer: an HTTP status, "hang" (no answer), "drip" (a byte
    now and then), "html" (a sign-in page) or "endless" (more bytes than anyone wants).
    """

    def __init__(self) -> None:
        self.repositories: dict[str, FakeRepository] = {}
        self.tokens: set[str] = set()
        self.failure: int | str | None = None
        # (method, path with query, headers) of every request.
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.closing = threading.Event()
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self._server = QuietHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def paths(self) -> list[str]:
        """The paths of all requests so far, without their queries."""
        return [urlsplit(path).path for _, path, _ in self.requests]

    def stop(self) -> None:
        """Refuse connections from now on."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_hub: FakeHub

    def do_GET(self) -> None:
        hub = self.server_hub
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.requests.append((self.command, self.path, headers))
        if hub.failure is not None:
            self._fail(hub.failure)
            return
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/models/"):
            self._listing(path.removeprefix("/api/models/"))
        elif "/resolve/" in path:
            self._file(path.removeprefix("/"))
        else:
            self._send(404, b"{}")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def _listing(self, path: str) -> None:
        name, _, revision = path.partition("/revision/")
        repository = self.server_hub.repositories.get(name)
        if repository is None:
            # As the Hub does: who is not known learns nothing of what exists.
            status = 404 if self._authorized() else 401
            self._send(status, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif repository.renamed_to:
            self._send(307, b"", {"Location": f"/api/models/{repository.renamed_to}"})
        elif revision not in ("", repository.commit, *repository.revisions):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            answer: dict[str, Any] = {
                "id": name,
                "sha": repository.commit,
                "gated": repository.gated,
                "siblings": [
                    {"rfilename": file, "size": len(content)}
                    for file, content in repository.files.items()
                ],
            }
            if repository.elements is not None:
                total = sum(repository.elements.values())
                answer["safetensors"] = {"parameters": repository.elements, "total": total}
            self._send(200, json.dumps(answer).encode())

    def _file(self, path: str) -> None:
        name, _, rest = path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        repository = self.server_hub.repositories[name]
        commit = {"X-Repo-Commit": repository.commit}
        if repository.gated and not self._authorized():
            status = 403 if "Authorization" in self.headers else 401
            self._send(status, b"{}", {"X-Error-Code": "GatedRepo"})
        elif revision not in (repository.commit, *repository.revisions):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif file not in repository.files:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound", **commit})
        elif file in repository.redirects:
            self._send(302, b"", {"Location": repository.redirects[file]})
        else:
            content = repository.files[file]
            wanted = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            if wanted[1]:
                content = content[int(wanted[0]) : int(wanted[2]) + 1]
            etag = f'"{file}-{len(content)}"'
            self._send(206 if wanted[1] else 200, content, {"ETag": etag, **commit})

    def _authorized(self) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return token in self.server_hub.tokens

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        # A kept connection would be dropped when the server stops, and mask its refusal.
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except OSError:
                return  # The client had enough.

    def _fail(self, failure: int | str) -> None:
        closing = self.server_hub.closing
        self.close_connection = True
        if isinstance(failure, int):
            self._send(failure, b"<h1>no</h1>")
        elif failure == "html":
            self._send(200, b"<html>Please sign in</html>")
        elif failure == "hang":
            closing.wait(30)
        elif failure == "drip":
            try:
                while not closing.wait(0.05):
                    self.wfile.write(b"H")
                    self.wfile.flush()
            except OSError:
                return
        elif failure == "endless":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                until = time.monotonic() + 10
                while time.monotonic() < until and not closing.is_set():
                    self.wfile.write(b" " * 2**20)
            except OSError:
                return


@pytest.fixture
def hub(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A running Hub that HF_ENDPOINT points to, with an empty cache and no token."""
    del hub_home
    server = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    yield server
    server.stop()
    for thread in threading.enumerate():
        if thread.name == "hub-request":
            thread.join(5)
    close_session()


@pytest.fixture
def other_hub() -> Iterator[FakeHub]:
    """A second server, which nothing points to."""
    server = FakeHub()
    yield server
    server.stop()


@pytest.fixture
def make_repository() -> type[FakeRepository]:
    """The class of a Hub's repositories."""
    return FakeRepository


@pytest.fixture
def hub_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of huggingface_hub's: no cache, no token, nothing switched off."""
    home = tmp_path / "hf_home"
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # Nobody is there.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    return home
