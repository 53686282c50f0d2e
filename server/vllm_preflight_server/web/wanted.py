"""Work for who still waits: a client that leaves takes its question with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from starlette.requests import Request
from starlette.responses import Response

# The status that servers log where nobody waits for an answer.
CLIENT_LEFT = 499


async def while_wanted(request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
    """What `work` gives; where the client leaves first, the work is cancelled.

    The body of `request` must have been read. The live page leaves each question for the
    next one, and an old one would take the processor from the new.
    """
    response = Response(status_code=CLIENT_LEFT)
    async with anyio.create_task_group() as group:

        async def leave() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(leave)
        response = await work()
        group.cancel_scope.cancel()
    return response
