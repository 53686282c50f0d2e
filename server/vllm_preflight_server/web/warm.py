"""The engine made ready for the live page, before its first question is typed."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import anyio.to_thread

from vllm_preflight.models.catalog.entries import catalog_ids
from vllm_preflight_server.mcp.tool import PlannerTool

# A question that the address holds is asked at once.
_AFTER_S = 0.3
_LOOKS_AGAIN_S = 0.05
# What the page asks, each of which loads something that the others do not.
_QUESTIONS: Mapping[str, Mapping[str, Any]] = {
    "plan_deployment": {"model": "Qwen/Qwen3-8B", "gpu": "H100"},
    "compare_hardware": {"model": "Qwen/Qwen3-8B", "prices": "list"},
}
# One of each generation: what is worked out for it serves the others of its kind.
_GPUS = ("RTX 3090", "RTX 4090", "H100")


class WarmUp:
    """Loads in the background, once, what first questions would wait for.

    It does so in small steps, and none while a question is being answered.
    """

    def __init__(self, tools: Sequence[PlannerTool]) -> None:
        self._tools = [tool for tool in tools if tool.name in _QUESTIONS]
        self._questions = 0
        # The loop itself does not keep its tasks.
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin, unless it was begun before; called in the event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._load())

    @contextmanager
    def waiting(self) -> Generator[None]:
        """While a question is answered."""
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1

    async def _load(self) -> None:
        await asyncio.sleep(_AFTER_S)
        for tool in self._tools:
            await self._turn()
            try:
                await tool.answer(tool.read(dict(_QUESTIONS[tool.name])), _silent)
            except Exception as error:
                # The page works without; a bug is logged.
                tool.problem(error)
        for gpu in _GPUS:
            for identifier in catalog_ids():
                await self._turn()
                await anyio.to_thread.run_sync(_judge_model, identifier, gpu)

    async def _turn(self) -> None:
        while self._questions:
            await asyncio.sleep(_LOOKS_AGAIN_S)


def _judge_model(identifier: str, gpu: str) -> None:
    from vllm_preflight.contract.find import FindRequest
    from vllm_preflight.hardware.select import select_hardware
    from vllm_preflight.recommend.discovery import prepare

    request = FindRequest(gpu=gpu)
    prepare(identifier, request, select_hardware(request))


async def _silent(message: str) -> None:
    del message
