"""Derived memory against vLLM's own profile pass: the gate, and the file behind it."""

from __future__ import annotations

import importlib.util
import json
from collections import defaultdict
from pathlib import Path

import pytest
from benchmarks.shadow import (
    FIELDS,
    PATH,
    TARGET,
    Comparison,
    compare_all,
    load_shadow_cases,
)


@pytest.fixture(scope="module")
def comparisons() -> list[Comparison]:
    return compare_all(load_shadow_cases())


def test_the_header_explains_every_field() -> None:
    first, *lines = PATH.read_text(encoding="utf-8").splitlines()
    header = json.loads(first)
    assert header["schema"] == 1 and header["fields"] == dict(FIELDS)
    for line in lines:
        assert set(json.loads(line)) <= set(FIELDS)


def test_every_run_is_answered_and_most_agree(comparisons: list[Comparison]) -> None:
    assert len(comparisons) == len(load_shadow_cases()) >= 200
    assert sum(item.agrees for item in comparisons) / len(comparisons) >= TARGET


def test_every_release_agrees(comparisons: list[Comparison]) -> None:
    releases: defaultdict[str, list[bool]] = defaultdict(list)
    for item in comparisons:
        releases[item.case["version"]].append(item.agrees)
    assert len(releases) >= 13
    assert {name for name, flags in releases.items() if sum(flags) / len(flags) < 0.88} == set()


def test_every_run_gets_the_runner_its_release_picked(comparisons: list[Comparison]) -> None:
    assert [item.line for item in comparisons if item.runner != item.case["runner"]] == []


def test_runner_buffers_agree(comparisons: list[Comparison]) -> None:
    """Within 16 MiB, but for what a simulated load leaves behind (gpt-oss)."""
    far = [item for item in comparisons if abs(item.buffers - item.case["buffers"]) > 2**24]
    assert {item.case["model"].split("/")[0] for item in far} <= {"openai"}


def test_the_file_is_what_its_script_writes(shared_dir: Path, repository: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "build_shadow_cases", repository / "scripts/build_shadow_cases.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lines = PATH.read_text(encoding="utf-8").splitlines()[1:]
    assert list(module.shadow_cases(shared_dir / "data")) == [json.loads(line) for line in lines]
