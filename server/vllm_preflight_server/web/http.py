"""MCP over Streamable HTTP: what may be bound, who may ask, and how workers run.

Stateless: every request stands alone, so workers and replicas need not share anything
and any of them answers any protocol revision. In exchange no request asks the client
back, which no tool does.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight_server.mcp.app import build_server, chosen_tools, start_collecting
from vllm_preflight_server.mcp.processes import Processes
from vllm_preflight_server.web import webhook
from vllm_preflight_server.web.auth import BearerToken
from vllm_preflight_server.web.limits import MOST_BODY_BYTES, MOST_REQUESTS, ConcurrencyLimit

PATH = "/mcp"
HEALTH_PATH = "/healthz"
DEFAULT_HOST = "127.0.0.1"
# vLLM itself takes 8000.
DEFAULT_PORT = 8765

_OPEN_PATHS = frozenset({HEALTH_PATH})
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_HOST_NAME = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d+)?"
)
_TOKEN = re.compile(r"[!-~]+")
# An open stream would otherwise hold a stopping server for good.
_GRACE_S = 5


@dataclass(frozen=True)
class HttpSettings:
    """How to serve over HTTP; `checked` says what must hold together.

    Attributes:
        host: the address to bind.
        port: the port to bind; 0 takes a free one.
        allowed_hosts: names in the Host header that are served besides loopback's.
        token: the bearer token every request must carry; None for none.
        workers: processes that answer.
        max_concurrency: requests in flight per worker before 503.
        tools: the tools to serve; None for all.
        webhook: also review objects for Kubernetes at /validate.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    allowed_hosts: tuple[str, ...] = ()
    token: str | None = None
    workers: int = 1
    max_concurrency: int = MOST_REQUESTS
    tools: tuple[str, ...] | None = None
    webhook: bool = False

    def checked(self) -> HttpSettings:
        """Itself, when it is safe to serve so.

        Raises:
            InvalidRequest: the address is open to others without allowed hosts and a
                token, or a value cannot be what it says.
        """
        chosen_tools(self.tools)
        if self.webhook and self.tools is not None and webhook.TOOL not in self.tools:
            raise InvalidRequest(
                f"The webhook asks {webhook.TOOL}, which --tools leaves out.", "Add it to --tools."
            )
        for name in self.allowed_hosts:
            if not _HOST_NAME.fullmatch(name):
                raise InvalidRequest(
                    f"The allowed host {name!r} is no host name.",
                    "Write it as clients do after http://, for example plan.example.org.",
                )
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise InvalidRequest(
                "The token is empty or has characters a header cannot carry.",
                "Use letters, digits and punctuation, for example from: openssl rand -hex 32.",
            )
        if not is_loopback(self.host) and not (self.allowed_hosts and self.token):
            raise InvalidRequest(
                f"Binding {self.host} opens the server to other machines, so it needs allowed "
                "hosts and a token.",
                "Give --allow-host NAME and --auth-token-env VARIABLE, or bind 127.0.0.1.",
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def transport_security(allowed_hosts: tuple[str, ...]) -> TransportSecuritySettings:
    """The Host and Origin headers that are served, each with and without a port."""
    names = [*_LOOPBACK_HOSTS, *allowed_hosts]
    hosts = [name for host in names for name in (host, f"{host}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")],
    )


def http_app(server: MCPServer, settings: HttpSettings) -> ASGIApp:
    """`server` as an ASGI application with `/mcp` and `/healthz`, limits and token before it."""

    async def health(request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"})

    server.custom_route(HEALTH_PATH, methods=["GET"])(health)
    if settings.webhook:
        webhook.add_webhook(server)
    app: ASGIApp = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        max_request_body_size=MOST_BODY_BYTES,
        transport_security=transport_security(settings.allowed_hosts),
    )
    app = ConcurrencyLimit(app, settings.max_concurrency, _OPEN_PATHS)
    # Outermost: who has no token takes no place.
    return app if settings.token is None else BearerToken(app, settings.token, _OPEN_PATHS)


def worker_app(settings: HttpSettings) -> ASGIApp:
    """The application one worker process builds for itself."""
    # uvicorn says how many requests it cut off when it stops, and shows a traceback of each.
    logging.getLogger("uvicorn.error").addFilter(_is_no_cancellation)
    # Who asks from elsewhere has no business with the folders of this machine.
    server = build_server(settings.tools, folders=is_loopback(settings.host), processes=Processes())
    start_collecting()
    return http_app(server, settings)


def serve_http(settings: HttpSettings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished first.

    Raises:
        InvalidRequest: the settings are not safe, or the address cannot be bound.
    """
    bound = _bind(settings.checked())
    config = uvicorn.Config(
        partial(worker_app, settings),
        factory=True,
        workers=settings.workers,
        # uvicorn's own configuration prints requests on stdout.
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"vllm-preflight serves MCP at http://{shown}:{port}{PATH}", file=sys.stderr, flush=True)
    # uvicorn raises the signal again once it has stopped; the stop was clean.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: sys.exit(0))
    if settings.workers > 1:
        Multiprocess(config, sockets=[bound]).run()
    else:
        asyncio.run(uvicorn.Server(config).serve(sockets=[bound]))


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _bind(settings: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        raise InvalidRequest(
            f"Cannot bind {settings.host} port {settings.port}: {error.strerror}.",
            "Choose another --port, or --port 0 for a free one.",
        ) from error
    bound.set_inheritable(True)
    return bound
