"""Words read as argparse reads them with the parser of a release.

Exact spellings, unambiguous prefixes, `--x=value`, one-letter flags with their value
attached, flags with many values, and argparse's own sentences for what it refuses. Source:
Python's argparse (3.12), which vLLM's parser is.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vllm_preflight.launch.flags.preprocess import Token
from vllm_preflight.launch.flags.table import Argument, Parser
from vllm_preflight.launch.flags.values import ValueRefused, read_lora_module, read_value

_NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
_END_OF_FLAGS = "--"


@dataclass(frozen=True, slots=True)
class Given:
    """One argument as it was given: how it was spelled, the words it took, its value."""

    argument: Argument
    spelling: str
    value: Any
    origin: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()


class ArgumentsRefused(Exception):
    """Argparse's sentence, the words to blame and the spelling it is about."""

    def __init__(self, message: str, origin: tuple[int, ...], spelling: str = "") -> None:
        super().__init__(message)
        self.message, self.origin, self.spelling = message, origin, spelling


@dataclass
class Reading:
    """What the words say: the model, the arguments in their order, what belongs nowhere."""

    model: Token | None = None
    given: list[Given] = field(default_factory=list[Given])
    extras: list[Token] = field(default_factory=list[Token])


@dataclass(frozen=True, slots=True)
class _Option:
    argument: Argument
    spelling: str
    attached: str | None


def read_arguments(tokens: Sequence[Token], parser: Parser) -> Reading:
    """The arguments of the words.

    Raises ArgumentsRefused for the first thing that argparse stops at. What it does not
    recognise is left in `extras`: argparse refuses these after everything else.
    """
    reading = Reading()
    words = deque(_classified(tokens, parser))
    while words:
        token, option = words.popleft()
        if isinstance(option, _Option):
            _take(reading, token, option, words, parser)
        elif option is None and reading.model is None:
            reading.model = token
        elif option is not _END:
            reading.extras.append(token)
    if reading.model is None and parser.model_required:
        raise ArgumentsRefused("the following arguments are required: model_tag", ())
    return reading


class _Mark:
    """What a word is that is neither an option nor a value."""


_END, _UNKNOWN = _Mark(), _Mark()
_Kind = _Option | _Mark | None


def _classified(tokens: Sequence[Token], parser: Parser) -> Iterator[tuple[Token, _Kind]]:
    """Each word with its option, None for a value."""
    only_values = False
    for token in tokens:
        if only_values:
            yield token, None
        elif token.text == _END_OF_FLAGS:
            only_values = True
            yield token, _END
        else:
            yield token, _option(token, parser)


def _option(token: Token, parser: Parser) -> _Kind:
    text = token.text
    if not text.startswith("-") or text == "-":
        return None
    if text in parser.by_spelling:
        return _Option(parser.by_spelling[text], text, None)
    name, equals, value = text.partition("=")
    if equals and name in parser.by_spelling:
        return _Option(parser.by_spelling[name], name, value)
    matches = list(_prefixed(text, parser))
    if len(matches) > 1:
        listed = ", ".join(match.spelling for match in matches)
        raise ArgumentsRefused(f"ambiguous option: {text} could match {listed}", token.origin, name)
    if matches:
        return matches[0]
    if _NEGATIVE_NUMBER.fullmatch(text) or " " in text:
        return None
    return _UNKNOWN


def _prefixed(text: str, parser: Parser) -> Iterator[_Option]:
    """Every option that the word may be short for, or a one-letter option with its value."""
    name, equals, value = text.partition("=")
    attached = value if equals else None
    if text.startswith("--"):
        for spelling, argument in parser.by_spelling.items():
            if spelling.startswith(name):
                yield _Option(argument, spelling, attached)
        return
    for spelling, argument in parser.by_spelling.items():
        if spelling == text[:2]:
            yield _Option(argument, spelling, text[2:])
        elif spelling.startswith(name):
            yield _Option(argument, spelling, attached)


def _take(
    reading: Reading,
    token: Token,
    option: _Option,
    words: deque[tuple[Token, _Kind]],
    parser: Parser,
) -> None:
    argument = option.argument
    if not argument.takes_value:
        if option.attached is not None:
            raise ArgumentsRefused(
                f"argument {argument.title}: ignored explicit argument {option.attached!r}",
                token.origin,
                option.spelling,
            )
        value = option.spelling not in argument.negations
        reading.given.append(Given(argument, option.spelling, value, token.origin))
        return
    values = [token.replaced(option.attached)] if option.attached is not None else []
    if not values:
        values = _values_ahead(argument, words)
    _check_count(argument, option, token, values)
    origin = tuple(sorted({i for t in (token, *values) for i in t.origin}))
    missing = tuple(name for value in values for name in value.missing)
    content = None if missing else _content(argument, option, values, origin, parser)
    reading.given.append(Given(argument, option.spelling, content, origin, missing))


def _values_ahead(argument: Argument, words: deque[tuple[Token, _Kind]]) -> list[Token]:
    nargs = argument.nargs
    most = nargs if isinstance(nargs, int) else None if nargs in {"+", "*"} else 1
    values: list[Token] = []
    while words and words[0][1] is None and (most is None or len(values) < most):
        values.append(words.popleft()[0])
    return values


def _check_count(argument: Argument, option: _Option, token: Token, values: list[Token]) -> None:
    nargs = argument.nargs
    if nargs in {"?", "*"} or (nargs == "+" and values):
        return
    expected = nargs if isinstance(nargs, int) else 1
    if len(values) == expected:
        return
    words = "one argument" if expected == 1 else f"{expected} arguments"
    many = "at least one argument" if nargs == "+" else words
    raise ArgumentsRefused(
        f"argument {argument.title}: expected {many}", token.origin, option.spelling
    )


def _content(
    argument: Argument,
    option: _Option,
    values: Sequence[Token],
    origin: tuple[int, ...],
    parser: Parser,
) -> Any:
    try:
        if argument.action == "lora_modules":
            return [read_lora_module(value.text) for value in values if value.text]
        read = [read_value(argument, value.text, parser.version) for value in values]
    except ValueRefused as error:
        raise ArgumentsRefused(
            f"argument {argument.title}: {error}", origin, option.spelling
        ) from error
    if argument.nargs in {"+", "*"} or isinstance(argument.nargs, int):
        return read
    return read[0] if read else True
