"""What the present question may touch: folders of this machine, and what strangers wrote.

A server that others reach does not read its own machine for them. And what a stranger
wrote (a config, a header, an answer of the Hub) is read in a process that can be ended:
where a question begins under `without_strangers`, the first step that would read such a
thing raises `NeedsOwnProcess`, and the question is asked again where it may.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_FOLDERS: ContextVar[bool] = ContextVar("vllm_preflight_folders", default=True)
_STRANGERS: ContextVar[bool] = ContextVar("vllm_preflight_strangers", default=True)


class NeedsOwnProcess(BaseException):
    """What a stranger wrote would be read next; no user error, and nobody's to catch but its.

    Like a cancellation it passes by those who turn errors into remarks. `asks_hub` says
    whether the next step would ask the Hub.
    """

    def __init__(self, asks_hub: bool) -> None:
        super().__init__()
        self.asks_hub = asks_hub


@contextmanager
def without_folders() -> Generator[None]:
    """Take every model named inside as an id, and read no file, whatever is on this machine."""
    token = _FOLDERS.set(False)
    try:
        yield
    finally:
        _FOLDERS.reset(token)


@contextmanager
def without_strangers() -> Generator[None]:
    """Read nothing that a stranger wrote inside; raise NeedsOwnProcess instead."""
    token = _STRANGERS.set(False)
    try:
        yield
    finally:
        _STRANGERS.reset(token)


def folders_are_read() -> bool:
    """Whether paths of this machine are read."""
    return _FOLDERS.get()


def before_strangers(*, asks_hub: bool = False) -> None:
    """Go on, or raise NeedsOwnProcess where strangers' words are not read."""
    if not _STRANGERS.get():
        raise NeedsOwnProcess(asks_hub)
