"""The method page says what the engine computes and what the benchmark measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.accuracy import PAGE, SUMMARISED, summary

from vllm_preflight_server.mcp import method
from vllm_preflight_server.mcp.method import ACCURACY_FILE, method_page


def test_the_measurements_it_carries_are_those_of_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    carried = ACCURACY_FILE.read_text(encoding="utf-8")
    assert carried == summary(page), "run benchmarks/accuracy.py"
    assert [line[3:] for line in carried.splitlines() if line.startswith("## ")] == [*SUMMARISED]


def test_the_page_shows_them_under_one_heading() -> None:
    lines = method_page().splitlines()
    place = lines.index("## Measured accuracy")
    assert "### Held-out accuracy" in lines[place:]
    assert sum(line.startswith("# ") for line in lines) == 1
    assert "| KV-cache tokens, median error |" in method_page()


def test_a_build_without_measurements_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method, "ACCURACY_FILE", tmp_path / "accuracy.md")
    method_page.cache_clear()
    try:
        assert method_page().endswith("This build carries no measurements.\n")
    finally:
        method_page.cache_clear()
