"""Which release of vLLM a requirement such as `vllm>=0.11,<0.13` means."""

from __future__ import annotations

import re
from functools import cache

from vllm_preflight.launch.acceptance.tables import table
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import parse_version

_RULE = re.compile(r"(===|==|~=|!=|<=|>=|<|>|=)v?(\d+(?:\.\d+)*)[\w.+-]*?(\.\*)?")
_EXACT = frozenset({"==", "===", "="})


def release_allowed(said: str) -> tuple[str | None, bool]:
    """The newest known release that `said` allows, and whether it is the only one.

    None where it names none, or allows none that is known.
    """
    rules = [_RULE.fullmatch(rule.strip()) for rule in said.split(",")]
    if not said or any(rule is None for rule in rules):
        return None, False
    found = [(rule[1], rule[2], bool(rule[3])) for rule in rules if rule is not None]
    exact = [
        text for kind, text, any_patch in found if kind in {"==", "===", "="} and not any_patch
    ]
    if exact:
        whole = said.strip("= ") if len(found) == 1 else exact[0]
        return whole, True
    fitting = [
        name
        for name, version in _releases()
        if all(_allows(kind, text, any_patch, version) for kind, text, any_patch in found)
    ]
    return (fitting[-1] if fitting else None), False


def _allows(kind: str, text: str, any_patch: bool, version: Version) -> bool:
    parts = tuple(int(part) for part in text.split("."))
    same = version[: len(parts)] == parts
    padded = (*parts, 0, 0, 0)[:3]
    match kind:
        case "==" | "===" | "=":
            return same
        case "!=":
            return not same if any_patch else version != padded
        case "~=":
            return version >= padded and version[: len(parts) - 1] == parts[:-1]
        case "<=":
            return version <= padded
        case ">=":
            return version >= padded
        case "<":
            return version < padded
        case _:
            return version > padded


@cache
def _releases() -> tuple[tuple[str, Version], ...]:
    """The releases that are known, the oldest first."""
    return tuple((name, parse_version(name)) for name in table("registry")["releases"])
