"""The Python SDK's current client in both eras, over stdio and HTTP.

usage: python_sdk.py URL COMMAND...   (the HTTP endpoint; the stdio server)
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Literal

from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

Era = Literal["auto", "legacy"]
ERAS: tuple[tuple[Era, str], ...] = (("auto", "2026-07-28"), ("legacy", "2025-11-25"))
PLAN: dict[str, Any] = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 4}


async def talk(server: Any, mode: Era) -> str:
    """List tools, plan, make a mistake and read how to correct it; returns the revision."""
    async with Client(server, mode=mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "plan_deployment" in names, names
        plan = await client.call_tool("plan_deployment", PLAN)
        assert not plan.is_error and plan.structured_content is not None, plan
        assert plan.structured_content["feasibility"]["fits"] is True, plan.structured_content
        mistake = await client.call_tool("plan_deployment", {**PLAN, "concurency": 4})
        assert mistake.is_error and "did you mean 'concurrency'" in text(mistake), mistake
        return str(client.protocol_version)


def text(result: CallToolResult) -> str:
    """The text of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def main() -> None:
    """Talk to both servers in both eras."""
    url, command, *arguments = sys.argv[1:]
    stdio = StdioServerParameters(command=command, args=arguments)
    for where, server in (("stdio", stdio), ("http", url)):
        for mode, revision in ERAS:
            spoken = asyncio.run(talk(server, mode))
            assert spoken == revision, (where, mode, spoken)
            print(f"ok python sdk 2, {where}, {spoken}")


if __name__ == "__main__":
    main()
