"""The tables that manifests are read with: each says where its entries are from, and when."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.launch.flags.table import parser_of
from vllm_preflight.launch.versions import NEWEST_KNOWN
from vllm_preflight.manifests import charts

FOLDER = Path(charts.__file__).parent


def _table(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def _has_source(entry: dict[str, Any]) -> bool:
    return entry["source"].startswith("github.com/") and bool(date.fromisoformat(entry["date"]))


def test_presets_name_a_model_each() -> None:
    table = _table("presets.json")
    assert set(table) == {"schema_version", "source", "date", "presets"} and _has_source(table)
    names = [preset["name"] for preset in table["presets"]]
    assert len(names) == len(set(names)) > 10
    for preset in table["presets"]:
        assert set(preset) == {"name", "model"}
        assert preset["name"] == preset["name"].lower() and preset["model"].count("/") == 1


@pytest.mark.parametrize("name", sorted(_table("charts.json")["charts"]))
def test_a_chart_s_keys_are_flags_that_vllm_has_or_had(name: str) -> None:
    chart = _table("charts.json")["charts"][name]
    assert set(chart) == {"source", "date", "flags", "switches"} and _has_source(chart)
    known = parser_of(NEWEST_KNOWN).by_spelling
    for flag in chart["flags"].values():
        assert f"--{flag}" in known, flag
    for switch in chart["switches"].values():
        assert set(switch) <= {"true", "false"}
        assert all(word in known for word in switch.values()), switch
