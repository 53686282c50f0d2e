"""The arguments of `vllm serve` in one release, as its parser declares them.

Read from `arguments.json`, which `scripts/build_flags.py` writes from the releases' wheels.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version, parse_version

Action = Literal["store", "switch", "on", "boolean", "append", "lora_modules", "adapters"]

# How the table calls the positional argument, and the spelling that sets the same.
MODEL_TAG = "model_tag"
# Between why a flag is gone and what says the same now.
PLACE_TAKEN = " Its place is taken by "
_PAIRS = {"--enable-": "--disable-", "--disable-": "--enable-"}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of one release.

    `flag` is its first long spelling and `spellings` all that set it; `negations` those
    that switch it off. `nargs` is argparse's (None: one value), `choices` are empty where
    any value does, `optional` says that None and an empty text mean "not given",
    `config` names the class whose keys a JSON object may have, `levels` that 0 to 3 stand
    for the whole object.
    """

    flag: str
    dest: str
    spellings: tuple[str, ...]
    negations: tuple[str, ...] = ()
    action: Action = "store"
    type: str = "text"
    nargs: str | int | None = None
    choices: tuple[str | int, ...] = ()
    optional: bool = False
    config: str | None = None
    levels: bool = False
    default: str | None = None

    @property
    def takes_value(self) -> bool:
        """Whether a value may follow."""
        return self.action not in {"switch", "on"}

    @property
    def title(self) -> str:
        """How argparse names it in an error."""
        return "/".join(self.spellings + tuple(n for n in self.negations if _visible(self, n)))


def _visible(argument: Argument, negation: str) -> bool:
    # The older --no- form of a pair is accepted, but not listed.
    pairs = [n for n in argument.negations if not n.startswith("--no-")]
    return not pairs or negation in pairs


@dataclass(frozen=True, slots=True)
class Parser:
    """What one release accepts: every spelling with its argument."""

    version: Version
    by_spelling: Mapping[str, Argument]
    model_required: bool
    default_model: str | None


@functools.cache
def _table() -> Mapping[str, Any]:
    text = (
        resources.files("vllm_preflight.launch.flags")
        .joinpath("arguments.json")
        .read_text(encoding="utf-8")
    )
    return json.loads(text)


def known_releases() -> tuple[Version, ...]:
    """Every release whose parser was read, the oldest first."""
    return tuple(parse_version(text) for text in _table()["releases"])


@functools.lru_cache(maxsize=64)
def parser_of(version: Version) -> Parser:
    """The parser of a release; between two that were read, that of the earlier one."""
    arguments = {
        entry["flag"]: _argument(entry["flag"], span, version)
        for entry in _table()["arguments"]
        if (span := _span(entry["history"], version)) is not None
    }
    tag = arguments.pop(MODEL_TAG)
    by_spelling = {
        spelling: argument
        for argument in arguments.values()
        for spelling in (*argument.spellings, *argument.negations)
    }
    model = by_spelling["--model"].default
    return Parser(version, by_spelling, tag.nargs != "?", model)


def _span(history: Sequence[Mapping[str, Any]], version: Version) -> Mapping[str, Any] | None:
    for span in history:
        begins = "since" not in span or version >= parse_version(span["since"])
        if begins and ("until" not in span or version < parse_version(span["until"])):
            return span
    return None


def _argument(flag: str, span: Mapping[str, Any], version: Version) -> Argument:
    spellings = (flag, *span.get("aliases", ()))
    action: Action = span.get("action", "store")
    return Argument(
        flag=flag,
        dest=span.get("dest", flag.lstrip("-").replace("-", "_")),
        spellings=spellings,
        negations=_negations(spellings, version) if action == "switch" else (),
        action=action,
        type="boolean" if action == "boolean" else span.get("type", "text"),
        nargs=span.get("nargs"),
        choices=tuple(span.get("choices", ())),
        optional=span.get("optional", False),
        config=span.get("config"),
        levels=span.get("levels", False),
        default=span.get("default"),
    )


def _negations(spellings: Sequence[str], version: Version) -> tuple[str, ...]:
    """`--no-x` of every long spelling; since 0.33 also --disable-x of --enable-x and back."""
    long = [spelling for spelling in spellings if spelling.startswith("--")]
    negations = [f"--no-{spelling[2:]}" for spelling in long]
    if version >= parse_version(_table()["pairs_since"]):
        negations += [
            inverse + spelling.removeprefix(prefix)
            for spelling in long
            for prefix, inverse in _PAIRS.items()
            if spelling.startswith(prefix)
        ]
    return tuple(negations)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a flag, or a key, existed: first release, first one without it, and what replaces it.

    `without` says why later releases need nothing instead, where that is known.
    """

    flag: str
    since: Version | None
    until: Version | None
    replaced_by: str | None
    without: str | None = None

    def absent_in(self, version: Version) -> str:
        """A sentence on why a release without the flag has not got it."""
        if self.since is not None and version < self.since:
            return f"{self.flag} came with vLLM {format_version(self.since)}."
        last = max((v for v in known_releases() if self.until and v < self.until), default=version)
        return f"{self.flag} was last in vLLM {format_version(last)}."

    def gone_in(self, version: Version) -> str:
        """The same with what takes its place, or that nothing does."""
        said = self.absent_in(version)
        if self.since is not None and version < self.since:
            return said
        if self.replaced_by is not None:
            return f"{said}{PLACE_TAKEN}{self.replaced_by}."
        if self.without is not None:
            return f"{said} Nothing takes its place: {self.without}."
        return said


@functools.cache
def _lifetimes() -> Mapping[str, Lifetime]:
    oldest, pairs_since = known_releases()[0], parse_version(_table()["pairs_since"])
    found: dict[str, Lifetime] = {}
    for entry in _table()["arguments"]:
        for span in entry["history"]:
            begins = parse_version(span["since"]) if "since" in span else oldest
            until = parse_version(span["until"]) if "until" in span else None
            starts = [begins]
            if begins < pairs_since and (until is None or pairs_since < until):
                starts.append(pairs_since)
            for start in starts:
                argument = _argument(entry["flag"], span, start)
                for spelling in (*argument.spellings, *argument.negations):
                    since = found[spelling].since if spelling in found else start
                    found[spelling] = Lifetime(
                        spelling,
                        None if since == oldest else since,
                        until,
                        entry.get("replaced_by"),
                        entry.get("without"),
                    )
    return found


def lifetime(spelling: str) -> Lifetime | None:
    """When some release had that spelling; None where none ever had it."""
    return _lifetimes().get(spelling)
