"""Shell text split into commands and words, as a POSIX shell splits it.

Quotes, backslashes, comments, line continuations, redirections and the operators
between commands are understood; nothing is expanded or run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from vllm_preflight.base.errors import InvalidRequest

_LONGEST_TEXT = 100_000
_DESCRIPTORS = frozenset({"1", "2"})
_TOKEN = re.compile(
    r"""
      (?P<space> [ \t\r]+ | \\\r?\n )
    | (?P<operator> [;&|()<>\n]+ )
    | '(?P<single> [^']* )'
    | "(?P<double> (?:\\.|[^"\\])* )"
    | \\(?P<escaped> . )
    | (?P<plain> [^ \t\r\n;&|()<>'"\\]+ )
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"#[^\n]*")
# What a backslash protects inside double quotes; an escaped line end disappears.
_ESCAPED_IN_QUOTES = re.compile(r"\\(?:\r?(?P<line>\n)|(?P<kept>[\"\\$`]))")


@dataclass
class _Splitter:
    """The commands so far, and the word being put together from its pieces."""

    commands: list[list[str]] = field(default_factory=lambda: [[]])
    word: list[str] | None = None
    redirecting: bool = False

    def add(self, piece: str) -> None:
        if self.word is None:
            self.word = []
        self.word.append(piece)

    def end_word(self) -> None:
        if self.word is not None and not self.redirecting:
            self.commands[-1].append("".join(self.word))
        if self.word is not None:
            self.redirecting = False
        self.word = None

    def operator(self, text: str) -> None:
        redirection = "<" in text or ">" in text
        # The file descriptor of `2>` is no word of the command.
        if redirection and self.word is not None and "".join(self.word) in _DESCRIPTORS:
            self.word = None
        self.end_word()
        self.redirecting = redirection
        if not redirection:
            self.commands.append([])


def split_commands(text: str) -> list[list[str]]:
    """The words of each command of the text, without redirections and comments.

    Raises InvalidRequest when a quote is not closed or the text is too long to be a
    command.
    """
    if len(text) > _LONGEST_TEXT:
        raise InvalidRequest(
            f"The command has {len(text)} characters, more than {_LONGEST_TEXT}.",
            "Give only the line that starts vLLM.",
        )
    splitter = _Splitter()
    position = 0
    while position < len(text):
        comment = _COMMENT.match(text, position) if splitter.word is None else None
        match = comment or _TOKEN.match(text, position)
        if match is None:
            raise InvalidRequest(
                "The quotes or backslashes of the command do not match.",
                "Close every quote; write JSON in single quotes.",
            )
        position = match.end()
        if comment is None:
            _take(splitter, match)
    splitter.end_word()
    return [command for command in splitter.commands if command]


def _take(splitter: _Splitter, match: re.Match[str]) -> None:
    text = match[match.lastgroup or 0]
    match match.lastgroup:
        case "space":
            # A continued line does not end the word before it.
            if not text.startswith("\\"):
                splitter.end_word()
        case "operator":
            splitter.operator(text)
        case "double":
            splitter.add(_ESCAPED_IN_QUOTES.sub(lambda found: found["kept"] or "", text))
        case _:
            splitter.add(text)
