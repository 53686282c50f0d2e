"""Requests for names the server does not have, answered as the protocol says.

The SDK answers an unknown tool with a tool result and an unknown prompt with an
internal error (mcp 2.3); both are invalid parameters.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS


def refuse_unknown_names(server: MCPServer) -> None:
    """Let `server` refuse tools and prompts it does not have, and prompts without arguments."""

    async def check(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        params = ctx.params or {}
        name = params.get("name")
        if ctx.method == "tools/call" and isinstance(name, str):
            _require("tool", name, [tool.name for tool in await server.list_tools()])
        elif ctx.method == "prompts/get" and isinstance(name, str):
            prompts = {
                prompt.name: prompt.arguments or [] for prompt in await server.list_prompts()
            }
            _require("prompt", name, prompts)
            given: object = params.get("arguments") or {}
            for argument in prompts[name]:
                if argument.required and isinstance(given, dict) and argument.name not in given:
                    raise _invalid(f"The prompt {name} needs the argument {argument.name}.")
        return await call_next(ctx)

    server.middleware.append(check)


def _require(kind: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean {near[0]}?" if near else ""
    raise _invalid(f"There is no {kind} {name[:80]!a}.{guess} This server has: {', '.join(names)}.")


def _invalid(message: str) -> MCPError:
    return MCPError(code=INVALID_PARAMS, message=message)
