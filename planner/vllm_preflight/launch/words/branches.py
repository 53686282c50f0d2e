"""Which parts of shell text run: if, elif, else and && decided where constants decide them.

A condition that only the running machine could answer leaves its branch open: what is
set there is not taken over, and said to be left out.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from vllm_preflight.launch.words.expand import Expanded, Variables, assignment, expand
from vllm_preflight.launch.words.split import SimpleCommand, Word

# Words before a command that are none of it.
_KEYWORDS = frozenset(
    {"if", "elif", "then", "else", "fi", "while", "until", "do", "done", "{", "}", "time"}
)
_COMPARED: Mapping[str, Callable[[int, int], bool]] = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-gt": operator.gt,
    "-ge": operator.ge,
    "-lt": operator.lt,
    "-le": operator.le,
}
_PATTERN = re.compile(r"[*?\[\]]")


@dataclass
class _If:
    """One `if`: whether the branch being read runs (None: open), and whether one has."""

    runs: bool | None
    decided: bool | None
    conditions: int = 0
    testing: bool = True


class Branches:
    """The ifs around the command being read, and how the command before it ended."""

    def __init__(self) -> None:
        self._open: list[_If] = []
        # What a test said, None where it is open; other commands are taken to succeed.
        self._last: bool | None = True
        self._last_is_test = False
        self._chained: bool | None = True

    @property
    def certain(self) -> bool:
        """Whether the command just entered surely runs."""
        inside = (state for state in self._open if not state.testing)
        return self._chained is True and all(state.runs is True for state in inside)

    def sets_first(self, simple: SimpleCommand, known: Variables) -> bool:
        """Whether the command of an open if sets variables that nothing has set before."""
        found = [assignment(word) for word in simple.words]
        return (
            bool(self._open)
            and self._chained is True
            and all(
                item is not None
                and not item[1]
                and item[0] not in known.values
                and item[0] not in known.arrays
                for item in found
            )
        )

    def enter(self, simple: SimpleCommand, known: Variables) -> SimpleCommand | None:
        """The command without shell keywords; None where it is none, or surely not run."""
        words = list(simple.words)
        head = _bare(words)
        while head in _KEYWORDS:
            self._keyword(head)
            words = words[1:]
            head = _bare(words)
        if not words or any(s.runs is False and not s.testing for s in self._open):
            return None
        is_test, verdict = _verdict(words, known)
        if self._open and self._open[-1].testing:
            state = self._open[-1]
            state.conditions += 1
            state.runs = verdict
            self._chained = True
            return None if is_test else _behind(simple, len(words))
        self._chained = self._runs_after(simple.joined)
        if self._chained is False:
            return None
        self._last, self._last_is_test = verdict if is_test else True, is_test
        return None if is_test else _behind(simple, len(words))

    def _keyword(self, head: str) -> None:
        if head == "if":
            self._open.append(_If(None, False))
            return
        if not self._open:
            return
        state = self._open[-1]
        if head == "fi":
            self._open.pop()
        elif head == "then":
            state.testing = False
            if state.conditions != 1:
                state.runs = None
            if state.decided is True:
                state.runs = False
            elif state.decided is None and state.runs is True:
                state.runs = None
        elif head == "elif":
            state.decided = _either(state.decided, state.runs)
            state.testing, state.conditions, state.runs = True, 0, None
        elif head == "else":
            decided = _either(state.decided, state.runs)
            state.runs = None if decided is None else not decided
            state.testing = False

    def _runs_after(self, joined: str) -> bool | None:
        """Whether a command behind && or || runs; None where that is open."""
        if joined == "&&":
            return self._last
        if joined == "||":
            return None if self._last is None or not self._last_is_test else not self._last
        return True


def left_open(simple: SimpleCommand, known: Variables) -> list[str]:
    """What to say of variables that a command may set; new ones are empty without it."""
    names = [found[0] for word in simple.words if (found := assignment(word))]
    for name in names:
        if name not in known.values and name not in known.arrays:
            known.assign(name, Expanded(""))
            known.arrays[name] = []
    return [
        f"The text sets {name} only on a condition that is not known here; it is left out."
        for name in names
    ]


def with_arguments(variables: Variables, words: Sequence[Expanded]) -> Variables:
    """The variables with the words after `-c TEXT` as $0, $1, … and $@."""
    known = variables.copy()
    for index, word in enumerate(words):
        known.assign(str(index), word)
    known.arrays["@"] = list(words[1:])
    return known


def _behind(simple: SimpleCommand, kept: int) -> SimpleCommand:
    """The command without the keywords before its last words."""
    dropped = len(simple.words) - kept
    return replace(simple, words=simple.words[dropped:], spans=simple.spans[dropped:])


def _either(first: bool | None, second: bool | None) -> bool | None:
    if first is True or second is True:
        return True
    return None if first is None or second is None else False


def _bare(words: Sequence[Word]) -> str:
    return words[0][0].text if words and words[0] and words[0][0].mode == "bare" else ""


def _verdict(words: Sequence[Word], known: Variables) -> tuple[bool, bool | None]:
    """Whether the words are a test, and what it says of constants (None: open)."""
    head = _bare(words)
    if head in {"true", "false"}:
        return True, head != "false"
    if head not in {"[", "[[", "test"}:
        return False, None
    expanded = [item for word in words[1:] for item in expand(word, known)]
    if head != "test":
        expanded = expanded[:-1]
    return True, _tested(expanded, patterns=head == "[[")


def _tested(words: Sequence[Expanded], *, patterns: bool) -> bool | None:
    if any(word.missing for word in words):
        return None
    texts = [word.text for word in words]
    if texts[:1] == ["!"]:
        inner = _tested(words[1:], patterns=patterns)
        return None if inner is None else not inner
    match texts:
        case []:
            return False
        case [text]:
            return bool(text)
        case ["-n", text]:
            return bool(text)
        case ["-z", text]:
            return not text
        case [left, "=" | "==" | "!=" as sign, right]:
            if patterns and _PATTERN.search(right):
                return None
            return (left == right) is (sign != "!=")
        case [left, sign, right] if sign in _COMPARED:
            try:
                return _COMPARED[sign](int(left), int(right))
            except ValueError:
                return None
        case _:
            return None
