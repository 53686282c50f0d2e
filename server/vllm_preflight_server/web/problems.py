"""Refusals: below /api as RFC 9457 has them, elsewhere as a JSON object with a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from vllm_preflight.base.text import presentable

PREFIX = "/api"
_TITLES: Mapping[int, str] = {
    400: "Not a question",
    401: "Token wanted",
    403: "Origin not served",
    404: "Not found",
    405: "Wrong method",
    409: "No files of such a plan",
    413: "Too long",
    415: "Not JSON",
    421: "Host not served",
    422: "Not understood",
    500: "A bug",
    502: "Hub unavailable",
    503: "Busy",
    504: "Took too long",
}


def is_api(path: str) -> bool:
    """Whether a path is the API's."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def problem(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A failure as RFC 9457 has it."""
    body = {
        "type": "about:blank",
        "title": _TITLES[status],
        "status": status,
        "detail": presentable(detail),
        "code": code,
    }
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def refusal(
    scope: Scope, status: int, code: str, sentence: str, headers: Mapping[str, str]
) -> Response:
    """What whoever asked is told where the request is not passed on."""
    if is_api(scope["path"]):
        return problem(status, code, sentence, headers)
    return JSONResponse({"error": sentence}, status, headers)
