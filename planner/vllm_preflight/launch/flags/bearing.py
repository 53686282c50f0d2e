"""The arguments that bear on memory: what they are called here and how they are written.

Source of the table: `bearing.json`; when they exist: `arguments.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from vllm_preflight.launch.flags.table import lifetime, parser_of
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import NEWEST_KNOWN, format_version

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
Target = Literal["request", "extra"]

AUTO_LENGTH = "auto"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag that bears on memory: its spelling, its value's name, how that is written.

    `reckoned` is false for what may change memory and the engine does not follow;
    `minimum` is the least number an argument without a request field may have.
    """

    flag: str
    name: str
    kind: Kind
    target: Target
    reckoned: bool = True
    minimum: int = 0

    @property
    def since(self) -> Version | None:
        """The first release with the flag, None for the oldest known one."""
        life = lifetime(self.flag)
        return life.since if life else None

    @property
    def until(self) -> Version | None:
        """The first release without the flag, None where the newest has it."""
        life = lifetime(self.flag)
        return life.until if life else None

    @property
    def takes_many(self) -> bool:
        """Whether all following words are values."""
        return self.kind in {"texts", "integers"}


@cache
def all_flags() -> tuple[Flag, ...]:
    """Every flag that bears on memory, in the order in which commands are written."""
    text = (
        resources.files("vllm_preflight.launch.flags")
        .joinpath("bearing.json")
        .read_text(encoding="utf-8")
    )
    return tuple(
        Flag(
            flag=entry["flag"],
            name=entry.get("name", entry["flag"][2:].replace("-", "_")),
            kind=entry["type"],
            target=entry["target"],
            reckoned=entry.get("reckoned", True),
            minimum=entry.get("minimum", 0),
        )
        for entry in json.loads(text)["flags"]
    )


@cache
def _by_name() -> Mapping[str, Flag]:
    return {flag.name: flag for flag in all_flags()}


def flag_of(name: str) -> Flag | None:
    """The flag of a request field or extra argument by its vLLM name."""
    return _by_name().get(name)


def find_flag(spelling: str) -> Flag | None:
    """The flag of a spelling that the newest release takes."""
    argument = parser_of(NEWEST_KNOWN).by_spelling.get(spelling.replace("_", "-"))
    return None if argument is None else flag_of(argument.dest)


def unavailable(flag: Flag, version: Version) -> str | None:
    """A sentence where the release does not have the flag, None where it does."""
    if flag.since is not None and version < flag.since:
        return (
            f"vLLM {format_version(version)} has no {flag.flag}; it came with "
            f"{format_version(flag.since)}."
        )
    if flag.until is not None and version >= flag.until:
        return f"vLLM {format_version(version)} has no {flag.flag} any more."
    return None
