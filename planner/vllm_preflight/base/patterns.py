"""Expressions that strangers wrote, matched in time linear in the text.

Python's own engine backtracks: fifty characters of a config can keep it busy for years, and
no signal or thread ends that. RE2 (https://github.com/google/re2) takes every expression but
those with look-around and back-references, and walks a text once.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, Protocol

# The longest rule of a published checkpoint that we know has 95 characters.
LONGEST_PATTERN = 500
# Bytes of a compiled expression and its tables, so that hundreds of them stay small.
_MEMORY = 1 << 18


class Pattern(Protocol):
    """A compiled expression."""

    def match(self, string: str, /) -> object | None:
        """What it finds at the start of a text, None where it does not match."""
        ...


def compile_pattern(expression: str) -> Pattern:
    """`expression` for matching in linear time.

    Raises:
        ValueError: it is longer than LONGEST_PATTERN, no expression, or needs look-around or
            a back-reference; the message says which, as a part of a sentence.
    """
    if len(expression) > LONGEST_PATTERN:
        raise ValueError(f"is longer than {LONGEST_PATTERN} characters")
    engine, options = _engine()
    try:
        return engine.compile(expression, options=options)
    except engine.error as error:
        if any(sign in expression for sign in ("(?=", "(?!", "(?<=", "(?<!")):
            raise ValueError("looks ahead or behind, which is not matched here") from error
        raise ValueError("is no regular expression") from error


@cache
def _engine() -> tuple[Any, Any]:
    # Loaded for the few checkpoints that name modules so. The package has no types.
    engine = importlib.import_module("re2")
    options = engine.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    return engine, options
