"""The processes that answer questions about what strangers wrote.

Whatever a config, a header, a log or an answer of the Hub does to the process that reads
it, that process can be killed: at the time limit, and when nobody waits any more. Questions
that ask the Hub and those that read this machine have places of their own, so that a
silent Hub delays only those who asked it.
"""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from vllm_preflight.base.errors import error_of
from vllm_preflight.models import hub_reach
from vllm_preflight_server.mcp.own_process import LENGTH_BYTES, packed
from vllm_preflight_server.mcp.question import Answered

logger = logging.getLogger(__name__)

Report = Callable[[str], Awaitable[None]]

# Answers at a time: about what is here, and about what the Hub has, which mostly wait.
PLACES_HERE = 2
PLACES_HUB = 4
# Seconds after which a process that nobody needs is ended.
IDLE_S = 120.0
_COMMAND = (sys.executable, "-m", "vllm_preflight_server.mcp.own_process")


class ProcessEnded(Exception):
    """The process ended without an answer: killed by the kernel, or by somebody."""


class BugThere(Exception):
    """The question met a bug; the message is its traceback."""


@dataclass(frozen=True)
class Question:
    """What a process is asked."""

    tool: str
    arguments: Mapping[str, Any]
    folders: bool
    limit_s: float
    whole: bool = False


class Process:
    """One running process."""

    def __init__(self, running: anyio.abc.Process) -> None:
        assert running.stdin is not None and running.stdout is not None
        self._running = running
        self._stdin = running.stdin
        self._stdout = BufferedByteReceiveStream(running.stdout)
        self.free_since = 0.0

    @classmethod
    async def start(cls) -> Process:
        """A fresh process; its errors go where this one's go."""
        return cls(
            await anyio.open_process(
                _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
            )
        )

    async def ask(self, question: Question, report: Report) -> dict[str, Any]:
        """The last frame that comes back; raises ProcessEnded."""
        frame = {
            "tool": question.tool,
            "arguments": dict(question.arguments),
            "whole": question.whole,
            "folders": question.folders,
            "limit_s": question.limit_s,
            "hub": hub_reach.known(),
        }
        try:
            await self._stdin.send(packed(frame))
            while True:
                head = await self._stdout.receive_exactly(LENGTH_BYTES)
                body = await self._stdout.receive_exactly(int.from_bytes(head, "big"))
                answer: dict[str, Any] = json.loads(body)
                if "progress" not in answer:
                    return answer
                await report(answer["progress"])
        except (anyio.IncompleteRead, anyio.EndOfStream, OSError) as error:
            raise ProcessEnded from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise ProcessEnded from error

    async def kill(self) -> None:
        """End it at once, whatever it does, and close its pipes."""
        with anyio.CancelScope(shield=True), suppress(ProcessLookupError):
            if self._running.returncode is None:
                self._running.kill()
            await self._running.aclose()

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._running.returncode is None


@dataclass
class Places:
    """So many processes at most, started when needed; the last used is asked first."""

    most: int
    free: list[Process] = field(default_factory=list[Process])
    _limiter: anyio.Semaphore | None = None

    @asynccontextmanager
    async def process(self) -> AsyncGenerator[Process]:
        """A process for one question; killed unless the block ends well."""
        if self._limiter is None:
            # Made where the loop runs.
            self._limiter = anyio.Semaphore(self.most)
        async with self._limiter:
            await self._end_idle()
            process = self.free.pop() if self.free else await Process.start()
            try:
                yield process
            except BaseException:
                await process.kill()
                raise
            if process.is_alive:
                process.free_since = time.monotonic()
                self.free.append(process)

    async def _end_idle(self) -> None:
        longest_idle = time.monotonic() - IDLE_S
        idle = [process for process in self.free if process.free_since < longest_idle]
        self.free = [process for process in self.free if process not in idle]
        for process in idle:
            await process.kill()

    async def close(self) -> None:
        """End every process that is free."""
        while self.free:
            await self.free.pop().kill()


class Processes:
    """Where a server's questions about strangers' words are answered."""

    def __init__(self) -> None:
        self._here = Places(PLACES_HERE)
        self._hub = Places(PLACES_HUB)

    async def answer(self, question: Question, report: Report, *, asks_hub: bool) -> Answered:
        """The answer of a process to a question.

        Raises:
            PreflightError: the refusal of the process.
            BugThere: it met a bug.
            ProcessEnded: it ended without an answer.
        """
        places = self._hub if asks_hub else self._here
        async with places.process() as process:
            told = await process.ask(question, report)
            if told.get("retire"):
                await process.kill()
        hub_reach.restore(told["hub"])
        if "bug" in told:
            raise BugThere(told["bug"])
        if "refusal" in told:
            raise error_of(told["code"])(told["refusal"])
        picture = told["picture"]
        drawn = None if picture is None else base64.b64decode(picture)
        return Answered(told["answer"], told["drawn"], drawn)

    async def close(self) -> None:
        """End what is free; what is busy ends with its question."""
        await self._here.close()
        await self._hub.close()
