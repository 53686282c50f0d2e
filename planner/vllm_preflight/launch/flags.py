"""vLLM's flags: which exist, what they are called, and what their values may be.

Source of the table: `flags.json`. Values mean what vLLM's own parser takes them for.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.nested import json_object, read_mm_limits
from vllm_preflight.launch.versions import format_version, parse_version

Kind = Literal[
    "text",
    "texts",
    "integer",
    "integers",
    "number",
    "scaled",
    "length",
    "switch",
    "json",
    "json_text",
    "limits",
]
Target = Literal["request", "extra", "none"]

AUTO_LENGTH = "auto"
_SHORTEST_ABBREVIATION = len("--max-nu")

_SCALED = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)([kKmMgGtT])")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its spelling, the name of its value, what it takes and whom it concerns.

    `reckoned` is false for what may change memory and the engine does not follow;
    `minimum` is the least number an argument without a request field may have.
    """

    flag: str
    name: str
    kind: Kind
    target: Target
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    reckoned: bool = True
    minimum: int = 0

    @property
    def takes_many(self) -> bool:
        """Whether all following words are values."""
        return self.kind in {"texts", "integers"}

    @property
    def is_nested(self) -> bool:
        """Whether `--flag.key value` sets one key of its JSON object."""
        return self.kind in {"json", "json_text", "limits"}


@cache
def all_flags() -> tuple[Flag, ...]:
    """Every flag of the table, those that bear on memory first."""
    text = (
        resources.files("vllm_preflight.launch").joinpath("flags.json").read_text(encoding="utf-8")
    )
    return tuple(
        Flag(
            flag=entry["flag"],
            name=entry.get("name", entry["flag"][2:].replace("-", "_")),
            kind=entry["type"],
            target=entry["target"],
            aliases=tuple(entry.get("aliases", ())),
            choices=tuple(entry.get("choices", ())),
            since=entry.get("since"),
            until=entry.get("until"),
            reckoned=entry.get("reckoned", True),
            minimum=entry.get("minimum", 0),
        )
        for entry in json.loads(text)["flags"]
    )


@cache
def _by_spelling() -> Mapping[str, Flag]:
    return {name: flag for flag in all_flags() for name in (flag.flag, *flag.aliases)}


@cache
def flag_of(name: str) -> Flag | None:
    """The flag of a request field or extra argument by its vLLM name."""
    return next((flag for flag in all_flags() if flag.name == name), None)


def find_flag(spelling: str) -> Flag | None:
    """The flag written as `spelling` ("-tp", "--max_model_len"), None when not known."""
    return _by_spelling().get(_dashes(spelling))


def abbreviated_flag(spelling: str) -> Flag | None:
    """The only flag that begins with `spelling`, as Python's argparse accepts it.

    Very short ones are left alone: vLLM has more flags than the table.
    """
    start = _dashes(spelling)
    if not start.startswith("--") or len(start) < _SHORTEST_ABBREVIATION:
        return None
    found = [flag for flag in all_flags() if flag.flag.startswith(start)]
    return found[0] if len(found) == 1 else None


def nearest_flag(spelling: str) -> str | None:
    """The known flag that `spelling` is most likely a misspelling of."""
    near = difflib.get_close_matches(_dashes(spelling), list(_by_spelling()), n=1, cutoff=0.86)
    return near[0] if near else None


def unavailable(flag: Flag, version: Version) -> str | None:
    """A sentence where the release does not have the flag, None where it does."""
    if flag.since is not None and version < parse_version(flag.since):
        return f"vLLM {format_version(version)} has no {flag.flag}; it came with {flag.since}."
    if flag.until is not None and version >= parse_version(flag.until):
        return f"vLLM {format_version(version)} has no {flag.flag} any more."
    return None


def _dashes(spelling: str) -> str:
    return spelling.replace("_", "-") if spelling.startswith("--") else spelling


def human_readable_int(text: str) -> int:
    """An integer as vLLM reads it: "1k" is 1,000, "1K" is 1,024, "25.6k" is 25,600.

    Decimals go with lower-case suffixes only. Raises ValueError with the rule.
    Source: vLLM utils/argparse_utils.py.
    """
    match = _SCALED.fullmatch(text.strip())
    if match is None:
        return _integer(text)
    number, suffix = match.groups()
    power = _POWERS[suffix.lower()]
    if suffix.islower():
        return int(float(number) * 1000**power)
    if "." in number:
        raise ValueError(
            f"a whole number before the binary suffix {suffix} (or {number}{suffix.lower()})"
        )
    return int(number) * 1024**power


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError("a whole number of at most 18 digits")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("a number")
    return value


def _length(text: str) -> int | str:
    if text.strip() == "-1" or text.strip().lower() == AUTO_LENGTH:
        return AUTO_LENGTH
    return human_readable_int(text)


def read_switch(text: str) -> bool:
    """A switch written with a value, as older releases allowed; ValueError otherwise."""
    lowered = text.strip().lower()
    if lowered in _TRUE | _FALSE:
        return lowered in _TRUE
    raise ValueError("true or false, or left out")


def _at_least(flag: Flag, value: Any) -> Any:
    """`value`, checked where no request does it: arguments only the launch reads."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and flag.target == "extra" and value < flag.minimum:
        raise ValueError(f"at least {flag.minimum}")
    return value


_READERS: Mapping[Kind, Callable[[str], Any]] = {
    "text": str,
    "integer": _integer,
    "number": _number,
    "scaled": human_readable_int,
    "length": _length,
    "switch": read_switch,
}


def read_value(flag: Flag, spelling: str, words: list[str]) -> Any:
    """The value of `flag` from the words after it.

    Raises InvalidRequest naming the flag as it was written, the value and the rule.
    """
    text = words[0]
    if flag.choices and text not in flag.choices:
        raise _refused(spelling, text, f"one of {', '.join(flag.choices)}")
    if flag.kind == "limits":
        read_mm_limits(text)
        return text
    if flag.is_nested:
        value = json_object(spelling, text)
        return value if flag.kind == "json" else text
    try:
        if flag.takes_many:
            reader = _integer if flag.kind == "integers" else str
            return [_at_least(flag, reader(word)) for word in words]
        return _at_least(flag, _READERS[flag.kind](text))
    except ValueError as error:
        raise _refused(spelling, " ".join(words), str(error)) from error


def _refused(spelling: str, value: str, rule: str) -> InvalidRequest:
    return InvalidRequest(
        f"{spelling} is {value[:60]!r}, but must be {rule}.", "Correct the value and ask again."
    )
