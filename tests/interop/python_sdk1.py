"""The Python SDK 1.x client, from a virtual environment of its own, over stdio and HTTP.

usage: python_sdk1.py URL COMMAND...   (the HTTP endpoint; the stdio server)
"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
# The types at hand are those of SDK 2.

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

PLAN = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 4}


@asynccontextmanager
async def over_stdio(command, arguments):
    """A session with a server that is started for it."""
    parameters = StdioServerParameters(command=command, args=arguments)
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
        yield session


@asynccontextmanager
async def over_http(url):
    """A session with a server that runs."""
    async with streamable_http_client(url) as streams, ClientSession(*streams[:2]) as session:
        yield session


async def talk(connection):
    """List tools, plan, make a mistake and read how to correct it; returns the revision."""
    async with connection as session:
        hello = await session.initialize()
        names = [tool.name for tool in (await session.list_tools()).tools]
        assert "plan_deployment" in names, names
        plan = await session.call_tool("plan_deployment", PLAN)
        assert not plan.isError and plan.structuredContent["feasibility"]["fits"] is True, plan
        mistake = await session.call_tool("plan_deployment", {**PLAN, "concurency": 4})
        assert mistake.isError and "did you mean 'concurrency'" in mistake.content[0].text, mistake
        return hello.protocolVersion


def main() -> None:
    """Talk to both servers."""
    assert version("mcp").startswith("1."), version("mcp")
    url, command, *arguments = sys.argv[1:]
    for where, connection in (
        ("stdio", over_stdio(command, arguments)),
        ("http", over_http(url)),
    ):
        print(f"ok python sdk {version('mcp')}, {where}, {asyncio.run(talk(connection))}")


if __name__ == "__main__":
    main()
