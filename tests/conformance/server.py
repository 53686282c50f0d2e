"""The product's own app plus the fixtures that the conformance suite asks for.

usage: python tests/conformance/server.py --port 3101

Sessions are kept, because some scenarios of 2025-11-25 let a tool ask the client back;
the product serves without (`vllm-preflight serve --http`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.conformance import asking, content, protocol

from vllm_preflight_server.mcp.app import build_server
from vllm_preflight_server.web.settings import PATH
from vllm_preflight_server.web.worker import HEALTH_PATH, transport_security


def conformance_app() -> ASGIApp:
    """The application: product, fixtures, sessions, events that can be replayed."""
    server = build_server()
    content.add_tools(server)
    content.add_resources(server)
    content.add_prompts(server)
    asking.add_requests(server)
    asking.add_single_rounds(server)
    asking.add_rounds_with_state(server)
    protocol.add_tools(server)
    protocol.add_handlers(server)
    tool = protocol.schema_tool()
    # A literal schema cannot be given to a tool that is added later.
    server._tool_manager._tools[tool.name] = tool  # pyright: ignore[reportPrivateUsage]

    async def health(request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"})

    server.custom_route(HEALTH_PATH, methods=["GET"])(health)
    return server.streamable_http_app(
        streamable_http_path=PATH,
        event_store=protocol.MemoryEvents(),
        retry_interval=100,
        transport_security=transport_security(()),
    )


def main() -> None:
    """Serve on loopback until a signal comes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=3101)
    port = parser.parse_args().port
    uvicorn.run(conformance_app(), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
