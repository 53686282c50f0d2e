"""A validating webhook of Kubernetes: objects whose vLLM would not start are not admitted.

What cannot be answered is admitted with a warning, for a planner must not stop a cluster.
Off unless asked for; the API server wants TLS, which a proxy before this server has.
"""

from __future__ import annotations

import json
from typing import Any, cast

from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vllm_preflight_server.web.settings import WEBHOOK_TOOL

PATH = "/validate"
_LARGEST = 3_000_000
_REFUSING = frozenset({"does_not_start", "refused"})
# Kubernetes shows no longer warnings.
_LONGEST = 250


def add_webhook(server: MCPServer) -> None:
    """Answer POST /validate with the review of the object that is to be admitted."""

    async def validate(request: Request) -> Response:
        review = await _review(request)
        if review is None:
            return JSONResponse({"error": "no AdmissionReview"}, status_code=400)
        asked = cast(dict[str, Any], review["request"])
        allowed, told = await _judged(server, asked.get("object"))
        response: dict[str, Any] = {"uid": asked.get("uid", ""), "allowed": allowed}
        if not allowed:
            response["status"] = {"code": 403, "message": " ".join(told)}
        elif told:
            response["warnings"] = [text[:_LONGEST] for text in told]
        version = review.get("apiVersion", "admission.k8s.io/v1")
        return JSONResponse(
            {"apiVersion": version, "kind": "AdmissionReview", "response": response}
        )

    server.custom_route(PATH, methods=["POST"])(validate)


async def _review(request: Request) -> dict[str, Any] | None:
    """The review of a request's body; None for anything else."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return None
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            return None
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    review = cast(dict[str, Any], value)
    return review if isinstance(review.get("request"), dict) else None


async def _judged(server: MCPServer, thing: object) -> tuple[bool, list[str]]:
    """Whether the object is admitted, and what to say of its servers."""
    if not isinstance(thing, dict):
        return True, []
    try:
        text = json.dumps(thing)
    except RecursionError:
        return True, ["vllm-preflight: the object is nested too deeply."]
    result = await server.call_tool(WEBHOOK_TOOL, {"manifest": text})
    answer = getattr(result, "structured_content", None)
    if getattr(result, "is_error", True) or not isinstance(answer, dict):
        content = getattr(result, "content", [])
        told = " ".join(str(getattr(part, "text", "")) for part in content)
        return True, [] if "starts no vLLM server" in told else [f"vllm-preflight: {told}"]
    rows = cast(list[dict[str, Any]], cast(dict[str, Any], answer).get("servers") or [])
    bad = [row for row in rows if row.get("outcome") in _REFUSING]
    if bad:
        return False, [f"vllm-preflight: {row['name']}: {row['told']}." for row in bad]
    found = [text for row in rows for text in row.get("findings", [])]
    return True, [f"vllm-preflight: {text}" for text in found]
