"""A tool as a question and the function that answers it, without MCP.

The server and the processes that answer for it (`own_process`) both take tools from here,
and only the server loads the SDK.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.base.text import presentable
from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.request import RequestModel

logger = logging.getLogger(__name__)

RequestT = TypeVar("RequestT", bound=RequestModel)
Progress = Callable[[str], None]


class Answered(NamedTuple):
    """The structured answer, what only the page draws, and the picture that was asked for."""

    structured: dict[str, Any]
    drawn: dict[str, Any]
    picture: bytes | None = None


@dataclass(frozen=True)
class ToolSpec(Generic[RequestT]):
    """One tool: what clients see, and the function that answers.

    `answer` gets the validated request and a callback for progress sentences; it runs
    in a worker thread, or in a process of its own. `brief` is what is told of a report
    unless the request asks for all of it. `open_world` says whether it may ask the Hub.
    `page` is the MCP App that shows answers, `figures` what it draws beside a brief one, and
    `picture` draws one as PNG where the request asks for it.
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


def answer_question(
    spec: ToolSpec[Any], request: RequestModel, progress: Progress, *, whole: bool = False
) -> Answered:
    """The answer of a tool, and its picture; raises PreflightError as the tool does.

    `whole` leaves nothing out, whatever the tool shortens for a conversation.
    """
    report = spec.answer(request, progress)
    drawn: dict[str, Any] = {}
    if spec.brief is None or whole or getattr(request, "detail", "concise") == "full":
        structured = report.to_json_dict()
    else:
        structured = spec.brief(request, report)
        drawn = spec.figures(report) if spec.figures is not None else {}
    if spec.picture is None:
        return Answered(structured, drawn)
    # The answer is worth having without its picture.
    try:
        return Answered(structured, drawn, spec.picture(request, report))
    except PreflightError as error:
        why = f"No picture: {presentable(str(error))}"
    except Exception:
        logger.exception("the picture of %s failed", spec.name)
        why = "No picture: it could not be drawn; the server's log on stderr says why."
    warnings = [*structured.get("warnings", []), why]
    return Answered({**structured, "warnings": warnings}, drawn)
