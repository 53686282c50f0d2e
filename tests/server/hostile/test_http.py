"""What a client does with its connections keeps nobody else out, and no promise is broken."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.server.web.test_http import LIST_TOOLS, Server, modern_meta, served

MANY = 300
SLOW = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{"


@contextmanager
def connections(server: Server, count: int, said: bytes = b"") -> Generator[list[socket.socket]]:
    """So many connections on which only that much is said."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(("127.0.0.1", server.port)))
            opened[-1].sendall(said)
        yield opened
    finally:
        for connection in opened:
            connection.close()


def _answers(server: Server) -> None:
    _wait_for(server)
    assert server.list_tools().status == 200


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"POST /mcp HTTP/1.1\r\nHost: loc",
        SLOW,
        b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
    ],
    ids=["idle", "headers", "bodies", "streams"],
)
def test_clients_that_wait_keep_nobody_out(said: bytes) -> None:
    with served() as server, connections(server, MANY, said):
        _answers(server)


def test_running_out_of_files_is_survived() -> None:
    with served() as server:
        (worker,) = _workers(server)
        # Fewer than it believes to have: accepting fails for want of files.
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (64, 64))
        with connections(server, 200):
            pass
        _wait_for(server)
    assert len(server.errors.splitlines()) < 60, server.errors


def test_more_connections_than_a_worker_takes_close_those_that_wait() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with served(files=300) as server, connections(server, min(500, soft - 200)):
        _answers(server)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_hanging_up_leaves_lines_and_no_tracebacks() -> None:
    with served() as server:
        for _ in range(40):
            with connections(server, 1, SLOW):
                pass
        question = json.dumps({**LIST_TOOLS, "method": "tools/list"}).encode()
        for _ in range(10):
            head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(question)}\r\n"
            kinds = "Content-Type: application/json\r\nAccept: application/json, text/event-stream"
            with connections(server, 1, f"{head}{kinds}\r\n\r\n".encode() + question):
                pass
        _answers(server)
    assert 1 <= len(server.errors.splitlines()) <= 20, server.errors
    assert "hung up" in server.errors


def _compare(server: Server, number: int, revision: str) -> Any:
    arguments = {"model": "Qwen/Qwen3-32B", "concurrency": number + 1}
    params: dict[str, Any] = {"name": "compare_hardware", "arguments": arguments}
    headers: dict[str, str] = {}
    if revision == "2026-07-28":
        params["_meta"] = modern_meta()
        headers = {"Mcp_Method": "tools/call", "Mcp_Name": "compare_hardware"}
    message = {**LIST_TOOLS, "method": "tools/call", "params": params}
    body = json.dumps(message).encode()
    return server.ask(body=body, MCP_Protocol_Version=revision, **headers)


@pytest.mark.parametrize(("revision", "workers"), [("2025-11-25", "1"), ("2026-07-28", "2")])
def test_what_is_in_flight_is_answered_before_the_end(revision: str, workers: str) -> None:
    answers: list[Any] = []
    with served("--workers", workers) as server:

        def ask(number: int) -> None:
            answers.append(_compare(server, number, revision))

        # What they load is loaded; then all of them are in flight at once.
        ask(100)
        asking = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in asking:
            thread.start()
        anyio.run(anyio.sleep, 0.6)
        server.process.terminate()
        for thread in asking:
            thread.join(300)
        assert server.process.wait(300) == 0
    assert len(answers) == 5
    assert all(answer.status == 200 and '"options"' in answer.body for answer in answers)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_ends_is_replaced(workers: int) -> None:
    with served("--workers", str(workers)) as server:
        _wait_until(lambda: len(_workers(server)) == workers)
        first = _workers(server)
        os.kill(first[0], signal.SIGKILL)
        _wait_until(lambda: len(_workers(server)) == workers and first[0] not in _workers(server))
        _wait_for(server)
        _answers(server)


def test_a_worker_that_does_not_answer_is_replaced() -> None:
    with served() as server:
        (worker,) = _workers(server)
        os.kill(worker, signal.SIGSTOP)
        _wait_until(lambda: worker not in _workers(server))
        _wait_for(server)
        _answers(server)


def _workers(server: Server) -> list[int]:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(child) for child in children.read_text(encoding="utf-8").split()]


def _wait_until(holds: Any) -> None:
    for _ in range(3_000):
        if holds():
            return
        anyio.run(anyio.sleep, 0.1)
    raise AssertionError("it never came")


def _wait_for(server: Server) -> None:
    def healthy() -> bool:
        try:
            return server.ask("GET", "/healthz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    _wait_until(healthy)
