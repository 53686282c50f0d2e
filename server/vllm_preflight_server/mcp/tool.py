"""A tool made of a request model and an engine function that answers with a report.

The SDK's own way from function to tool ignores unknown arguments, publishes nested
schemas and wraps errors (mcp 2.3); this one is flat and strict, and every failure a
user can cause is a complete sentence in an `isError` result.
"""

from __future__ import annotations

import base64
import itertools
import json
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import PrivateAttr

from vllm_preflight.base.cancellation import check_stop, stoppable
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.base.strangers import (
    NeedsOwnProcess,
    without_folders,
    without_strangers,
)
from vllm_preflight.base.text import presentable
from vllm_preflight.contract.request import RequestModel, validate_request
from vllm_preflight.contract.text import as_markdown
from vllm_preflight_server.mcp.arguments import published
from vllm_preflight_server.mcp.processes import ProcessEnded, Processes, Question
from vllm_preflight_server.mcp.question import Answered, ToolSpec, answer_question
from vllm_preflight_server.mcp.remembered import Remembered, stands_alone
from vllm_preflight_server.mcp.schema import input_schema, output_schema

_MOST_THREADS = 2
logger = logging.getLogger(__name__)

# Where the page looks for what it draws, beside the structured answer.
PAGE_META = "vllm-preflight/page"
# Some clients give up after 60 s; the engine's slowest answer (a Hub read) takes 10 s.
CALL_LIMIT_S = 30.0


@dataclass(frozen=True)
class Problem:
    """Why there is no answer: a stable code, and a sentence for whoever asked."""

    code: str
    detail: str


