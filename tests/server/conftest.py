"""Asking the server and the command line, as a client and as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent, Tool

from vllm_preflight_server.mcp.app import build_server

Era = Literal["auto", "legacy"]
Ask = Callable[..., CallToolResult]
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["auto", "legacy"], ids=["modern", "handshake"])
def era(request: pytest.FixtureRequest) -> Era:
    """Both ways a client opens a session: 2026-07-28, and the handshake before it."""
    return request.param


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Call one tool over an in-memory session; the same question is asked once."""
    server = build_server()
    answers: dict[str, CallToolResult] = {}

    def call(tool: str, arguments: dict[str, Any], era: Era = "auto") -> CallToolResult:
        async def session() -> CallToolResult:
            async with Client(server, mode=era) as client:
                return await client.call_tool(tool, arguments)

        question = repr((tool, arguments, era))
        if question not in answers:
            answers[question] = anyio.run(session)
        return answers[question]

    return call


@pytest.fixture(scope="session")
def tools() -> dict[str, Tool]:
    """The tools as a client lists them."""

    async def session() -> list[Tool]:
        async with Client(build_server()) as client:
            return (await client.list_tools()).tools

    return {tool.name: tool for tool in anyio.run(session)}


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Run `vllm-preflight` in a process of its own, without colours or a GPU."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "PYTHONIOENCODING": "utf-8",
        "CUDA_VISIBLE_DEVICES": "",
    }

    def run(
        *arguments: str, command: Sequence[str] = (), **options: Any
    ) -> subprocess.CompletedProcess[str]:
        words = [*(command or (sys.executable, "-m", "vllm_preflight_server.cli")), *arguments]
        return subprocess.run(
            words,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
            env=environment,
            **options,
        )

    return run


def text_of(result: CallToolResult) -> str:
    """The one text block of a result."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text
