"""The standard streams of a command line, as odd as a shell can make them."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def prepare_streams() -> None:
    """Make the streams usable: a closed one is empty, a character one cannot write is "?".

    A shell closes a stream with `>&-`, and a locale of ASCII has no "×".
    """
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def is_unicode() -> bool:
    """Whether standard output can carry any text."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def discard_output() -> None:
    """Let what is still to be written go nowhere: its reader closed, or the disk is full."""
    try:
        place = os.open(os.devnull, os.O_WRONLY)
        os.dup2(place, sys.stdout.fileno())
        os.close(place)
    except (OSError, ValueError):  # No descriptor behind it: nothing is flushed at exit.
        return
