"""MCP over Streamable HTTP: what may be bound, and who serves it.

Stateless: every request stands alone, so workers and replicas need not share anything
and any of them answers any protocol revision. In exchange no request asks the client
back, which no tool does.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight_server.web.settings import PATH, HttpSettings
from vllm_preflight_server.web.supervisor import Supervisor

_BACKLOG = 1_024


def serve_http(settings: HttpSettings, opened: Callable[[str], None] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished first. The exit code.

    `opened` is told the address once clients may connect, in place of a line on stderr.

    Raises:
        InvalidRequest: the settings are not safe, or the address cannot be bound.
    """
    bound = _bind(settings.checked())
    # Clients wait from here on, until a worker takes them.
    bound.listen(_BACKLOG)
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}"
    # Whoever reads the address may stop the server at once.
    supervisor = Supervisor(settings, bound)
    if opened is None:
        print(f"vllm-preflight serves MCP at {address}{PATH}", file=sys.stderr, flush=True)
    else:
        opened(address)
    return supervisor.run()


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
