"""Grading of refusals: what vLLM 0.33 does not start, beside our reasons for the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.oracle_kv import catalogued, launch_of
from benchmarks.oracle_rows import Row

from vllm_preflight.base.errors import PreflightError

# vLLM's own refusals; other failures are the simulation's.
_OWN = ("must be divisible", "is not divisible", "not supported", "smaller than max_model_len")
# The class a source names is not vLLM's: a fact of the source's config, not of the launch.
_CLASS = "are not supported for now"
_UNGIVEN = ("max_model_len", "available_kv_bytes")


@dataclass(frozen=True)
class RefusalGrade:
    """One refused launch: vLLM's sentence and ours, or why it could not be graded."""

    row: Row
    theirs: str
    ours: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def agrees(self) -> bool:
        """Whether one of our reasons is vLLM's."""
        return any(reason.startswith(self.theirs) for reason in self.ours)


def grade_refusals(rows: Iterable[Row]) -> list[RefusalGrade]:
    """Every row that vLLM itself refused, beside our refusals of the same arguments."""
    return [_grade(row) for row in rows if any(words in row["failed"] for words in _OWN)]


def sentence(failed: str) -> str:
    """VLLM's reason in what a row says, without the exception around it or its full stop."""
    text = failed.partition("Value error, ")[2] or failed
    text = re.sub(r"^\w+\((['\"])(.*)\1\)$", r"\2", text.strip())
    return text.partition("[type=")[0].strip().rstrip(".")


def _grade(row: Row) -> RefusalGrade:
    theirs = sentence(row["failed"])
    if _CLASS in theirs:
        return RefusalGrade(row, theirs, skipped="the config names a class vLLM does not have")
    model = catalogued(row["model"])
    if isinstance(model, str):
        return RefusalGrade(row, theirs, skipped=model)
    defaults = {**dict.fromkeys(_UNGIVEN), "max_num_seqs": None}
    try:
        launch = launch_of({**defaults, **row}, model)
    except PreflightError as error:
        return RefusalGrade(row, theirs, (str(error),))
    return RefusalGrade(row, theirs, tuple(problem.message for problem in launch.problems))
