"""No definition that clients see changes without a reviewed snapshot."""

from __future__ import annotations

import json

import pytest
from scripts.write_snapshots import FOLDER, differences


def test_definitions_are_as_reviewed() -> None:
    assert differences() == [], "run scripts/write_snapshots.py and review the difference"


def test_a_change_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vllm_preflight_server.mcp.app.INSTRUCTIONS", "Something else.")
    assert "surface.json" in differences()


def test_every_tool_has_a_snapshot() -> None:
    names = json.loads((FOLDER / "surface.json").read_text(encoding="utf-8"))["tools"]
    assert {path.name for path in FOLDER.glob("tool.*.json")} == {
        f"tool.{name}.json" for name in names
    }
