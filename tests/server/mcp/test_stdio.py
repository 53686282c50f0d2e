"""The server as clients start it: a process that speaks JSON-RPC on stdin and stdout."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from vllm_preflight import __version__

SERVE = ["-m", "vllm_preflight_server.cli", "serve"]
OVERHEADS = [
    ({"vram_total_gib": 24}, 1.0),
    ({"vram_total_gib": 80}, 1.6),
    ({"vram_total_gib": 24, "tensor_parallel_size": 2}, 1.25),
    ({"vram_total_gib": 80, "tensor_parallel_size": 4}, 2.35),
    ({"vram_total_gib": 640, "tensor_parallel_size": 8, "overhead_gb": 2.5}, 2.5),
]
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    """The server, waiting for its first message."""
    process = subprocess.Popen(
        [sys.executable, *SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    with process:
        yield process
        process.kill()


def test_a_real_client_gets_the_known_overheads() -> None:
    async def session() -> list[dict[str, Any] | None]:
        parameters = StdioServerParameters(command=sys.executable, args=SERVE)
        async with Client(parameters) as client:
            return [
                (await client.call_tool("compute_overhead", arguments)).structured_content
                for arguments, _ in OVERHEADS
            ]

    answers = anyio.run(session)
    assert [answer and answer["overhead_gib"] for answer in answers] == [
        gib for _, gib in OVERHEADS
    ]


def test_stdout_carries_json_rpc_only_and_end_of_input_ends_well(
    server: subprocess.Popen[str],
) -> None:
    answer = _ask(server, INITIALIZE)
    assert answer["result"]["serverInfo"] == {
        "name": "vllm-preflight",
        "title": "vLLM preflight",
        "version": __version__,
        "description": answer["result"]["serverInfo"]["description"],
    }
    assert "plan_deployment" in answer["result"]["instructions"]
    _tell(server, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    arguments = {"model": "Qwen/Qwen3-32B", "gpu": "H100"}
    plan = _ask(server, _call(2, "plan_deployment", arguments))
    assert plan["result"]["structuredContent"]["feasibility"]["fits"] is True
    refused = _ask(server, _call(3, "plan_deployment", {"model": "/no/folder"}))
    assert refused["result"]["isError"] is True
    stdout, stderr = server.communicate(timeout=20)
    assert stdout == ""
    assert "Traceback" not in stderr
    assert server.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_at_once(
    server: subprocess.Popen[str], number: signal.Signals
) -> None:
    _ask(server, INITIALIZE)
    server.send_signal(number)
    assert server.wait(timeout=10) == 128 + number
    assert server.stderr is not None
    assert "Traceback" not in server.stderr.read()


def _call(number: int, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    parameters = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": parameters}


def _tell(server: subprocess.Popen[str], message: dict[str, Any]) -> None:
    assert server.stdin is not None
    server.stdin.write(json.dumps(message) + "\n")
    server.stdin.flush()


def _ask(server: subprocess.Popen[str], message: dict[str, Any]) -> dict[str, Any]:
    """Send a request; the next line of stdout is its answer."""
    _tell(server, message)
    assert server.stdout is not None
    answer: dict[str, Any] = json.loads(server.stdout.readline())
    assert answer["jsonrpc"] == "2.0" and answer["id"] == message["id"]
    return answer
