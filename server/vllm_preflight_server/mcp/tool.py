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
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import PrivateAttr

from vllm_preflight.base.cancellation import check_stop, stoppable
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.request import RequestModel, validate_request
from vllm_preflight_server.mcp.arguments import published
from vllm_preflight_server.mcp.remembered import Remembered, stands_alone
from vllm_preflight_server.mcp.schema import input_schema, output_schema
from vllm_preflight_server.mcp.text import as_markdown

logger = logging.getLogger(__name__)

RequestT = TypeVar("RequestT", bound=RequestModel)
Progress = Callable[[str], None]
# The structured answer, what only the page draws, and the picture that was asked for.
_Answer = tuple[dict[str, Any], dict[str, Any], bytes | None]
# Where the page looks for what it draws, beside the structured answer.
PAGE_META = "vllm-preflight/page"

# Longer texts are cut by some clients; a sentence never needs more.
_LONGEST_ERROR = 2_000
# Some clients give up after 60 s; the engine's slowest answer (a Hub read) takes 10 s.
CALL_LIMIT_S = 30.0


@dataclass(frozen=True)
class ToolSpec(Generic[RequestT]):
    """One tool: what clients see, and the function that answers.

    `answer` gets the validated request and a callback for progress sentences; it runs
    in a worker thread. `brief` is what is told of a report unless the request asks for
    all of it. `open_world` says whether it may ask the Hub. `page` is the MCP App that
    shows answers, `figures` what it draws beside a brief one, and `picture` draws one as
    PNG where the request asks for it.
    """

    name: str
    title: str
    description: str
    request: type[RequestT]
    report: type[Report]
    answer: Callable[[RequestT, Progress], Report]
    brief: Callable[[RequestT, Any], dict[str, Any]] | None = None
    open_world: bool = False
    page: str | None = None
    figures: Callable[[Any], dict[str, Any]] | None = None
    picture: Callable[[RequestT, Report], bytes | None] | None = None


class PlannerTool(Tool):
    """A `Tool` that runs a `ToolSpec`."""

    request_model: Any
    answer: Any
    brief: Any
    figures: Any
    picture: Any
    limit_s: float
    folders: bool
    _remembered: Remembered[CallToolResult] = PrivateAttr(
        default_factory=lambda: Remembered[CallToolResult]()
    )

    async def run(
        self, arguments: dict[str, Any], context: Any, convert_result: bool = False
    ) -> Any:
        """The answer as text and structure, or an `isError` result with one sentence."""
        try:
            request = validate_request(self.request_model, self._without_nulls(arguments))
            alone = stands_alone(request)
            if alone and (kept := self._remembered.get(request)) is not None:
                return kept
            structured, drawn, image = await self._answer(
                partial(self._work, request, _progress(context))
            )
        except PreflightError as error:
            return _failure(f"{error}")
        except TimeoutError:
            return _failure(
                f"{self.name} took longer than {self.limit_s:g} s and was stopped. "
                "Ask again with a model of the catalogue or a local folder."
            )
        except Exception:
            logger.exception("%s failed unexpectedly", self.name)
            return _failure(
                f"{self.name} met an internal error; this is a bug in vllm-preflight. "
                "The server's log on stderr has the details."
            )
        text = TextContent(type="text", text=as_markdown(structured))
        result = CallToolResult(
            content=[text] if image is None else [text, _image(image)],
            structured_content=structured,
            _meta={PAGE_META: drawn} if drawn else None,
        )
        if alone and image is None:
            self._remembered.keep(request, result)
        return result

    def _work(self, request: RequestModel, progress: Progress) -> _Answer:
        report: Report = self.answer(request, progress)
        brief: Callable[..., dict[str, Any]] | None = self.brief
        figures: Callable[[Report], dict[str, Any]] | None = self.figures
        drawn: dict[str, Any] = {}
        if brief is None or getattr(request, "detail", "concise") == "full":
            structured = report.to_json_dict()
        else:
            structured = brief(request, report)
            drawn = figures(report) if figures is not None else {}
        if self.picture is None:
            return structured, drawn, None
        try:
            return structured, drawn, self.picture(request, report)
        except PreflightError as error:
            # The answer is worth having without its picture.
            warnings = [*structured.get("warnings", []), f"No picture: {error}"]
            return {**structured, "warnings": warnings}, drawn, None

    async def _answer(self, call: Callable[[], _Answer]) -> _Answer:
        """What `call` returns, from a worker thread that ends when the caller gives up.

        Raises TimeoutError after `limit_s` seconds.
        """
        stop = threading.Event()

        def work() -> _Answer:
            with stoppable(stop), self._folders():
                return call()

        try:
            with anyio.fail_after(self.limit_s):
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        finally:
            stop.set()

    def _folders(self) -> AbstractContextManager[None]:
        if self.folders:
            return nullcontext()
        # The engine is loaded by the first question, not by the start of the server.
        from vllm_preflight.models.sources import without_folders

        return without_folders()

    def _without_nulls(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Arguments with nulls left out, and JSON text parsed, as models really send them."""
        fields = self.request_model.model_fields
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


def _progress(context: Any) -> Progress:
    """A callback for the worker thread that sends counted progress to the client."""
    steps = itertools.count(1)

    def report(message: str) -> None:
        check_stop()
        anyio.from_thread.run(context.report_progress, next(steps), None, message)

    return report


def _failure(sentence: str) -> CallToolResult:
    text = sentence if len(sentence) <= _LONGEST_ERROR else sentence[: _LONGEST_ERROR - 1] + "…"
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def _image(png: bytes) -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(png).decode(), mime_type="image/png")


def make_tool(
    spec: ToolSpec[Any], limit_s: float = CALL_LIMIT_S, *, folders: bool = True
) -> PlannerTool:
    """The SDK tool of `spec`, with a flat strict input schema and an output schema.

    A call that takes longer than `limit_s` seconds is stopped and answered with an error.
    Without `folders` a model is never taken for a path of this machine.
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
        request_model=spec.request,
        answer=spec.answer,
        brief=spec.brief,
        figures=spec.figures,
        picture=spec.picture,
        limit_s=limit_s,
        folders=folders,
    )
