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
from vllm_preflight.contract.request import RequestModel, validate_request
from vllm_preflight.contract.text import as_markdown
from vllm_preflight_server.mcp.arguments import published
from vllm_preflight_server.mcp.processes import ProcessEnded, Processes, Question
from vllm_preflight_server.mcp.question import Answered, ToolSpec, answer_question
from vllm_preflight_server.mcp.remembered import Remembered, stands_alone
from vllm_preflight_server.mcp.schema import input_schema, output_schema

logger = logging.getLogger(__name__)

# Longer texts are cut by some clients; a sentence never needs more.
_LONGEST_ERROR = 2_000
# Some clients give up after 60 s; the engine's slowest answer (a Hub read) takes 10 s.
CALL_LIMIT_S = 30.0


class PlannerTool(Tool):
    """A `Tool` that runs a `ToolSpec`."""

    spec: Any
    limit_s: float
    folders: bool
    processes: Any
    _remembered: Remembered[CallToolResult] = PrivateAttr(
        default_factory=lambda: Remembered[CallToolResult]()
    )

    async def run(
        self, arguments: dict[str, Any], context: Any, convert_result: bool = False
    ) -> Any:
        """The answer as text and structure, or an `isError` result with one sentence."""
        try:
            request = validate_request(self.spec.request, self._without_nulls(arguments))
            alone = stands_alone(request)
            if alone and (kept := self._remembered.get(request)) is not None:
                return kept
            with anyio.fail_after(self.limit_s):
                structured, image = await self._answered(request, context)
            result = _success(structured, image)
        except PreflightError as error:
            return _failure(f"{error}")
        except TimeoutError:
            return _failure(
                f"{self.name} took longer than {self.limit_s:g} s and was stopped. "
                "Ask again with a model of the catalogue, a local folder or a shorter log."
            )
        except ProcessEnded:
            return _failure(
                f"{self.name} took more time or memory than an answer may and was stopped. "
                "Ask again with a model of the catalogue, a smaller folder or a shorter log."
            )
        except Exception:
            logger.exception("%s failed unexpectedly", self.name)
            return _failure(
                f"{self.name} met an internal error; this is a bug in vllm-preflight. "
                "The server's log on stderr has the details."
            )
        if alone and image is None:
            self._remembered.keep(request, result)
        return result

    async def _answered(self, request: RequestModel, context: Any) -> Answered:
        """The answer, worked out here, or in a process where strangers' words decide it."""
        steps = itertools.count(1)

        async def report(message: str) -> None:
            await context.report_progress(next(steps), None, message)

        if self.processes is None:
            return cast(Answered, await self._in_thread(request, report))
        with without_strangers():
            answered = await self._in_thread(request, report)
        if not isinstance(answered, NeedsOwnProcess):
            return answered
        question = Question(
            self.name,
            request.model_dump(mode="json", exclude_unset=True),
            folders=self.folders,
            limit_s=self.limit_s,
        )
        return await self.processes.answer(question, report, asks_hub=answered.asks_hub)

    async def _in_thread(
        self, request: RequestModel, report: Callable[[str], Coroutine[Any, Any, None]]
    ) -> Answered | NeedsOwnProcess:
        """What a worker thread answers, which ends when the caller gives up."""
        stop = threading.Event()

        def progress(message: str) -> None:
            check_stop()
            anyio.from_thread.run(report, message)

        def work() -> Answered | NeedsOwnProcess:
            try:
                with stoppable(stop), nullcontext() if self.folders else without_folders():
                    return answer_question(self.spec, request, progress)
            except NeedsOwnProcess as needed:
                return needed

        try:
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
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


def _success(structured: dict[str, Any], image: bytes | None) -> CallToolResult:
    text = TextContent(type="text", text=as_markdown(structured))
    return CallToolResult(
        content=[text] if image is None else [text, _image(image)],
        structured_content=structured,
    )


def _failure(sentence: str) -> CallToolResult:
    text = sentence if len(sentence) <= _LONGEST_ERROR else sentence[: _LONGEST_ERROR - 1] + "…"
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


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
