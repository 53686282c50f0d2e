"""The HTTP server as clients and strangers meet it, in processes of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from mcp import Client

TOKEN = "correct-horse-battery-staple"
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
REVISIONS = (*HANDSHAKE, "2026-07-28")
COMMAND = (sys.executable, "-m", "vllm_preflight_server.cli", "serve", "--http", "--port", "0")
LIST_TOOLS: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int
    # What it wrote to stderr, once it has ended.
    errors: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def ask(
        self, method: str = "POST", path: str = "/mcp", body: bytes | None = None, **headers: str
    ) -> Answer:
        """One request with the usual headers; underscores in names stand for dashes."""
        usual = {"Host": f"127.0.0.1:{self.port}"}
        if method == "POST":
            usual |= {
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
            }
        given = usual | {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            seen = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, seen, response.read().decode())
        finally:
            connection.close()

    def list_tools(self, revision: str = "2025-11-25", **headers: str) -> Answer:
        """`tools/list` as `revision` sends it."""
        message = LIST_TOOLS
        if revision not in HANDSHAKE:
            message = {**LIST_TOOLS, "params": {"_meta": modern_meta(revision)}}
            headers = {"Mcp_Method": "tools/list", **headers}
        body = json.dumps(message).encode()
        return self.ask(body=body, MCP_Protocol_Version=revision, **headers)


def modern_meta(revision: str = "2026-07-28") -> dict[str, Any]:
    """What every message since 2026-07-28 carries."""
    prefix = "io.modelcontextprotocol/"
    return {f"{prefix}protocolVersion": revision, f"{prefix}clientCapabilities": {}}


@contextmanager
def served(*options: str, files: int | None = None, **environment: str) -> Generator[Server]:
    """`serve --http` on a free port until the block ends; it must then stop cleanly.

    With `files` it may open so many.
    """
    command = [*COMMAND, *options]
    if files is not None:
        command = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *command]
    process = subprocess.Popen(
        command,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    # Workers share the socket, which is bound before this line and listened on soon after.
    line = process.stderr.readline()
    found = re.search(r":(\d+)/mcp", line)
    assert found is not None, line + process.stderr.read()
    server = Server(process, int(found[1]))
    try:
        _wait_until_healthy(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        output, errors = process.communicate(timeout=300)
        server.errors = errors
    assert process.returncode == 0, errors
    assert output == ""
    assert "Traceback" not in errors


def _wait_until_healthy(server: Server) -> None:
    # The socket is open before a worker is there to take what comes.
    for _ in range(3):
        with suppress(TimeoutError):
            assert server.ask("GET", "/healthz").body == '{"status":"ok"}'
            return
    raise AssertionError("the server does not listen")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served() as running:
        yield running


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    options = ("--host", "0.0.0.0", "--allow-host", "plan.example.org")
    with served(*options, "--auth-token-env", "PLAN_TOKEN", PLAN_TOKEN=TOKEN) as running:
        yield running


@pytest.mark.design("5: every protocol revision the SDK speaks is served")
@pytest.mark.parametrize("revision", REVISIONS)
def test_every_revision_is_served(server: Server, revision: str) -> None:
    answer = server.list_tools(revision)
    assert answer.status == 200, answer
    assert '"plan_deployment"' in answer.body


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.org",
        "127.0.0.1.evil.example.org",
        "",
        "localhost:evil",
        "127.0.0.1:1, evil.org",
    ],
)
def test_another_host_is_misdirected(server: Server, host: str) -> None:
    assert server.list_tools(Host=host).status == 421


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "localhost:1234", "[::1]:80", "LOCALHOST", "localhost."]
)
def test_names_of_this_machine_are_served(server: Server, host: str) -> None:
    assert server.list_tools(Host=host).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example.org", "null", "http://localhost.evil.org"])
def test_pages_of_other_origins_are_refused(server: Server, origin: str) -> None:
    assert server.list_tools(Origin=origin).status == 403


def test_pages_of_this_machine_are_served(server: Server) -> None:
    assert server.list_tools(Origin="http://localhost:5173").status == 200


def test_only_json_is_taken(server: Server) -> None:
    assert server.list_tools(Content_Type="text/plain").status == 400


def test_a_client_must_accept_what_is_sent(server: Server) -> None:
    assert server.list_tools(Accept="text/html").status == 406


@pytest.mark.parametrize("body", [b"{", b"", b"[1, 2", b"\xff\xfe"])
def test_damaged_json_is_refused(server: Server, body: bytes) -> None:
    answer = server.ask(body=body, MCP_Protocol_Version="2025-11-25")
    assert answer.status == 400
    assert "Traceback" not in answer.body


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_batches_are_refused(server: Server, revision: str) -> None:
    body = json.dumps([LIST_TOOLS, LIST_TOOLS]).encode()
    answer = server.ask(body=body, MCP_Protocol_Version=revision, Mcp_Method="tools/list")
    assert answer.status == 400


def test_a_large_body_is_refused_by_what_it_declares(server: Server) -> None:
    answer = server.ask(body=b" " * (4 * 1024 * 1024 + 1))
    assert answer.status == 413
    assert "more than 4 MiB" in answer.body


def test_a_large_body_is_refused_while_it_arrives(server: Server) -> None:
    # Without a declared length, as a chunked upload comes.
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.putrequest("POST", "/mcp")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    try:
        for _ in range(65):
            connection.send(chunk)
        connection.send(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass  # It was refused before all of it was sent.
    assert connection.getresponse().status == 413
    connection.close()


def test_an_unknown_revision_is_refused_with_those_there_are(server: Server) -> None:
    answer = server.list_tools("2031-01-01")
    assert answer.status == 400
    error = json.loads(answer.body)["error"]
    assert error["code"] == -32022
    assert set(error["data"]["supported"]) >= {"2026-07-28"}


def test_headers_must_agree_with_the_body(server: Server) -> None:
    answer = server.list_tools("2026-07-28", Mcp_Method="tools/call")
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["code"] == -32020


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_server_without_sessions_offers_no_stream(server: Server, revision: str) -> None:
    answer = server.ask("GET", Accept="text/event-stream", MCP_Protocol_Version=revision)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (401, {}, b"{}"),
        (413, {"Authorization": f"Bearer {TOKEN}"}, b" " * (4 * 1024 * 1024 + 1)),
        (421, {"Authorization": f"Bearer {TOKEN}", "Host": "localhost, evil"}, b"{}"),
        (421, {"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}, b"{}"),
        (400, {"Authorization": f"Bearer {TOKEN}"}, b"{}"),
    ],
)
def test_a_refusal_below_api_is_a_problem(
    guarded: Server, status: int, headers: dict[str, str], body: bytes
) -> None:
    answer = guarded.ask(path="/api/plan", body=body, **headers)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    told = json.loads(answer.body)
    assert told["status"] == status
    assert told["code"] and told["detail"] and told["title"]
    assert TOKEN not in answer.body


def test_an_unknown_path_is_not_found(server: Server) -> None:
    assert server.ask("GET", "/nowhere").status == 404


def test_health_needs_no_token(guarded: Server) -> None:
    assert guarded.ask("GET", "/healthz").status == 200


def test_the_token_opens(guarded: Server) -> None:
    assert guarded.list_tools(Authorization=f"Bearer {TOKEN}").status == 200
    assert guarded.list_tools(Authorization=f"bearer {TOKEN}").status == 200


@pytest.mark.parametrize(
    "given", ["Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ", "Bearer"]
)
def test_another_token_does_not_open(guarded: Server, given: str) -> None:
    answer = guarded.list_tools(Authorization=given)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="vllm-preflight", error="invalid_token"'
    )
    assert TOKEN not in answer.body


def test_no_token_does_not_open(guarded: Server) -> None:
    answer = guarded.list_tools()
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="vllm-preflight"'


def test_only_allowed_hosts_are_served_beyond_loopback(guarded: Server) -> None:
    token = f"Bearer {TOKEN}"
    assert guarded.list_tools(Host="plan.example.org", Authorization=token).status == 200
    assert guarded.list_tools(Host="plan.example.org:8443", Authorization=token).status == 200
    assert guarded.list_tools(Host="other.example.org", Authorization=token).status == 421


@pytest.mark.parametrize("path", ["/", "/etc", "/etc/passwd", "~", "../..", "."])
def test_folders_are_not_read_for_others(guarded: Server, path: str) -> None:
    params = {"name": "inspect_model", "arguments": {"model": path}}
    message = {**LIST_TOOLS, "method": "tools/call", "params": params}
    answer = guarded.ask(body=json.dumps(message).encode(), Authorization=f"Bearer {TOKEN}")
    assert answer.status == 200
    # The same sentence whether there is such a file or not.
    assert "is neither a folder here nor a model id" in answer.body


@contextmanager
def listening(server: Server) -> Generator[http.client.HTTPResponse]:
    """A stream on which nothing will come, as 2026-07-28 opens it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=200)
    params = {"_meta": modern_meta(), "notifications": {"toolsListChanged": True}}
    message = {**LIST_TOOLS, "method": "subscriptions/listen", "params": params}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "subscriptions/listen",
    }
    try:
        connection.request("POST", "/mcp", json.dumps(message), headers)
        yield connection.getresponse()
    finally:
        connection.close()


