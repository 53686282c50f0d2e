"""Connections of the HTTP server: how long one may take, and how many there are.

uvicorn closes a connection only between two requests. This protocol also gives the headers,
the body and the first request of a connection a deadline, and makes room for a new connection
by closing the one that has waited longest without being answered. So a client that opens
connections and says nothing, or says it slowly, keeps nobody else out: whoever asks at once,
as a health check does, is answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger(__name__)

# Seconds from the connection, or from the last answer, until a request's headers are there.
HEADERS_S = 10.0
# Seconds from the headers until the body is there: 4 MiB over a megabit take 34.
BODY_S = 40.0
# Seconds an answer may take, its reader included; a stream is opened again after that.
ANSWER_S = 300.0
MOST_CONNECTIONS = 4_096
# Descriptors that are no connections: listening, pipes of processes, files, the Hub.
_RESERVED_FILES = 128
_LOG_EVERY_S = 1.0


class Open(Protocol):
    """A connection as the limits see it."""

    peer: str
    waits_since: float | None

    def hang_up(self) -> None:
        """Close it now."""
        ...


class Connections:
    """The open connections of one worker, and which is closed for another.

    `most` in all and `most_per_client` from one address. A connection that is being answered
    is never closed; where all are, the newest is.
    """

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        # In the order in which they came.
        self._open: dict[Open, None] = {}
        self._clients: Counter[str] = Counter()
        self._closed = 0
        self._logged_at = 0.0

    def opened(self, connection: Open) -> None:
        """Count a new connection, and make room for it."""
        self._open[connection] = None
        self._clients[connection.peer] += 1
        if self._clients[connection.peer] > self._most_per_client:
            own = [other for other in self._open if other.peer == connection.peer]
            self._close_one(own)
        elif len(self._open) > self._most:
            self._close_one(self._open)

    def closed(self, connection: Open) -> None:
        """Count a connection no more."""
        if connection in self._open:
            del self._open[connection]
            self._clients[connection.peer] -= 1
            if not self._clients[connection.peer]:
                del self._clients[connection.peer]

    def _close_one(self, among: Iterable[Open]) -> None:
        waiting = [other for other in among if other.waits_since is not None]
        victim = min(waiting, key=lambda other: other.waits_since or 0.0)
        self.closed(victim)
        victim.hang_up()
        self._closed += 1
        now = time.monotonic()
        if now - self._logged_at >= _LOG_EVERY_S:
            logger.warning("closed %d waiting connections to make room", self._closed)
            self._closed, self._logged_at = 0, now


def most_connections() -> int:
    """How many connections this process has files for, at most MOST_CONNECTIONS."""
    try:
        import resource
    except ImportError:  # Windows.
        return 512
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _RESERVED_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(16, min(MOST_CONNECTIONS, soft - _RESERVED_FILES))


class LimitedProtocol(H11Protocol):
    """uvicorn's protocol, held to the deadlines and to the limits of its worker."""

    limits: Connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.peer = ""
        self.waits_since: float | None = time.monotonic()
        self._deadline: asyncio.TimerHandle | None = None
        self._answered: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore
        """Give the first request its time."""
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self._end_in(HEADERS_S)
        self.limits.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._end_in(None)
        self.limits.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Once headers are there, give the body its time; once that is there, the answer."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is before and self.waits_since is None:
            return  # What comes while a request is answered waits.
        if self.cycle is before and (before is self._answered or before.more_body):
            return  # The time of these headers, or of this body, goes on.
        if self.cycle.response_complete:
            return
        self._end_in(BODY_S if self.cycle.more_body else ANSWER_S)
        if not self.cycle.more_body:
            self.waits_since = None

    def on_response_complete(self) -> None:
        """Wait for the next request, if one comes."""
        self._answered = self.cycle
        self.waits_since = time.monotonic()
        self._end_in(HEADERS_S)
        super().on_response_complete()

    def hang_up(self) -> None:
        """Close the connection now, whatever is still to be sent."""
        self.transport.abort()

    def _end_in(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(seconds, self.hang_up)


def protocol_within(connections: Connections) -> type[H11Protocol]:
    """The protocol of a worker with these connections."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": connections})
