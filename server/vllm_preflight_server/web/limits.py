"""How much one HTTP worker takes on at a time, and from whom."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vllm_preflight_server.mcp.stdio import MOST_MESSAGE_BYTES
from vllm_preflight_server.web.problems import refusal
from vllm_preflight_server.web.settings import PATH

logger = logging.getLogger(__name__)

MOST_BODY_BYTES = MOST_MESSAGE_BYTES
MOST_DISCARDED_BYTES = 32 * 1024 * 1024
# Bodies that have arrived in part or whole and are not answered yet.
MOST_BUFFERED_BYTES = 128 * 1024 * 1024
# Streams on which a server without sessions has nothing to say.
MOST_STREAMS, MOST_STREAMS_PER_CLIENT = 64, 8
_STREAM_METHOD = b"subscriptions/listen"
_RETRY_S = 1
_LOG_EVERY_S = 1.0
_HOST = re.compile(rb"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253}?)\.?(:\d{1,5})?")


class _Refused(Exception):
    """A request that is not passed on, and with which words."""

    def __init__(self, status: int, code: str, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.headers = headers


class _HungUp(Exception):
    """The client left before its request was whole."""


@dataclass
class _Places:
    """So many at a time, and so many of them for one client."""

    most: int
    per_client: int
    taken: int = 0
    clients: Counter[str] = field(default_factory=Counter[str])

    @property
    def refusal(self) -> str:
        """Why no place is to be had."""
        if self.taken >= self.most:
            return f"This server is answering {self.most} requests."
        return f"This server is answering {self.per_client} requests of this client."

    def take(self, client: str) -> bool:
        if self.taken >= self.most or self.clients[client] >= self.per_client:
            return False
        self.taken += 1
        self.clients[client] += 1
        return True

    def leave(self, client: str) -> None:
        self.taken -= 1
        self.clients[client] -= 1
        if not self.clients[client]:
            del self.clients[client]


class Admission:
    """ASGI middleware that lets whole requests in, so many at a time.

    A body is read before its request takes a place, so that one that trickles in holds none.
    Refused are GET (a server without sessions has no stream to offer), a Host header that is
    no name, bodies above MOST_BODY_BYTES, and what exceeds `most` requests in flight, `per_client`
    from one address, or the limits of open streams. `open_paths` are always served.
    """

    def __init__(
        self, app: ASGIApp, most: int, per_client: int, open_paths: frozenset[str]
    ) -> None:
        self._app = app
        self._open_paths = open_paths
        self._requests = _Places(most, per_client)
        self._streams = _Places(min(MOST_STREAMS, most), min(MOST_STREAMS_PER_CLIENT, per_client))
        self._buffered = 0
        self._hung_up = 0
        self._logged_at = 0.0
        self.stopping = False

    @property
    def in_flight(self) -> int:
        """Requests that are being answered, streams not counted."""
        return self._requests.taken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on once it is whole, or refuse it."""
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        try:
            await self._admitted(scope, receive, send)
        except _Refused as refused:
            headers = {"Connection": "close", **refused.headers}
            answer = refusal(scope, refused.status, refused.code, str(refused), headers)
            await answer(scope, receive, send)
        except _HungUp:
            self._note_hang_up()

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.stopping:
            raise _busy("This server is stopping.")
        headers = dict(scope["headers"])
        _check_host(scope, headers)
        if scope["method"] in ("GET", "HEAD") and scope["path"] == PATH:
            raise _Refused(
                405, "invalid_request", "This server has no stream to offer: POST.", Allow="POST"
            )
        body = bytearray()
        try:
            await self._read(receive, headers, body)
            client = scope["client"][0] if scope.get("client") else ""
            is_stream = headers.get(b"mcp-method") == _STREAM_METHOD
            places = self._streams if is_stream else self._requests
            if not places.take(client):
                raise _busy(places.refusal)
            try:
                await self._app(scope, _replayed(bytes(body), receive), send)
            finally:
                places.leave(client)
        finally:
            self._buffered -= len(body)

    async def _read(self, receive: Receive, headers: dict[bytes, bytes], body: bytearray) -> None:
        """The whole body, counted while it arrives.

        One that is too large is read on for a while and thrown away: a client that is still
        sending would not see the answer.
        """
        declared = headers.get(b"content-length", b"0")
        size = int(declared[:20]) if declared.isdigit() else 0
        read, more = 0, size <= MOST_DISCARDED_BYTES
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _HungUp
            part = message.get("body", b"")
            read += len(part)
            if max(read, size) <= MOST_BODY_BYTES:
                body += part
                self._buffered += len(part)
            if self._buffered > MOST_BUFFERED_BYTES:
                raise _busy("This server is taking in too much at a time.")
            more = message.get("more_body", False) and read <= MOST_DISCARDED_BYTES
        if max(read, size) > MOST_BODY_BYTES:
            raise _too_large()

    def _note_hang_up(self) -> None:
        self._hung_up += 1
        now = time.monotonic()
        if now - self._logged_at >= _LOG_EVERY_S:
            logger.warning("%d clients hung up before their request was whole", self._hung_up)
            self._hung_up, self._logged_at = 0, now


def _busy(why: str) -> _Refused:
    return _Refused(503, "busy", f"{why} Try again.", **{"Retry-After": str(_RETRY_S)})


def _too_large() -> _Refused:
    return _Refused(
        413,
        "invalid_request",
        f"The request has more than {MOST_BODY_BYTES >> 20} MiB. Of a log, give the part from "
        "vLLM's first line to the failure.",
    )


def _check_host(scope: Scope, headers: dict[bytes, bytes]) -> None:
    """Refuse a Host header that is no name, and write it as names are compared."""
    found = _HOST.fullmatch(headers.get(b"host", b"").lower())
    if found is None:
        raise _Refused(421, "not_served", "The Host header is no name of this server.")
    host = found[1] + (found[2] or b"")
    scope["headers"] = [
        (name, host if name == b"host" else value) for name, value in scope["headers"]
    ]


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` with the body that was read already before it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
