"""`vllm-preflight ui`: the live page on this machine, opened in the browser."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from vllm_preflight_server.cli.options import Parser
from vllm_preflight_server.cli.serve import whole_number_between


def ui(arguments: Sequence[str]) -> int:
    """Serve the page on loopback until Ctrl-C; returns the exit code."""
    parser = Parser(
        prog="vllm-preflight ui",
        description="A page in the browser: every change of the question is answered at once.",
        epilog="It is served to this machine only, and asks nobody but this program. Over MCP's "
        "server it is at / of serve --http.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port",
        type=whole_number_between(0, 65535),
        default=0,
        help="port to bind (default: a free one)",
    )
    parser.add_argument("--no-open", action="store_true", help="print the address only")
    options = parser.parse(arguments)
    from vllm_preflight_server.web.http import serve_http
    from vllm_preflight_server.web.settings import HttpSettings

    def opened(address: str) -> None:
        print(f"The page is at {address}/ until Ctrl-C.", file=sys.stderr, flush=True)
        if not options.no_open:
            import webbrowser

            webbrowser.open(f"{address}/")

    # As serve does: a start makes no garbage.
    gc.disable()
    try:
        return serve_http(HttpSettings(port=options.port, warm=True), opened)
    finally:
        gc.enable()
