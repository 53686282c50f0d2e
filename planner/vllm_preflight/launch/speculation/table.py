"""Which drafting methods and targets each vLLM release knows, read from `methods.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import parse_version


@cache
def _table() -> Mapping[str, Any]:
    text = (
        resources.files("vllm_preflight.launch.speculation")
        .joinpath("methods.json")
        .read_text(encoding="utf-8")
    )
    return json.loads(text)


@lru_cache(maxsize=128)
def methods_of(version: Version) -> frozenset[str]:
    """The methods that the release's speculative_config takes.

    Earlier than the first release that lists them, the first list.
    """
    return _present("methods", version)


@lru_cache(maxsize=512)
def last_release_with(method: str) -> str | None:
    """The last release that had a method which later ones lack; None for all others."""
    rows = _table()["methods"]
    return next((row.get("last") for row in rows if row["name"] == method), None)


def is_prediction_target(names: Iterable[str], version: Version) -> bool:
    """Whether the release makes a multi-token predictor of a target of one of these names.

    `names` are its model types and classes; underscores and case do not matter.
    """
    known = _prediction_targets(version)
    return any(_plain(name) in known for name in names)


@lru_cache(maxsize=128)
def eagle3_targets(version: Version) -> tuple[str, ...] | None:
    """Parts of model types the release limits EAGLE-3 to; None where it has no such list."""
    rows = [r for r in _table()["eagle3_targets"] if parse_version(r["since"]) <= version]
    value = rows[-1]["value"] if rows else None
    return None if value is None else tuple(value)


@lru_cache(maxsize=128)
def _prediction_targets(version: Version) -> frozenset[str]:
    return frozenset(_plain(name) for name in _present("mtp_targets", version))


def _present(kind: str, version: Version) -> frozenset[str]:
    table = _table()
    at = max(version, parse_version(table["releases"][0]))
    return frozenset(
        row["name"]
        for row in table[kind]
        if parse_version(row["since"]) <= at
        and ("last" not in row or at <= parse_version(row["last"]))
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
