"""The embedded model catalogue: published configs that need no network.

`models.jsonl` holds one model a line, sorted by id, each line starting with its id, so
that a lookup scans prefixes and parses a single line. `scripts/build_model_catalog.py`
writes it; `compact` says how repetitive lists are stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any, Literal

from vllm_preflight.models.catalog.compact import decode

Completeness = Literal["full", "preset", "subset", "transformers-default", "borrowed", "composed"]

# The word that names a family, and how alike two of them are that mean one.
_WORD = re.compile(r"[a-z]+")
_SAME_WORD = 0.75
# How every line starts; the id follows up to the next quote.
ID_PREFIX = b'{"id":"'


@dataclass(frozen=True)
class CatalogEntry:
    """One catalogued model: its config and what is published about its weights.

    Attributes:
        id: the Hub id, in the Hub's spelling.
        config: the config's keys that bear on memory, shape and speed.
        completeness: `full` (the whole published config), `preset` (a copy that another
            project keeps for its own use), `subset` (the keys a source quoted),
            `transformers-default` (the class defaults of the checkpoint that the class
            documents), `borrowed` (another model's config, equal in its dimensions and
            published parameter total) or `composed` (published dimensions in a config of
            their class that makes exactly the published parameter total).
        source: where the config comes from.
        date: when the entry was written (ISO 8601).
        params_total: the published number of stored parameters, when known.
        params_note: what that number counts, when that is not plain.
        total_bytes: bytes of all tensors, when known.
        bytes_basis: where `total_bytes` comes from; empty when it is not known.
        stored_dtype: the one dtype all tensors are stored in, when that is known.
        gated: whether the Hub asks for a licence to be accepted; None when not known.
        note: how the config was written down by its source.
        conflict: what another source says against the config; empty where nothing does.
        pools: what says that the repository's modules.json asks for pooling; empty where
            nothing does.
        facts: what settles a fact that is easily lost, by config key
            (`max_position_embeddings`, `quantization_config`): "published", "quoted", the
            sources that agree on it, or "unknown".
        completed: keys that the part of a config lacks, with which it makes exactly the
            published parameter total; `completed_by` says what they are known by.
    """

    id: str
    config: Mapping[str, Any]
    completeness: Completeness
    source: str
    date: str
    params_total: int | None = None
    params_note: str = ""
    total_bytes: int | None = None
    bytes_basis: str = ""
    stored_dtype: str | None = None
    gated: bool | None = None
    note: str = ""
    conflict: str = ""
    pools: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    completed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    completed_by: str = ""


def catalog_ids() -> tuple[str, ...]:
    """The ids of all catalogued models, sorted without regard to case."""
    return tuple(identifier for identifier, _ in _lines().values())


def catalogued_id(model: str) -> str | None:
    """The id of a catalogued model, or None.

    The case of letters does not matter, and a name without its organisation is enough
    where only one catalogued model has it.
    """
    found = _lines().get(model.lower())
    if found is not None:
        return found[0]
    same_name = ids_named(model)
    return same_name[0] if len(same_name) == 1 else None


def catalog_entry(model: str) -> CatalogEntry | None:
    """The entry of a model, named as `catalogued_id` takes it, or None; read at each call."""
    identifier = catalogued_id(model)
    if identifier is None:
        return None
    fields: dict[str, Any] = json.loads(_lines()[identifier.lower()][1])
    configs = {name: decode(fields[name]) for name in ("config", "completed") if name in fields}
    return CatalogEntry(**{**fields, **configs})


def ids_named(name: str) -> tuple[str, ...]:
    """The ids whose part after the organisation is `name`, in any case."""
    return _ids_by_name().get(name.lower(), ())


def nearest_ids(model: str, n: int = 3) -> tuple[str, ...]:
    """The `n` catalogued ids written most like `model`, the nearest first.

    A mistyped organisation and a mistyped name both count; ids with little in common
    are left out.
    """
    wanted = model.lower()
    wanted_name = wanted.rpartition("/")[2]
    scored: list[tuple[float, str]] = []
    for lowered, (identifier, _) in _lines().items():
        score = max(
            SequenceMatcher(None, lowered, wanted).ratio(),
            # A right name under a wrong organisation beats a right organisation.
            SequenceMatcher(None, lowered.rpartition("/")[2], wanted_name).ratio(),
        )
        if score >= 0.6 and _may_be_kin(lowered, wanted):
            scored.append((score, identifier))
    scored.sort(key=lambda pair: (-pair[0], pair[1]))
    return tuple(identifier for _, identifier in scored[:n])


def _may_be_kin(one: str, other: str) -> bool:
    """Whether two names have a publisher or about the first word in common.

    Sizes and makes ("31b-base", "large-thinking") are alike in models that have nothing to do
    with each other.
    """
    (owner, _, name), (other_owner, _, other_name) = one.rpartition("/"), other.rpartition("/")
    if owner == other_owner:
        return True
    first, second = _WORD.match(name), _WORD.match(other_name)
    if first is None or second is None:
        return False
    return SequenceMatcher(None, first[0], second[0]).ratio() >= _SAME_WORD


@cache
def _lines() -> dict[str, tuple[str, bytes]]:
    """Lower-case id to the id as written and its unparsed line."""
    data = Path(__file__).with_name("models.jsonl").read_bytes()
    lines: dict[str, tuple[str, bytes]] = {}
    for line in data.splitlines():
        identifier = line[len(ID_PREFIX) : line.index(b'"', len(ID_PREFIX))].decode("utf-8")
        lines[identifier.lower()] = (identifier, line)
    return lines


@cache
def _ids_by_name() -> dict[str, tuple[str, ...]]:
    by_name: dict[str, tuple[str, ...]] = {}
    for lowered, (identifier, _) in _lines().items():
        name = lowered.rpartition("/")[2]
        by_name[name] = (*by_name.get(name, ()), identifier)
    return by_name
