"""Real servers for hostile input: stdio, HTTP with one worker, HTTP with two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.server.hostile.inputs import hostile_folders
from tests.server.web.test_http import Server, served

SERVE = [sys.executable, "-m", "vllm_preflight_server.cli", "serve"]


class Asked(Protocol):
    """A server that one question can be put to; the answer is the message that came back."""

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]: ...


class Stdio:
    """A server on pipes."""

    def __init__(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            SERVE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        )
        self._number = 0
        client = {"name": "test", "version": "1"}
        self.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        self.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.send(json.dumps(message).encode())
        answer = self.receive()
        assert answer["id"] == self._number
        return answer

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return self.ask("tools/call", name=tool, arguments=arguments)

    def close(self) -> None:
        _, errors = self.process.communicate(timeout=300)
        assert self.process.returncode == 0
        assert b"Traceback" not in errors, errors.decode()


class Http:
    """A server over HTTP."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        params = {"name": tool, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = self.server.ask(
            body=json.dumps(message).encode(), MCP_Protocol_Version="2025-11-25"
        )
        assert answer.status == 200, answer
        data = [line[6:] for line in answer.body.splitlines() if line.startswith("data: {")]
        return json.loads(data[-1])


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return hostile_folders(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def stdio() -> Iterator[Stdio]:
    server = Stdio()
    yield server
    server.close()


@pytest.fixture(scope="module", params=["stdio", "one worker", "two workers"])
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    """Every kind of server, which must still stop cleanly at the end."""
    if request.param == "stdio":
        server = Stdio()
        yield server
        server.close()
        return
    workers = "1" if request.param == "one worker" else "2"
    running: AbstractContextManager[Server] = served("--workers", workers)
    with running as http:
        yield Http(http)
