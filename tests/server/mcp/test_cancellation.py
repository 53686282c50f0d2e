"""Calls that are given up or take too long: their work stops too."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.types import TextContent

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.overhead import OverheadReport, OverheadRequest
from vllm_preflight.questions.overhead import overhead_report
from vllm_preflight_server.mcp.question import Progress, ToolSpec
from vllm_preflight_server.mcp.tool import make_tool

ARGUMENTS = {"vram_total_gib": 80}


class Endless:
    """A tool that works until it is stopped, and shows that it does."""

    def __init__(self) -> None:
        self.steps = 0
        self.ended = threading.Event()

    def answer(self, request: OverheadRequest, progress: Progress) -> Report:
        try:
            while self.steps < 2_000:
                check_stop()
                self.steps += 1
                time.sleep(0.005)
        finally:
            self.ended.set()
        return overhead_report(request)

    def answer_with_progress(self, request: OverheadRequest, progress: Progress) -> Report:
        try:
            while self.steps < 2_000:
                self.steps += 1
                progress(f"step {self.steps}")
                time.sleep(0.005)
        finally:
            self.ended.set()
        return overhead_report(request)

    def server(self, limit_s: float, *, reporting: bool = False) -> MCPServer:
        spec = ToolSpec(
            name="work",
            title="Works for long",
            description="Works until it is stopped.",
            request=OverheadRequest,
            report=OverheadReport,
            answer=self.answer_with_progress if reporting else self.answer,
        )
        return MCPServer("endless", tools=[make_tool(spec, limit_s)])


@contextmanager
def within(seconds: float) -> Generator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.mark.parametrize("reporting", [False, True], ids=["silent", "reporting"])
def test_a_call_that_is_given_up_stops_working(era: Any, reporting: bool) -> None:
    tool = Endless()

    async def give_up() -> None:
        async with Client(tool.server(30, reporting=reporting), mode=era) as client:
            with anyio.move_on_after(0.3) as scope:
                await client.call_tool("work", ARGUMENTS)
            assert scope.cancelled_caught
            assert await anyio.to_thread.run_sync(tool.ended.wait, 20)

    with within(20):
        anyio.run(give_up)
    assert 0 < tool.steps < 1_000


def test_a_call_over_its_time_limit_is_answered_and_stops_working(era: Any) -> None:
    tool = Endless()

    async def wait() -> str:
        async with Client(tool.server(0.3), mode=era) as client:
            result = await client.call_tool("work", ARGUMENTS)
            assert result.is_error
            assert await anyio.to_thread.run_sync(tool.ended.wait, 20)
            (content,) = result.content
            assert isinstance(content, TextContent)
            return content.text

    with within(20):
        assert anyio.run(wait).startswith("work took longer than 0.3 s and was stopped.")
    assert 0 < tool.steps < 1_000


def test_other_calls_are_answered_meanwhile() -> None:
    tool = Endless()

    async def both() -> float:
        taken = 60.0
        async with Client(tool.server(30)) as client, anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "work", ARGUMENTS)
            await anyio.sleep(0.1)
            started = time.monotonic()
            await client.list_tools()
            taken = time.monotonic() - started
            group.cancel_scope.cancel()
        return taken

    assert anyio.run(both) < 10
    assert tool.ended.wait(20)
