"""One worker process of the HTTP server: its application, and how it serves and stops."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vllm_preflight_server.mcp.app import build_server, make_tools, start_collecting
from vllm_preflight_server.mcp.log import log_to_stderr
from vllm_preflight_server.mcp.processes import Processes
from vllm_preflight_server.mcp.tool import PlannerTool
from vllm_preflight_server.web.api import LIVE_PATH, api_app
from vllm_preflight_server.web.auth import BearerToken
from vllm_preflight_server.web.connections import Connections, most_connections, protocol_within
from vllm_preflight_server.web.limits import MOST_BODY_BYTES, Admission
from vllm_preflight_server.web.problems import is_api
from vllm_preflight_server.web.settings import GRACE_S, PATH, HttpSettings, is_loopback
from vllm_preflight_server.web.warm import WarmUp
from vllm_preflight_server.web.webhook import add_webhook

logger = logging.getLogger(__name__)

HEALTH_PATH = "/healthz"
_OPEN_PATHS = frozenset({HEALTH_PATH})
# The live page holds no secret; what it asks for wants the token.
_TOKENLESS_PATHS = _OPEN_PATHS | {LIVE_PATH}
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
# Connections accepted in one turn of the loop: each takes a file before it is counted.
_ACCEPTED_AT_ONCE = 64
_BACKLOG = 1_024
# Seconds that streams have to end once all requests are answered.
_LAST_S = 1
_HEARTBEAT_S = 1.0
# The event loop waits for as long as that for each thread that computes.
_SWITCH_S = 0.001
_LOG_EVERY_S = 1.0


def transport_security(allowed_hosts: tuple[str, ...]) -> TransportSecuritySettings:
    """The Host and Origin headers that are served, each with and without a port."""
    names = [*_LOOPBACK_HOSTS, *(name.lower() for name in allowed_hosts)]
    hosts = [name for host in names for name in (host, f"{host}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")],
    )


def http_app(
    server: MCPServer,
    settings: HttpSettings,
    processes: Processes,
    tools: Sequence[PlannerTool] = (),
) -> tuple[ASGIApp, Admission]:
    """`server` as an ASGI application with `/mcp` and `/healthz`, and what lets requests in.

    `tools` are also asked below `/api`, and by the live page at `/`.
    """

    async def health(request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"})

    server.custom_route(HEALTH_PATH, methods=["GET"])(health)
    if settings.webhook:
        add_webhook(server)
    security = transport_security(settings.allowed_hosts)
    inner = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        max_request_body_size=MOST_BODY_BYTES,
        transport_security=security,
    )
    warm_up = WarmUp(tools)
    _lives_with(inner, processes, warm_up if settings.warm else None)
    app = _with_api(inner, api_app(tools, security, warm_up))
    per_client = settings.max_per_client or max(1, settings.max_concurrency // 2)
    admission = Admission(app, settings.max_concurrency, per_client, _OPEN_PATHS)
    if settings.token is None:
        return admission, admission
    # Outermost: of who has no token nothing is read.
    return BearerToken(admission, settings.token, _TOKENLESS_PATHS), admission


def _with_api(mcp: ASGIApp, api: ASGIApp) -> ASGIApp:
    """The live page and paths below /api go to the one, all else and the life to the other."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        below = path == LIVE_PATH or is_api(path)
        await (api if below else mcp)(scope, receive, send)

    return app


def _lives_with(app: Starlette, processes: Processes, warm_up: WarmUp | None) -> None:
    """Begin to warm up when the application begins; end the processes when it ends."""
    within = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(scope: Any) -> AsyncGenerator[Any]:
        async with within(scope) as state:
            if warm_up is not None:
                warm_up.begin()
            yield state
        await processes.close()

    app.router.lifespan_context = lifespan


class DrainingServer(uvicorn.Server):
    """A server that answers what it has been asked before it stops.

    uvicorn ends event streams as soon as it should exit, and answers to clients up to
    2025-11-25 are such streams: so it is told only once all are answered, or GRACE_S
    seconds have passed. `beat` is called each second while the event loop runs.
    """

    def __init__(
        self, config: uvicorn.Config, admission: Admission, beat: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._admission = admission
        self._beat = beat
        self._beaten_at = 0.0
        self._stop_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with a queue longer than what is accepted in one turn."""
        await super().startup(sockets)
        for listening in sockets or ():
            listening.listen(_BACKLOG)
        asyncio.get_running_loop().set_exception_handler(_LoopLog())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more requests; the supervisor's patience bounds further signals."""
        del sig, frame
        if self._stop_at is None:
            self._stop_at = time.monotonic() + GRACE_S
            self._admission.stopping = True

    async def on_tick(self, counter: int) -> bool:
        """Tell that the loop runs, and stop once everything is answered."""
        now = time.monotonic()
        if now - self._beaten_at >= _HEARTBEAT_S:
            self._beaten_at = now
            self._beat()
        if self._stop_at is not None:
            for server in self.servers:
                server.close()
            if not self._admission.in_flight or now >= self._stop_at:
                self.should_exit = True
        return await super().on_tick(counter)


class _LoopLog:
    """What goes wrong in the event loop, one line a second at most."""

    def __init__(self) -> None:
        self._logged_at = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log one problem of the loop."""
        now = time.monotonic()
        if now - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = now
            error = context.get("exception")
            logger.error("%s: %s", context.get("message"), error)


def run_worker(settings: HttpSettings, bound: socket.socket, heart: Connection) -> None:
    """Serve on `bound` until told to stop; sends a byte into `heart` each second."""
    log_to_stderr()
    # uvicorn says how many requests it cut off when it stops, and shows a traceback of each.
    logging.getLogger("uvicorn.error").addFilter(_is_no_cancellation)
    processes = Processes()
    # Who asks from elsewhere has no business with the folders of this machine.
    folders = is_loopback(settings.host)
    tools = make_tools(settings.tools, folders=folders, processes=processes)
    app, admission = http_app(build_server(made=tools), settings, processes, tools)
    most = most_connections()
    config = uvicorn.Config(
        app,
        http=protocol_within(Connections(most, max(8, most // 2))),
        ws="none",
        # uvicorn's own configuration prints requests on stdout.
        log_config=None,
        access_log=False,
        backlog=_ACCEPTED_AT_ONCE,
        timeout_graceful_shutdown=_LAST_S,
    )
    sys.setswitchinterval(_SWITCH_S)
    start_collecting()
    DrainingServer(config, admission, lambda: _beat(heart)).run(sockets=[bound])


def _beat(heart: Connection) -> None:
    try:
        heart.send_bytes(b".")
    except OSError:  # The supervisor is gone, and so is the reason to serve.
        os._exit(1)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
