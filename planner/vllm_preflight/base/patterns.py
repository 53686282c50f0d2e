"""Expressions that strangers wrote, and many words at once, in time linear in the text.

Python's own engine backtracks: fifty characters of a config can keep it busy for years, and
no signal or thread ends that. RE2 (https://github.com/google/re2) takes every expression but
those with look-around and back-references, and walks a text once.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any, Protocol

# The longest rule of a published checkpoint that we know has 95 characters.
LONGEST_PATTERN = 500
# Bytes of a compiled expression and its tables, so that hundreds of them stay small.
_MEMORY = 1 << 18
# The same for some hundred words, whose tables are one and have to hold.
_WORDS_MEMORY = 1 << 26


class Found(Protocol):
    """A place in a text."""

    def start(self) -> int:
        """Where it begins."""
        ...

    def end(self) -> int:
        """Where it ends."""
        ...


class Words(Protocol):
    """Words that are looked for all at once."""

    def finditer(self, text: bytes, /) -> Iterator[Found]:
        """Every place of a word with the rest of its line, from left to right."""
        ...


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
def compile_words(words: tuple[str, ...]) -> Words:
    """An expression over UTF-8 that finds each line's first of `words`."""
    engine, _ = _engine()
    options = engine.Options()
    options.max_mem = _WORDS_MEMORY
    ending = [engine.escape(word) for word in words if word.endswith("\n")]
    within = [engine.escape(word) for word in words if not word.endswith("\n")]
    # A word that ends its line must not take the next one along.
    expression = "|".join([f"(?:{'|'.join(within)})[^\n]*", *ending])
    return engine.compile(expression.encode(), options=options)


@cache
def _engine() -> tuple[Any, Any]:
    # Loaded where it is needed: few checkpoints, long logs. The package has no types.
    engine = importlib.import_module("re2")
    options = engine.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    return engine, options
