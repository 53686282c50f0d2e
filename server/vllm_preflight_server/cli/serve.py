"""`vllm-preflight serve`: its options, and the transport they choose."""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Sequence
from typing import Any

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight_server.cli.options import Parser

_EPILOG = """\
Without --http the server speaks on stdin and stdout and is started by its client. With --http
it binds 127.0.0.1 unless told otherwise; any other address needs --allow-host and a token, and
there models are ids only, never folders of this machine. GET /healthz needs neither. Logs go to
stderr.
"""


def serve(arguments: Sequence[str]) -> int:
    """Serve until the client leaves or a signal comes; returns the exit code.

    Raises:
        InvalidRequest: options that do not go together, or an address that cannot be had.
    """
    options = _parser().parse(arguments)
    # A start makes half a million objects and no garbage; looking for it takes a tenth of it.
    gc.disable()
    try:
        return _serve(options)
    finally:
        gc.enable()


def _serve(options: argparse.Namespace) -> int:
    tools = _names(options.tools)
    if not options.http:
        stray = [name for name in _HTTP_OPTIONS if getattr(options, name) is not None]
        if stray:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in stray)
            raise InvalidRequest(f"Only with --http: {flags}.", "Add --http, or leave them out.")
        from vllm_preflight_server.mcp.app import serve_stdio

        serve_stdio(tools)
        return 0
    token = _token(options.auth_token, options.auth_token_env)
    if tools is not None:
        # The workers load what knows the names; the process above them does not.
        from vllm_preflight_server.mcp.app import chosen_tools

        chosen_tools(tools)
    from vllm_preflight_server.web.http import serve_http
    from vllm_preflight_server.web.settings import HttpSettings

    given: dict[str, Any] = {
        "host": options.host,
        "port": options.port,
        "workers": options.workers,
        "max_concurrency": options.max_concurrency,
        "max_per_client": options.max_per_client,
        "allowed_hosts": tuple(options.allow_host) if options.allow_host else None,
        "token": token,
        "tools": tools,
        "webhook": options.webhook,
    }
    return serve_http(
        HttpSettings(**{key: value for key, value in given.items() if value is not None})
    )


_HTTP_OPTIONS = (
    "host",
    "port",
    "allow_host",
    "auth_token",
    "auth_token_env",
    "workers",
    "max_concurrency",
    "max_per_client",
    "webhook",
)


def _parser() -> Parser:
    parser = Parser(
        prog="vllm-preflight serve",
        description="Serve MCP on stdin and stdout, or over HTTP.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--tools", metavar="A,B", help="serve only these tools")
    add("--http", action="store_true", help="serve Streamable HTTP at /mcp")
    add("--host", help="address to bind (default: 127.0.0.1)")
    add(
        "--port",
        type=whole_number_between(0, 65535),
        help="port to bind, 0 for a free one (default: 8765)",
    )
    add(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="a host name clients use, beside localhost; may be repeated",
    )
    add("--auth-token", metavar="TOKEN", help="bearer token; others can see it in a process list")
    add("--auth-token-env", metavar="VARIABLE", help="environment variable that holds the token")
    add(
        "--workers",
        type=whole_number_between(1, 64),
        metavar="N",
        help="processes that answer (default: 1)",
    )
    add(
        "--max-concurrency",
        type=whole_number_between(1, 100_000),
        metavar="N",
        help="requests in flight per worker before 503 (default: 256)",
    )
    add(
        "--max-per-client",
        type=whole_number_between(1, 100_000),
        metavar="N",
        help="of those, requests from one address (default: half)",
    )
    add(
        "--webhook",
        action="store_true",
        default=None,
        help="also answer Kubernetes' AdmissionReview at /validate (a validating webhook)",
    )
    return parser


def whole_number_between(least: int, most: int) -> Any:
    """What reads a whole number in that range from an option."""

    def whole_number(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
        return number

    return whole_number


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _token(token: str | None, variable: str | None) -> str | None:
    if token is not None and variable is not None:
        raise InvalidRequest(
            "--auth-token and --auth-token-env are both given.", "Give one of them."
        )
    if variable is None:
        return token
    value = os.environ.get(variable)
    if not value:
        raise InvalidRequest(
            f"The environment variable {variable} is not set or empty.",
            f"Set it first, for example: export {variable}=$(openssl rand -hex 32).",
        )
    return value