class PlannerTool(Tool):
    """A `Tool` that runs a `ToolSpec`."""

    spec: Any
    limit_s: float
    folders: bool
    processes: Any
    _remembered: Remembered[CallToolResult] = PrivateAttr(
        default_factory=lambda: Remembered[CallToolResult]()
    )
    # More threads that compute would only take turns, and the event loop's with them.
    _threads: anyio.CapacityLimiter = PrivateAttr(
        default_factory=lambda: anyio.CapacityLimiter(_MOST_THREADS)
    )

    async def run(
        self, arguments: dict[str, Any], context: Any, convert_result: bool = False
    ) -> Any:
        """The answer as text and structure, or an `isError` result with one sentence."""
        steps = itertools.count(1)

        async def report(message: str) -> None:
            await context.report_progress(next(steps), None, presentable(message))

        try:
            request = self.read(arguments)
            alone = stands_alone(request)
            if alone and (kept := self._remembered.get(request)) is not None:
                return kept
            answered = await self.answer(request, report)
            result = _success(answered)
        except Exception as error:
            return _failure(self.problem(error).detail)
        if alone and answered.picture is None:
            self._remembered.keep(request, result)
        return result

    def read(self, arguments: dict[str, Any]) -> RequestModel:
        """The arguments as the tool's request; InvalidRequest in a sentence."""
        return validate_request(self.spec.request, self._without_nulls(arguments))

    def problem(self, error: Exception) -> Problem:
        """What to tell whoever asked of a failure; one that is a bug is logged here."""
        if isinstance(error, PreflightError):
            return Problem(error.code, presentable(str(error)))
        if isinstance(error, TimeoutError):
            return Problem(
                "timeout",
                f"{self.name} took longer than {self.limit_s:g} s and was stopped. "
                "Ask again with a model of the catalogue, a local folder or a shorter log.",
            )
        if isinstance(error, ProcessEnded):
            return Problem(
                "stopped",
                f"{self.name} took more time or memory than an answer may and was stopped. "
                "Ask again with a model of the catalogue, a smaller folder or a shorter log.",
            )
        logger.error("%s failed unexpectedly", self.name, exc_info=error)
        return Problem(
            "internal_error",
            f"{self.name} met an internal error; this is a bug in vllm-preflight. "
            "The server's log on stderr has the details.",
        )

    async def answer(
        self,
        request: RequestModel,
        report: Callable[[str], Coroutine[Any, Any, None]],
        *,
        whole: bool = False,
    ) -> Answered:
        """The answer, worked out here, or in a process where strangers' words decide it.

        `whole` leaves nothing out, whatever the tool shortens for a conversation.

        Raises:
            PreflightError: a value, model, Hub or GPU problem, in a sentence.
            TimeoutError: it took longer than `limit_s`.
            ProcessEnded: its process took more than it may.
        """
        with anyio.fail_after(self.limit_s):
            if self.processes is None:
                return cast(Answered, await self._in_thread(request, report, whole))
            with without_strangers():
                answered = await self._in_thread(request, report, whole)
            if not isinstance(answered, NeedsOwnProcess):
                return answered
            question = Question(
                self.name,
                request.model_dump(mode="json", exclude_unset=True),
                folders=self.folders,
                limit_s=self.limit_s,
                whole=whole,
            )
            return await self.processes.answer(question, report, asks_hub=answered.asks_hub)

    async def _in_thread(
        self,
        request: RequestModel,
        report: Callable[[str], Coroutine[Any, Any, None]],
        whole: bool,
    ) -> Answered | NeedsOwnProcess:
        """What a worker thread answers, which ends when the caller gives up."""
        stop = threading.Event()

        def progress(message: str) -> None:
            check_stop()
            anyio.from_thread.run(report, message)

        def work() -> Answered | NeedsOwnProcess:
            try:
                with stoppable(stop), nullcontext() if self.folders else without_folders():
                    return answer_question(self.spec, request, progress, whole=whole)
            except NeedsOwnProcess as needed:
                return needed

        try:
            return await anyio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._threads
            )
        finally:
            stop.set()

    def _without_nulls(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments with nulls left out, and JSON text parsed, as models really send them."""
        fields = self.spec.request.model_fields
        parsed = {
            key: _parsed(value) if key in fields and fields[key].annotation is not str else value
            for key, value in arguments.items()
        }
        return {key: value for key, value in parsed.items() if value is not None}


def _parsed(value: object) -> object:
    """A list, object or null that came as its JSON text; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return value if isinstance(parsed, str | int | float) else parsed


def _success(answered: Answered) -> CallToolResult:
    text = TextContent(type="text", text=as_markdown(answered.structured))
    picture, drawn = answered.picture, answered.drawn
    return CallToolResult(
        content=[text] if picture is None else [text, _image(picture)],
        structured_content=answered.structured,
        _meta={PAGE_META: drawn} if drawn else None,
    )


def _failure(sentence: str) -> CallToolResult:
    text = TextContent(type="text", text=presentable(sentence))
    return CallToolResult(content=[text], is_error=True)


def _image(png: bytes) -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(png).decode(), mime_type="image/png")


def make_tool(
    spec: ToolSpec[Any],
    limit_s: float = CALL_LIMIT_S,
    *,
    folders: bool = True,
    processes: Processes | None = None,
) -> PlannerTool:
    """The SDK tool of `spec`, with a flat strict input schema and an output schema.

    A call that takes longer than `limit_s` seconds is stopped and answered with an error.
    Without `folders` a model is never taken for a path of this machine. With `processes`
    what strangers wrote is read there, and not in this process.
    """
    # `run` reads the arguments itself; the SDK's own model of them is not used.
    metadata = FuncMetadata(arg_model=ArgModelBase, output_schema=output_schema(spec.report))
    return PlannerTool(
        fn=spec.answer,
        name=spec.name,
        title=spec.title,
        description=spec.description,
        parameters={
            "type": "object",
            "properties": {},
            **input_schema(spec.request, published(spec.name, spec.request)),
        },
        fn_metadata=metadata,
        is_async=True,
        context_kwarg=None,
        annotations=ToolAnnotations(
            read_only_hint=True,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=spec.open_world,
        ),
        meta={"ui": {"resourceUri": spec.page}} if spec.page else None,
        spec=spec,
        limit_s=limit_s,
        folders=folders,
        processes=processes,
    )
