"""Quantised checkpoints that exist of catalogued models, and are not in the catalogue themselves.

`checkpoints.json` names them, written by `scripts/build_model_catalog.py`: ids alone, whose names
say how the weights are stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path


def checkpoints_of(model: str) -> tuple[str, ...]:
    """The ids of other checkpoints of a catalogued model, by its id there."""
    return tuple(_named().get(model, ()))


@cache
def _named() -> Mapping[str, list[str]]:
    path = Path(__file__).with_name("checkpoints.json")
    return json.loads(path.read_text(encoding="utf-8"))["checkpoints"]
