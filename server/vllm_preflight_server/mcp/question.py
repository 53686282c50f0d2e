"""A tool as a question and the function that answers it, without MCP.

The server and the processes that answer for it (`own_process`) both take tools from here,
and only the server loads the SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.request import RequestModel

RequestT = TypeVar("RequestT", bound=RequestModel)
Progress = Callable[[str], None]
# The structured answer, and its picture where one was asked for.
Answered = tuple[dict[str, Any], bytes | None]


@dataclass(frozen=True)
class ToolSpec(Generic[RequestT]):
    """One tool: what clients see, and the function that answers.

    `answer` gets the validated request and a callback for progress sentences; it runs
    in a worker thread, or in a process of its own. `open_world` says whether it may ask the
    Hub. `page` is the MCP App that shows answers, and `picture` draws one as PNG where the
    request asks for it.
    """

    name: str
    title: str
    description: str
    request: type[RequestT]
    report: type[Report]
    answer: Callable[[RequestT, Progress], Report]
    open_world: bool = False
    page: str | None = None
    picture: Callable[[RequestT, Mapping[str, Any]], bytes | None] | None = None


def answer_question(spec: ToolSpec[Any], request: RequestModel, progress: Progress) -> Answered:
    """The answer of a tool, and its picture; raises PreflightError as the tool does."""
    structured = spec.answer(request, progress).to_json_dict()
    if spec.picture is None:
        return structured, None
    try:
        return structured, spec.picture(request, structured)
    except PreflightError as error:
        # The answer is worth having without its picture.
        warnings = [*structured.get("warnings", []), f"No picture: {error}"]
        return {**structured, "warnings": warnings}, None
