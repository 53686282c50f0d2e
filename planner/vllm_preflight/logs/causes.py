"""What goes wrong with vLLM, as data: how it reads in a log, why, and what to do.

`causes.json` holds a cause a row: its words and pattern, the remedy, the file or setting
that has it, and whose message it is. A row is a cause, a symptom that a server survives, or
only the consequence of what stands above it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from vllm_preflight.logs.startup_log import FailureKind

_FIRST_CHARACTERS = 1_500

Role = Literal["cause", "symptom", "consequence"]


@dataclass(frozen=True)
class Cause:
    """One row of the catalogue.

    Attributes:
        words: plain texts of which a line has at least one.
        kind: as a failure of a start-up is classed.
        when: "start", "serving" or "any".
        setting: the flag, variable or file that has the remedy.
        certain: false where the line has other causes too, and the likeliest is told.
        since, until: releases of vLLM that say so, where not all do.
        excerpt: an invented line that shows it.
    """

    id: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]
    kind: FailureKind
    role: Role
    when: str
    cause: str
    remedy: str
    setting: str
    source: str
    excerpt: str
    since: str | None = None
    until: str | None = None
    certain: bool = True


@cache
def load_causes() -> tuple[Cause, ...]:
    """The catalogue; of two causes that fit one line the earlier is meant."""
    path = Path(__file__).with_name("causes.json")
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["causes"]
    for row in rows:
        row["words"], row["pattern"] = tuple(row["words"]), re.compile(row["pattern"])
    return tuple(Cause(**row) for row in rows)


@cache
def cause_words() -> tuple[str, ...]:
    """Every text that a line of any cause has."""
    return tuple(dict.fromkeys(word for cause in load_causes() for word in cause.words))


def find_cause(line: str, roles: Sequence[Role] = ("cause",)) -> Cause | None:
    """The first cause of these roles that a line tells of."""
    # An error says what it is at once; what follows may be anybody's text.
    line = line[:_FIRST_CHARACTERS]
    for cause in load_causes():
        fits = cause.role in roles and any(word in line for word in cause.words)
        if fits and cause.pattern.search(line):
            return cause
    return None


def cause_of(name: str) -> Cause | None:
    """The row of that id."""
    return next((cause for cause in load_causes() if cause.id == name), None)