def test_neither_streams_nor_slow_bodies_take_a_place() -> None:
    with (
        served("--max-concurrency", "1") as server,
        listening(server) as stream,
        listening(server) as busy,
        socket.create_connection(("127.0.0.1", server.port)) as slow,
    ):
        assert stream.status == 200
        assert busy.status == 503
        assert busy.getheader("Retry-After") == "1"
        slow.sendall(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        assert server.list_tools().status == 200
        assert server.ask("GET", "/healthz").status == 200


def test_two_workers_serve_every_revision() -> None:
    async def whole_conversation(url: str, mode: Any) -> str:
        async with Client(url, mode=mode) as client:
            tools = await client.list_tools()
            asked = {"vram_total_gib": 80}
            for _ in range(8):
                result = await client.call_tool("compute_overhead", asked)
                assert result.structured_content is not None, result
                assert result.structured_content["overhead_gib"] == 1.6
            assert len(tools.tools) >= 5
            return str(client.protocol_version)

    with served("--workers", "2") as server:
        for mode, revision in (("auto", "2026-07-28"), ("legacy", "2025-11-25")):
            assert anyio.run(whole_conversation, server.url, mode) == revision
        for revision in REVISIONS:
            # A new connection each time, so that either worker answers.
            assert {server.list_tools(revision).status for _ in range(8)} == {200}
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(150) == 0


def test_an_interrupt_stops_cleanly() -> None:
    with served() as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(150) == 0


def test_a_stream_that_is_open_does_not_hold_a_stopping_server() -> None:
    with served() as server, listening(server) as stream:
        assert stream.status == 200
        server.process.terminate()
        assert server.process.wait(150) == 0
