"""Instance types of the clouds: which GPU they have, and how many.

`instances.json` is written by `scripts/build_instances.py`.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# What services and people put before an instance type, or leave out.
_PREFIXES = ("ml.", "standard_", "ecs.")
# A machine type with GPUs attached: "n1-standard-8+T4".
_ATTACHED = re.compile(r"[a-z]\d[a-z]?-(?:standard|highmem|highcpu|custom)-[\d-]+\s*\+\s*(.+)")
_NEAR = 0.75
_SHORTEST_FAMILY = 2


@dataclass(frozen=True)
class Instance:
    """One instance type; `gpus` is None for a name of the GPU alone.

    `gpu` is the card's name in the catalogue.
    """

    id: str
    provider: str
    gpu: str
    gpus: int | None


@dataclass(frozen=True)
class _Table:
    instances: dict[str, Instance]
    other_chips: tuple[tuple[str, str], ...]


def load_instances() -> tuple[Instance, ...]:
    """Every instance type of the table, and the clouds' names of GPUs."""
    return tuple(dict.fromkeys(_table().instances.values()))


def find_instance(text: str) -> Instance | None:
    """The instance type `text` names, in any case and with any service's prefix."""
    return _table().instances.get(_key(text))


def attached_gpus(text: str) -> str | None:
    """What a machine type has attached ("n1-standard-8+2xT4" gives "2xT4"), else None."""
    match = _ATTACHED.fullmatch(text.strip().lower())
    return match[1] if match else None


def other_chip(text: str) -> str | None:
    """The accelerator, no GPU, of an instance type that has one; None elsewhere."""
    key = _key(text)
    return next((chip for prefix, chip in _table().other_chips if key.startswith(prefix)), None)


def family(text: str) -> tuple[Instance, ...]:
    """The instance types of which `text` is the beginning: "g6e" of g6e.xlarge, ….

    Fewest GPUs first; none where the text is no such beginning.
    """
    key = _key(text)
    if len(key) < _SHORTEST_FAMILY or not re.search(r"[a-z].*\d", key):
        return ()
    sizes = [
        instance
        for known, instance in _table().instances.items()
        if known.startswith((f"{key}.", f"{key}-", f"{key} ", f"{key}_"))
    ]
    return tuple(sorted(sizes, key=lambda instance: instance.gpus or 0))


def near_instances(text: str, n: int = 3) -> tuple[str, ...]:
    """At most `n` ids that are written like `text`; often none."""
    table = _table().instances
    near = difflib.get_close_matches(_key(text), table, n, _NEAR)
    return tuple(table[key].id for key in near)


def _key(text: str) -> str:
    key = re.sub(r"\s+", " ", text.strip().lower())
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


@cache
def _table() -> _Table:
    path = Path(__file__).with_name("instances.json")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rows = data["instances"] + data["accelerators"]
    found = [Instance(row["id"], row["provider"], row["gpu"], row.get("gpus")) for row in rows]
    return _Table(
        {_key(instance.id): instance for instance in found},
        tuple((row["prefix"], row["chip"]) for row in data["other_chips"]),
    )
