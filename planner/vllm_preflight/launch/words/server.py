"""A vLLM server that shell text starts, and the same text with its words changed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal

from vllm_preflight.launch.words.devices import Visible
from vllm_preflight.launch.words.expand import Expanded
from vllm_preflight.launch.words.split import Span

Entry = Literal["serve", "module", "image", "batch"]

# Blanks and continued lines before a word that is taken out.
_BROKEN = re.compile(r"\\[ \t]+\r?\n")
_BEFORE = re.compile(r"(?:[ \t]|\\\r?\n)*$")


@dataclass(frozen=True, slots=True)
class Level:
    """One text that holds the server's words, itself or in one of its own words.

    `held` is where the next inner text stands in it: a word, with what of it comes before
    that text, or lines as they are (`raw`). None where the inner text is put together from
    several words.
    """

    text: str
    held: Span | None = None
    before: str = ""
    raw: bool = False


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """The words after `vllm serve`, the variables set for it and the image it runs in.

    `entry` is how it is started: `vllm serve`, the older server module, an image's own entry
    point, or `vllm run-batch`, which is no server and has a server's engine. `assigned` are the
    variables written right before the command, `unexported` those that the text sets and the
    server does not see. `visible` limits the GPUs. `installed` is what the text says of the
    vLLM it installs, `built_for` the platform of that. `levels` are the texts that hold the
    words, the innermost first; `head` is the word before them and `program` the one that starts
    the command, or the image whose options may set variables.
    """

    words: tuple[Expanded, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    assigned: tuple[str, ...] = ()
    unexported: tuple[str, ...] = ()
    entry: Entry = "serve"
    image: str | None = None
    visible: tuple[Visible, ...] = ()
    installed: str | None = None
    built_for: str | None = None
    notes: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    head: Expanded | None = None
    program: Expanded | None = None

    def rewritten(
        self, words: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> str | None:
        """The whole text with these words after `vllm serve`, and variables set for it.

        None where a word to be changed is not written in the text by itself.
        """
        edits = self._edits(words)
        if edits is None:
            return None
        if variables:
            if self.program is None or self.program.span is None:
                return None
            option = "-e " if self.image is not None and self.program.text == self.image else ""
            settings = "".join(
                f"{option}{name}={shlex.quote(value)} " for name, value in variables.items()
            )
            start = self.program.span[0]
            edits.append((start, start, settings))
        return self._applied(edits)

    def followed_by(self, text: str) -> str | None:
        """The whole text with more shell text behind the server's words."""
        end = self._end_before(len(self.words))
        return None if end is None else self._applied([(end, end, f" {text}")])

    def _applied(self, edits: Sequence[tuple[int, int, str]]) -> str | None:
        """The whole text with parts of the innermost one replaced."""
        if not self.levels:
            return None
        first, *outer = self.levels
        inner, text = first.text, _edited(first.text, edits)
        for level in outer:
            if text == inner:
                inner = text = level.text
                continue
            if level.held is None:
                return None
            inner, text = level.text, _edited(level.text, [_held(level, text)])
        return text

    def _edits(self, words: Sequence[str]) -> list[tuple[int, int, str]] | None:
        """What to change where in the innermost text; None where that is not possible."""
        old = [word.text for word in self.words]
        edits: list[tuple[int, int, str]] = []
        text = self.levels[0].text if self.levels else ""
        matcher = SequenceMatcher(None, old, list(words), autojunk=False)
        for kind, start, end, new_start, new_end in matcher.get_opcodes():
            if kind == "equal":
                continue
            fresh = [shlex.quote(word) for word in words[new_start:new_end]]
            spans = [self._own_span(index) for index in range(start, end)]
            if any(span is None for span in spans):
                return None
            for span in spans:
                if span is not None and fresh:
                    edits.append((*span, fresh.pop(0)))
                elif span is not None and (broken := _BROKEN.match(text, span[0])):
                    # The line goes on once nothing follows its backslash.
                    edits.append((*broken.span(), "\\\n"))
                elif span is not None:
                    blanks = _BEFORE.search(text, 0, span[0])
                    edits.append((blanks.start() if blanks else span[0], span[1], ""))
            if fresh:
                place = self._end_before(end)
                if place is None:
                    return None
                edits.append((place, place, "".join(f" {word}" for word in fresh)))
        return edits

    def _own_span(self, index: int) -> Span | None:
        """Where a word is written, if it alone is written there."""
        span = self.words[index].span
        beside = self.words[max(0, index - 1) : index] + self.words[index + 1 : index + 2]
        return None if any(word.span == span for word in beside) else span

    def _end_before(self, index: int) -> int | None:
        """Where the word before the one at `index` ends."""
        before = self.words[index - 1] if index else self.head
        return None if before is None or before.span is None else before.span[1]


def _held(level: Level, text: str) -> tuple[int, int, str]:
    """An inner text in its place, quoted as it was."""
    assert level.held is not None
    start, end = level.held
    if level.raw:
        return start, end, text
    if level.text[start + len(level.before) : end].startswith('"') and ("$" in text or "'" in text):
        escaped = re.sub(r'(["\\`])', r"\\\1", text)
        return start, end, f'{level.before}"{escaped}"'
    return start, end, level.before + shlex.quote(text)


def _edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """The text with its parts replaced; of two edits at one place the first stands first."""
    pieces: list[str] = []
    place = 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        pieces += [text[place : max(place, start)], new]
        place = max(place, end)
    return "".join([*pieces, text[place:]])
