"""The coefficient file: complete, with its evidence, and what the fit gives."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from benchmarks.runtime_data import fitting_inputs, load_priors
from benchmarks.runtime_fit import document, fit_with_interval

from vllm_preflight.memory.runtime.coefficients import Coefficient, load_coefficients

FILE = Path("planner/vllm_preflight/memory/runtime/coefficients.json")
ENTRIES = load_coefficients().entries


@pytest.mark.parametrize("item", ENTRIES, ids=lambda item: f"{item.name} {item.since} {item.where}")
def test_every_coefficient_has_its_evidence(item: Coefficient) -> None:
    assert item.value >= 0 and math.isfinite(item.value)
    assert item.spread >= 0 and math.isfinite(item.spread)
    assert item.unit and item.description and item.date
    assert item.sources and all(item.sources)
    assert item.until is None or item.since < item.until
    if item.basis == "fitted":
        assert item.samples > 0
        assert item.residual_gib is not None
    else:
        assert item.samples == 0
        assert item.residual_gib is None


def test_no_entry_is_hidden_by_an_earlier_one() -> None:
    seen: set[tuple[object, ...]] = set()
    for item in ENTRIES:
        key = (item.name, item.since, item.until, tuple(sorted(item.where.items())))
        assert key not in seen
        seen.add(key)


def test_the_file_is_what_the_fit_gives(repository: Path) -> None:
    fitted = fit_with_interval(load_priors(), fitting_inputs())
    written = json.loads((repository / FILE).read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(document(fitted)))


def test_only_what_no_tensor_explains_is_fitted() -> None:
    assert {item.name for item in ENTRIES} == {
        "encoder_hidden_copies",
        "non_torch",
        "graph_pool",
        "graph_layer",
        "residual",
        "interval_scale",
        "surprise_share",
        "surprise_size",
    }


def test_values_stay_where_physics_puts_them() -> None:
    layers = [item.value for item in ENTRIES if item.name == "graph_layer"]
    assert all(0.05 < value < 1 for value in layers)
    shared = [
        item
        for item in ENTRIES
        if item.name == "non_torch" and item.where.get("memory") == "unified"
    ]
    # A system that shares its memory takes gibibytes of it; a driver of its own card does not.
    assert all(item.value > 1 for item in shared)
    alone = [
        item.value
        for item in ENTRIES
        if item.name == "non_torch" and "tensor_parallel" not in item.where and item not in shared
    ]
    assert all(value < 0.5 for value in alone)
