"""Stopping work that nobody waits for any more.

Whoever starts a question in a thread runs it under `stoppable(event)`; the engine's
long steps call `check_stop()`, which raises `Stopped` once the event is set. Without a
`stoppable` around it nothing is ever stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_STOP: ContextVar[threading.Event | None] = ContextVar("vllm_preflight_stop", default=None)


class Stopped(Exception):
    """The caller gave the question up; nobody reads an answer, so it is no user error."""


@contextmanager
def stoppable(stop: threading.Event) -> Generator[None]:
    """Let `stop` end the work done inside."""
    token = _STOP.set(stop)
    try:
        yield
    finally:
        _STOP.reset(token)


def current_stop() -> threading.Event | None:
    """The event that ends the present work, to hand on to threads of one's own."""
    return _STOP.get()


def check_stop(stop: threading.Event | None = None) -> None:
    """Go on, or raise Stopped when the present work (or `stop`) was given up."""
    event = stop or _STOP.get()
    if event is not None and event.is_set():
        raise Stopped
