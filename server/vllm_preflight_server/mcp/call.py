"""One tool call through a real MCP client, in this process: for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
from mcp import Client
from mcp.types import TextContent

from vllm_preflight_server.mcp.app import build_server


@dataclass(frozen=True)
class ToolAnswer:
    """A tool's structured answer, or the sentence that says why there is none."""

    structured: Mapping[str, Any] = field(default_factory=dict[str, Any])
    problem: str | None = None


def call_tool(name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
    """Call the tool as any MCP client would, and wait for its answer."""
    return anyio.run(_call, name, arguments)


async def _call(name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
    async with Client(build_server()) as client:
        known = [tool.name for tool in (await client.list_tools()).tools]
        if name not in known:
            return ToolAnswer(problem=f"There is no tool {name!r}; there are {', '.join(known)}.")
        result = await client.call_tool(name, dict(arguments))
    if result.is_error:
        texts = [item.text for item in result.content if isinstance(item, TextContent)]
        return ToolAnswer(problem=" ".join(texts))
    return ToolAnswer(structured=cast(Mapping[str, Any], result.structured_content))
