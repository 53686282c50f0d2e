"""The committed set of vLLM's own numbers: its shape, and our agreement with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.oracle_kv import grade_kv
from benchmarks.oracle_refusals import grade_refusals, sentence

from benchmarks import oracle_rows

GPUS = 5
SIZE_LIMIT = 500_000


@pytest.fixture(scope="module")
def rows() -> list[oracle_rows.Row]:
    return oracle_rows.compact_rows()


def test_set_is_small_and_tells_where_it_comes_from(repository: Path) -> None:
    path = repository / "benchmarks" / "data" / "oracle_cases.jsonl"
    assert path == oracle_rows.CASES
    text = path.read_text(encoding="utf-8")
    assert len(text) <= SIZE_LIMIT
    assert text.startswith('{"provenance":')


def test_set_covers_gpus_schemes_and_parallel_sizes(rows: list[oracle_rows.Row]) -> None:
    assert len({row["gpu"] for row in rows}) == GPUS
    assert len({row["architecture"] for row in rows}) >= 75
    assert {row["tp"] for row in rows} == {1, 2, 4, 8}
    assert {row["pp"] for row in rows} == {1, 2, 3, 4}
    assert {row["fits"] for row in rows} == {True, False}


def test_packing_loses_nothing(rows: list[oracle_rows.Row], tmp_path: Path) -> None:
    lines = oracle_rows.packed(rows[:50])
    path = tmp_path / "cases.jsonl"
    text = "\n".join(json.dumps(line) for line in [{}, *lines])
    path.write_text(text, encoding="utf-8")
    assert oracle_rows.compact_rows(path) == rows[:50]


def test_every_plan_equals_vllms_own(rows: list[oracle_rows.Row]) -> None:
    # Every fifth row: the whole set is graded by benchmarks/oracle.py.
    grades = grade_kv(rows[::5])
    assert not [grade.skipped for grade in grades if grade.skipped]
    different = [(grade.row["model"], grade.differences) for grade in grades if not grade.agrees]
    assert different == []


def test_a_changed_figure_is_found(rows: list[oracle_rows.Row]) -> None:
    (grade,) = grade_kv([{**rows[0], "num_blocks": rows[0]["num_blocks"] + 1}])
    assert list(grade.differences) == ["num_blocks"]


def test_every_launch_vllm_refuses_is_refused_for_its_reason(shared_dir: Path) -> None:
    grades = grade_refusals(oracle_rows.refused_rows(shared_dir))
    graded = [grade for grade in grades if not grade.skipped]
    assert len(graded) > 100
    assert [(grade.theirs, grade.ours) for grade in graded if not grade.agrees] == []


@pytest.mark.parametrize(
    ("failed", "reason"),
    [
        ("AssertionError('12 is not divisible by 8')", "12 is not divisible by 8"),
        (
            "1 validation error for VllmConfig\n  Value error, 28 heads must be divisible by 8. "
            "[type=value_error, input_value=1]",
            "28 heads must be divisible by 8",
        ),
    ],
)
def test_vllms_reason_is_found_in_its_exception(failed: str, reason: str) -> None:
    assert sentence(failed) == reason


def test_a_launch_that_is_not_refused_is_found(rows: list[oracle_rows.Row]) -> None:
    failed = "AssertionError('12 is not divisible by 8')"
    (grade,) = grade_refusals([{**rows[0], "failed": failed}])
    assert not grade.agrees
    assert not grade.ours
