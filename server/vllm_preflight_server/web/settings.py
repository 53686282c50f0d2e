"""How to serve over HTTP, and what must hold together so that it is safe."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from vllm_preflight.base.errors import InvalidRequest

PATH = "/mcp"
DEFAULT_HOST = "127.0.0.1"
# vLLM itself takes 8000.
# The tool that the webhook asks.
WEBHOOK_TOOL = "predict_startup"
DEFAULT_PORT = 8765
MOST_REQUESTS = 256
# Seconds that requests in flight have at the end; most answers take one.
GRACE_S = 10.0

_HOST_NAME = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d+)?"
)
_TOKEN = re.compile(r"[!-~]+")


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
        max_per_client: of those, requests from one address; None for half.
        tools: the tools to serve; None for all.
        webhook: also review objects for Kubernetes at /validate.
        warm: make the engine ready at once, and not only when the page is opened.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    allowed_hosts: tuple[str, ...] = ()
    token: str | None = None
    workers: int = 1
    max_concurrency: int = MOST_REQUESTS
    max_per_client: int | None = None
    tools: tuple[str, ...] | None = None
    webhook: bool = False
    warm: bool = False

    def checked(self) -> HttpSettings:
        """Itself, when it is safe to serve so.

        Raises:
            InvalidRequest: the address is open to others without allowed hosts and a
                token, or a value cannot be what it says.
        """
        if self.webhook and self.tools is not None and WEBHOOK_TOOL not in self.tools:
            raise InvalidRequest(
                f"The webhook asks {WEBHOOK_TOOL}, which --tools leaves out.", "Add it to --tools."
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
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
