"""Shell text split into commands and words, as a POSIX shell splits it.

Quotes, backslashes, comments, line continuations, redirections, here-documents, arrays and
the operators between commands are understood; nothing is expanded or run. A word is kept as
its pieces, since what quotes protect decides how it expands. `<name>` is no redirection
here: people write placeholders so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from vllm_preflight.base.errors import InvalidRequest

_LONGEST_TEXT = 100_000
_DESCRIPTORS = frozenset({"0", "1", "2"})
_TOKEN = re.compile(
    r"""
      (?P<space> [ \t\r]+ | \\\r?\n )
    | (?P<placeholder> <[A-Za-z][\w.:/@-]*(?:[ ][\w.:/-]+){0,4}(?<![ ][12])> )
    | (?P<heredoc> <<-?[ \t]*(?P<quote>['"]?)(?P<mark>\w+)(?P=quote) )
    | (?P<operator> [;&|()<>\n]+ )
    | '(?P<single> [^']* )'
    | "(?P<double> (?:\\.|[^"\\])* )"
    | \\(?P<escaped> . )
    | (?P<bare> (?: \$\{[^}\n]{0,300}+\} | \{\{[^{}\n]{0,100}+\}\} | [^ \t\r\n;&|()<>'"\\] )+ )
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"#[^\n]*")
# The continuations of cmd and PowerShell, where a blank stands before them.
_FOREIGN_CONTINUATION = re.compile(r"[\^`][ \t]*\r?\n")
_ARRAY = re.compile(r"[A-Za-z_]\w*\+?=")
# What a backslash protects inside double quotes; an escaped line end disappears.
_ESCAPED_IN_QUOTES = re.compile(r"\\(?:\r?(?P<line>\n)|(?P<kept>[\"\\`]))")

Mode = Literal["bare", "double", "literal", "placeholder", "array"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a word: bare text expands and splits, double-quoted text only expands.

    An array holds the words between its parentheses.
    """

    text: str
    mode: Mode
    items: tuple[tuple[Piece, ...], ...] = ()


Word = tuple[Piece, ...]
# Where in a text something stands, as a slice.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """The words of one command, where each stands, and its here-documents' places.

    `joined` is the operator before it: "&&", "||", "|", ";" and so on, "" for the first.
    """

    words: tuple[Word, ...]
    spans: tuple[Span, ...]
    documents: tuple[Span, ...] = ()
    joined: str = ""


@dataclass
class _Splitter:
    """The commands so far, and the word being put together from its pieces."""

    text: str
    position: int = 0
    commands: list[list[tuple[Word, Span]]] = field(default_factory=lambda: [[]])
    documents: list[list[Span]] = field(default_factory=lambda: [[]])
    operators: list[str] = field(default_factory=lambda: [""])
    pending: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    word: list[Piece] | None = None
    # The word so far: where it begins and ends.
    span: Span = (0, 0)
    redirecting: bool = False
    nested: bool = False

    def add(self, piece: Piece, start: int, end: int) -> None:
        """Take a piece of a word, which stands from `start` to `end`."""
        if self.word is None:
            self.word = []
            self.span = (start, end)
        self.word.append(piece)
        self.span = (self.span[0], end)
        self.position = end

    def end_word(self) -> None:
        if self.word is not None and not self.redirecting:
            self.commands[-1].append((tuple(self.word), self.span))
        if self.word is not None:
            self.redirecting = False
        self.word = None

    def written(self) -> str:
        """The word so far, as text."""
        return "".join(piece.text for piece in self.word or ())

    def operator(self, text: str) -> None:
        redirection = "<" in text or ">" in text
        # The file descriptor of `2>` is no word of the command.
        if redirection and self.written() in _DESCRIPTORS:
            self.word = None
        self.end_word()
        self.redirecting = redirection
        if not redirection:
            self.commands.append([])
            self.documents.append([])
            self.operators.append(text.strip())
        if "\n" in text:
            self._read_documents(text)

    def _read_documents(self, operator: str) -> None:
        """Take the bodies of here-documents, which begin at the line end just read."""
        if not self.pending:
            return
        start = self.position - len(operator) + operator.index("\n") + 1
        for index, mark in self.pending:
            end = re.compile(rf"^[ \t]*{mark}[ \t]*$", re.MULTILINE).search(self.text, start)
            stop = end.start() if end else len(self.text)
            self.documents[index].append((start, stop))
            start = end.end() if end else stop
        self.pending.clear()
        self.position = max(self.position, start)


def split_commands(text: str) -> list[SimpleCommand]:
    """The commands of the text, without redirections and comments.

    Raises InvalidRequest when a quote is not closed or the text is too long to be a
    command.
    """
    if len(text) > _LONGEST_TEXT:
        raise InvalidRequest(
            f"The command has {len(text)} characters, more than {_LONGEST_TEXT}.",
            "Give only the line that starts vLLM.",
        )
    splitter = _Splitter(text)
    while splitter.position < len(text):
        _step(splitter)
    splitter.end_word()
    found = zip(splitter.commands, splitter.documents, splitter.operators, strict=True)
    return [
        SimpleCommand(
            tuple(word for word, _ in words),
            tuple(span for _, span in words),
            tuple(documents),
            operator,
        )
        for words, documents, operator in found
        if words
    ]


def _unmatched() -> InvalidRequest:
    return InvalidRequest(
        "The quotes or backslashes of the command do not match.",
        "Close every quote and bracket; write JSON in single quotes.",
    )


def _step(splitter: _Splitter) -> None:
    """Read one token."""
    text, position = splitter.text, splitter.position
    if splitter.word is None:
        skipped = _COMMENT.match(text, position) or _FOREIGN_CONTINUATION.match(text, position)
        if skipped:
            splitter.position = skipped.end()
            return
    if end := _substitution_end(text, position):
        splitter.add(Piece(text[position:end], "bare"), position, end)
        return
    match = _TOKEN.match(text, position)
    if match is None:
        raise _unmatched()
    if match["bare"] is not None and (cut := _substitution_start(match["bare"])):
        # Text before a substitution, which is read as a piece of its own.
        splitter.add(Piece(match["bare"][:cut], "bare"), position, position + cut)
        return
    splitter.position = match.end()
    _take(splitter, match)


def _substitution_start(bare: str) -> int:
    """Where in bare text a substitution begins, 0 where none does after the first letter."""
    tick = bare.find("`", 1)
    if tick > 0:
        return tick
    return len(bare) - 1 if bare.endswith("$") else 0


def _substitution_end(text: str, position: int) -> int:
    """The end of a `$(…)`, `$((…))` or back-ticked text that begins here; 0 where none does."""
    if text.startswith("`", position):
        end = text.find("`", position + 1)
        return end + 1 if end > 0 and "\n" not in text[position:end] else 0
    if not text.startswith("$(", position):
        return 0
    depth = 0
    for index in range(position + 1, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index + 1
    raise _unmatched()


def _take(splitter: _Splitter, match: re.Match[str]) -> None:
    kind = "heredoc" if match["mark"] else match.lastgroup
    text = match[kind or 0]
    start, end = match.span()
    match kind:
        case "space":
            # A continued line does not end the word before it.
            if not text.startswith("\\"):
                splitter.end_word()
        case "heredoc":
            splitter.end_word()
            splitter.pending.append((len(splitter.commands) - 1, match["mark"]))
        case "operator":
            if text.startswith("(") and _ARRAY.fullmatch(splitter.written()):
                _take_array(splitter, match)
            else:
                splitter.operator(text)
        case "double":
            kept = _ESCAPED_IN_QUOTES.sub(lambda found: found["kept"] or "", text)
            splitter.add(Piece(kept, "double"), start, end)
        case "bare":
            splitter.add(Piece(text, "bare"), start, end)
        case "placeholder":
            splitter.add(Piece(text, "placeholder"), start, end)
        case _:
            splitter.add(Piece(text, "literal"), start, end)


def _take_array(splitter: _Splitter, match: re.Match[str]) -> None:
    """The words between the parentheses of `NAME=(…)`."""
    if splitter.nested:
        # A shell has no arrays of arrays.
        raise _unmatched()
    start = match.start() + 1
    inner = _Splitter(splitter.text, start, nested=True)
    while inner.position < len(inner.text) and inner.text[inner.position] != ")":
        if inner.text[inner.position] == "\n":
            inner.end_word()
            inner.position += 1
            continue
        _step(inner)
    inner.end_word()
    items = tuple(word for command in inner.commands for word, _ in command)
    splitter.add(Piece("", "array", items), match.start(), inner.position + 1)
