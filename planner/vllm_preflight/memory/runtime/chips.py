"""How many multiprocessors a GPU has and how large its L2 cache is, from `chips.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.hardware.gpu import Gpu


@dataclass(frozen=True, slots=True)
class Chip:
    """Multiprocessors (compute units on AMD), and bytes of L2 cache."""

    multiprocessors: int
    l2_bytes: int


# Usual chips of an architecture, for cards that are not in the file.
_USUAL: dict[int, Chip] = {
    7: Chip(72, 6 * BYTES_TO_MIB),
    8: Chip(108, 40 * BYTES_TO_MIB),
    9: Chip(132, 50 * BYTES_TO_MIB),
    10: Chip(148, 126 * BYTES_TO_MIB),
    12: Chip(170, 96 * BYTES_TO_MIB),
}


def chip_of(gpu: Gpu) -> Chip:
    """The chip of a card; one not in the file is taken to be usual for its architecture."""
    found = _chips().get(gpu.name)
    if found is not None:
        return found
    return _USUAL.get((gpu.compute_capability or (8, 0))[0], _USUAL[8])


@cache
def _chips() -> dict[str, Chip]:
    text = (
        resources.files("vllm_preflight.memory.runtime")
        .joinpath("chips.json")
        .read_text(encoding="utf-8")
    )
    return {
        name: Chip(entry["multiprocessors"], entry["l2_mib"] * BYTES_TO_MIB)
        for name, entry in json.loads(text)["chips"].items()
    }
