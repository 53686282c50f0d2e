"""The MCP server: its tools, its instructions, and how it runs over stdio."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from mcp.server import CacheHint
from mcp.server.mcpserver import MCPServer

from vllm_preflight import __version__
from vllm_preflight_server.tool import make_tool
from vllm_preflight_server.tools import TOOLS

INSTRUCTIONS = """\
Answers whether a model starts under vLLM on given GPUs, with how much KV cache, context and
concurrency, and what to start it with. Take plan_deployment for an open question,
predict_startup to check exact vllm serve arguments or a crash, detect_gpus when it concerns this
machine, inspect_model for a model's make-up. Name GPUs plainly (H100, RTX 4090, L40S). Figures
are GiB (2**30). Models of the catalogue need no network. Every tool only reads. A false `fits` or
`starts` is an answer: tell the user the reason and the remedies given. Not for training, other
engines or price quotes."""

# The definitions change only with a release.
_LISTS_STAY = CacheHint(ttl_ms=3_600_000, scope="public")


def build_server() -> MCPServer:
    """The server with all its tools; nothing is read or started yet."""
    # The SDK would install a handler of its own, with boxes drawn by rich.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    return MCPServer(
        name="vllm-preflight",
        title="vLLM preflight",
        description="Will this model start under vLLM on these GPUs, and with how much KV cache?",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=[make_tool(spec) for spec in TOOLS],
        log_level="WARNING",
        cache_hints={"tools/list": _LISTS_STAY, "server/discover": _LISTS_STAY},
    )


def serve_stdio() -> None:
    """Serve MCP on stdin and stdout until end of input, SIGTERM or Ctrl-C."""
    if sys.stdin.isatty():
        print(
            "vllm-preflight speaks MCP on stdin and stdout; a client starts it. Ctrl-C ends it.",
            file=sys.stderr,
        )
    asyncio.run(_serve_until_interrupted(build_server()))


async def _serve_until_interrupted(server: MCPServer) -> None:
    # The SDK blocks in a read of stdin that neither signal ends by itself.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, os._exit, 128 + number)
    await server.run_stdio_async()
