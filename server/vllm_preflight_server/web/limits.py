"""How much one HTTP worker takes on at a time."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# A request is text a person or a model wrote, or a log; the SDK refuses more with 413.
MOST_BODY_BYTES = 4 * 1024 * 1024
MOST_REQUESTS = 256
_RETRY_S = 1


class ConcurrencyLimit:
    """ASGI middleware that answers 503 with Retry-After above `most` requests in flight.

    `open_paths` are always served, so that a busy worker still counts as healthy.
    """

    def __init__(self, app: ASGIApp, most: int, open_paths: frozenset[str]) -> None:
        self._app = app
        self._most = most
        self._open_paths = open_paths
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it before anything of it is read."""
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._most:
            refusal = JSONResponse(
                {"error": f"This server is answering {self._most} requests. Try again."},
                status_code=503,
                headers={"Retry-After": str(_RETRY_S)},
            )
            await refusal(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1
