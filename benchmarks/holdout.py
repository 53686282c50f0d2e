"""Grades without knowing the answer: each case under a fit that has not seen its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cases import load_cases
from benchmarks.grading import BASELINES, Grade, baseline_grade, grade
from benchmarks.inputs import Inputs
from benchmarks.runtime_data import comparable, load_priors
from benchmarks.runtime_fit import fit, held_out_ratios, with_interval
from benchmarks.runtime_rows import rows_of

from vllm_preflight.memory.runtime.coefficients import Coefficients

CAMPAIGN = "campaign/"


@dataclass(frozen=True)
class Benchmark:
    """Every grade the report shows.

    `held_out`: each source predicted by a fit on all others. `families`: the campaign's
    cases, each model family predicted by a fit without it. `shipped`: all cases under the
    coefficients of a fit on all. `left_out`: why a collected start-up is not graded.
    """

    held_out: tuple[Grade, ...]
    families: tuple[Grade, ...]
    shipped: tuple[Grade, ...]
    baselines: dict[str, tuple[Grade, ...]]
    left_out: dict[str, str]


def run_benchmark() -> Benchmark:
    """Fit and grade everything; deterministic."""
    inputs, left_out = comparable(load_cases())
    left_out |= {
        item.case.id: "arguments that are not shown may differ from the defaults"
        for item in inputs
        if not item.case.args_complete
    }
    complete = [item for item in inputs if item.case.args_complete]
    campaign = [item for item in complete if item.case.id.startswith(CAMPAIGN)]
    fitting = _Fitting(inputs)
    shipped = with_interval(fitting.without(frozenset()), fitting.ratios)
    return Benchmark(
        held_out=tuple(fitting.grade_by_source(complete)),
        families=tuple(fitting.grade_by_family(campaign)),
        shipped=tuple(_grades(complete, shipped)),
        baselines={
            name: tuple(
                found
                for item in complete
                if (found := baseline_grade(item, shipped, rule)) is not None
            )
            for name, rule in BASELINES.items()
        },
        left_out=left_out,
    )


class _Fitting:
    """Fits without some cases, and the interval's calibration without some source."""

    def __init__(self, inputs: Sequence[Inputs]) -> None:
        self.rows = {item.case.id: rows_of(item) for item in inputs}
        self.priors = load_priors()
        self.ratios = held_out_ratios(
            self.priors, [row for rows in self.rows.values() for row in rows]
        )

    def without(self, cases: frozenset[str]) -> Coefficients:
        """A fit that has not seen `cases`."""
        return fit(
            self.priors,
            [row for case, rows in self.rows.items() if case not in cases for row in rows],
        )

    def grade_by_source(self, graded: Sequence[Inputs]) -> list[Grade]:
        """Each source under a fit, and an interval, of all others."""
        found: list[Grade] = []
        for source in sorted({item.case.source for item in graded}):
            held = [item for item in graded if item.case.source == source]
            unseen = frozenset(
                case for case, rows in self.rows.items() if rows and rows[0].source == source
            )
            others = {name: items for name, items in self.ratios.items() if name != source}
            found += _grades(held, with_interval(self.without(unseen), others))
        return found

    def grade_by_family(self, graded: Sequence[Inputs]) -> list[Grade]:
        """Each model family of one source under a fit without it in that source."""
        found: list[Grade] = []
        for family in sorted({item.model.architecture.model_type for item in graded}):
            held = [item for item in graded if item.model.architecture.model_type == family]
            unseen = frozenset(item.case.id for item in held)
            found += _grades(held, with_interval(self.without(unseen), self.ratios))
        return found


def _grades(inputs: Sequence[Inputs], coefficients: Coefficients) -> list[Grade]:
    return [found for item in inputs if (found := grade(item, coefficients)) is not None]
