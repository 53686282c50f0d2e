"""The questions as JSON over HTTP, and the live page that asks them: no MCP.

Requests and answers are the tools' own.

Who may ask is decided as for MCP: Host and Origin headers here, the token and the number
of requests before it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

from mcp.server.transport_security import (
    RequestBodyLimitMiddleware,
    TransportSecurityMiddleware,
    TransportSecuritySettings,
)
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from vllm_preflight.artifacts.archive import zipped
from vllm_preflight.artifacts.request import ALL_KINDS
from vllm_preflight_server.mcp.catalogue import gpu_index, model_index
from vllm_preflight_server.mcp.tool import PlannerTool
from vllm_preflight_server.pages.page import live_html
from vllm_preflight_server.web.limits import MOST_BODY_BYTES
from vllm_preflight_server.web.openapi import Document, openapi, readable
from vllm_preflight_server.web.problems import PREFIX, problem
from vllm_preflight_server.web.wanted import CLIENT_LEFT, while_wanted
from vllm_preflight_server.web.warm import WarmUp

_FULL = "full"
LIVE_PATH = "/"
_LIVE_POLICY = (
    "default-src 'none'; script-src 'sha256-{}'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

# The name of each question in the path, and the tool that answers it.
QUESTIONS: Mapping[str, str] = {
    "plan": "plan_deployment",
    "check": "predict_startup",
    "compare": "compare_hardware",
    "find-models": "find_models",
    "explain": "explain_startup_log",
    "inspect": "inspect_model",
    "generate": "generate_artifacts",
    "overhead": "compute_overhead",
    "detect": "detect_gpus",
}
# The question whose files also come as one archive: of all kinds, unless it says which.
FILES, ARCHIVE = "generate", "generate.zip"
CATALOGUES: Mapping[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "models": ("The models of the catalogue", model_index),
    "gpus": ("The GPUs of the catalogue", gpu_index),
}
# The status of each code; what is not listed is a bug.
_STATUS: Mapping[str, int] = {
    "invalid_request": 400,
    "unknown_model": 404,
    "unknown_gpu": 404,
    "no_gpu_detected": 404,
    "unsupported_architecture": 422,
    "plan_refused": 409,
    "hub_unavailable": 502,
    "timeout": 504,
    "stopped": 504,
}


def api_app(
    tools: Sequence[PlannerTool], security: TransportSecuritySettings, warm_up: WarmUp
) -> ASGIApp:
    """The API of the tools that are served, as an ASGI application for paths below /api.

    `warm_up` begins when the live page is opened.
    """
    named = {tool.name: tool for tool in tools}
    questions = {path: named[name] for path, name in QUESTIONS.items() if name in named}
    document = openapi(
        {path: tool.spec for path, tool in questions.items()},
        {name: summary for name, (summary, _) in CATALOGUES.items()},
        {ARCHIVE: FILES} if FILES in questions else {},
    )
    guard = TransportSecurityMiddleware(security)
    handlers = {path: _asked(tool, _json, warm_up) for path, tool in questions.items()}
    if FILES in questions:
        handlers[ARCHIVE] = _asked(questions[FILES], _archive, warm_up, kinds=ALL_KINDS)
    routes = [
        *(
            Route(f"{PREFIX}/{path}", _guarded(handler, guard), methods=["POST"])
            for path, handler in handlers.items()
        ),
        *(
            Route(f"{PREFIX}/{name}", _guarded(_kept(content), guard), methods=["GET"])
            for name, (_, content) in CATALOGUES.items()
        ),
        Route(f"{PREFIX}/openapi.json", _guarded(_kept(lambda: document), guard), methods=["GET"]),
        Route(f"{PREFIX}/", _guarded(_page(document), guard), methods=["GET"]),
        Route(LIVE_PATH, _guarded(_live(warm_up), guard), methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _refused})
    return RequestBodyLimitMiddleware(app, MOST_BODY_BYTES)


def _guarded(handler: Handler, guard: TransportSecurityMiddleware) -> Handler:
    async def checked(request: Request) -> Response:
        refusal = await guard.validate_request(request)
        if refusal is None:
            return await handler(request)
        header = "Host" if refusal.status_code == 421 else "Origin"
        return problem(
            refusal.status_code,
            "not_served",
            f"The {header} header of this request is not served here.",
        )

    return checked


def _asked(
    tool: PlannerTool,
    written: Callable[[dict[str, Any]], Response],
    warm_up: WarmUp,
    **usual: object,
) -> Handler:
    """The answer of a tool to the request's body, which goes before the `usual` arguments."""

    async def silent(message: str) -> None:
        del message

    async def answer(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return problem(415, "invalid_request", "Send the question as application/json.")
        try:
            given = json.loads(await request.body())
        except (ValueError, RecursionError):
            return problem(400, "invalid_request", "The body is no JSON.")
        except ClientDisconnect:
            return Response(status_code=CLIENT_LEFT)
        if not isinstance(given, dict):
            return problem(400, "invalid_request", "The body must be a JSON object of arguments.")
        given = {**usual, **cast(dict[str, Any], given)}
        if given.get("detail") not in (None, _FULL):
            return problem(400, "invalid_request", "Answers here are full: leave detail out.")

        async def work() -> Response:
            try:
                answered = await tool.answer(tool.read(in_full(given, tool)), silent, whole=True)
            except Exception as error:
                found = tool.problem(error)
                return problem(_STATUS.get(found.code, 500), found.code, found.detail)
            return written(answered.structured)

        with warm_up.waiting():
            return await while_wanted(request, work)

    return answer


def _json(answer: dict[str, Any]) -> Response:
    return JSONResponse(answer)


def _archive(answer: dict[str, Any]) -> Response:
    """The answer's files as one ZIP."""
    named = {"Content-Disposition": 'attachment; filename="vllm-preflight.zip"'}
    return Response(zipped(answer["files"]), media_type="application/zip", headers=named)


def in_full(given: dict[str, Any], tool: PlannerTool) -> dict[str, Any]:
    """The arguments for an answer that leaves nothing out, as programs want it."""
    shortens = "detail" in tool.spec.request.model_fields
    return {**given, "detail": _FULL} if shortens else given


def _kept(content: Callable[[], dict[str, Any]]) -> Handler:
    """What only changes with a release, by its digest."""
    made: list[tuple[bytes, str]] = []

    async def answer(request: Request) -> Response:
        if not made:
            body = json.dumps(content(), ensure_ascii=False, separators=(",", ":")).encode()
            made.append((body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'))
        body, tag = made[0]
        headers = {"ETag": tag, "Cache-Control": "private, max-age=3600"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    return answer


def _page(document: Document) -> Handler:
    rows = tuple(
        (f"{method.upper()} {path}", operation["summary"], operation.get("description", ""))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )

    async def answer(request: Request) -> Response:
        del request
        return HTMLResponse(
            readable("vllm-preflight: JSON over HTTP", rows),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )

    return answer


def _live(warm_up: WarmUp) -> Handler:
    """The live page; it runs its own script and asks nobody but this server."""
    made: list[tuple[str, str]] = []

    async def answer(request: Request) -> Response:
        del request
        if not made:
            page = live_html()
            script = page.rpartition("<script>")[2].partition("</script>")[0]
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            made.append((page, _LIVE_POLICY.format(digest)))
        page, policy = made[0]
        warm_up.begin()
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    return answer


async def _refused(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such path, another method."""
    assert isinstance(error, HTTPException)
    detail = f"There is no {request.method} {request.url.path[:80]} here; see {PREFIX}/."
    return problem(error.status_code, "invalid_request", detail)
