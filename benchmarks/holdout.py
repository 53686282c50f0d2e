"""Grades without knowing the answer: each case under a fit that has not seen its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.cases import load_cases
from benchmarks.grading import BASELINES, Grade, baseline_grade, grade
from benchmarks.inputs import Inputs
from benchmarks.runtime_data import comparable, load_priors
from benchmarks.runtime_fit import Ratios, fit, held_out_ratios, with_interval
from benchmarks.runtime_rows import Row, rows_of

from vllm_preflight.memory.runtime.coefficients import Coefficients


@dataclass(frozen=True)
class Benchmark:
    """Every grade the report shows.

    `held_out`: each source predicted by a fit on all others. `families`: each model family
    of a source predicted by a fit without it, which may have seen others of that source.
    `shipped`: all cases under the
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
    fitting = _Fitting(inputs)
    shipped = with_interval(fitting.without(frozenset()), fitting.ratios)
    return Benchmark(
        held_out=tuple(fitting.grade_by_source(complete)),
        families=tuple(fitting.grade_by_family(complete)),
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
        self.inputs = tuple(inputs)
        self.rows = {item.case.id: rows_of(item) for item in inputs}
        self.priors = load_priors()
        self._fits: dict[frozenset[str], Coefficients] = {}

    @cached_property
    def ratios(self) -> Ratios:
        """Every source's error under a fit of all others."""
        return self._ratios_without(frozenset())

    def without(self, cases: frozenset[str]) -> Coefficients:
        """A fit that has not seen `cases`."""
        return fit(
            self.priors,
            [row for case, rows in self.rows.items() if case not in cases for row in rows],
        )

    def _without_sources(self, sources: frozenset[str]) -> Coefficients:
        """A fit that has not seen `sources`."""
        if sources not in self._fits:
            self._fits[sources] = fit(self.priors, self._rows_without(sources))
        return self._fits[sources]

    def _rows_without(self, sources: frozenset[str]) -> list[Row]:
        return [row for rows in self.rows.values() for row in rows if row.source not in sources]

    def _ratios_without(self, sources: frozenset[str]) -> Ratios:
        """Each other source's error under a fit that has seen neither it nor `sources`."""
        others = [item for item in self.inputs if item.case.source not in sources]
        return held_out_ratios(others, lambda source: self._without_sources(sources | {source}))

    def grade_by_source(self, graded: Sequence[Inputs]) -> list[Grade]:
        """Each source under a fit, and an interval, of all others."""
        found: list[Grade] = []
        for source in sorted({item.case.source for item in graded}):
            held = [item for item in graded if item.case.source == source]
            unseen = frozenset({source})
            fitted = self._without_sources(unseen)
            found += _grades(held, with_interval(fitted, self._ratios_without(unseen)))
        return found

    def grade_by_family(self, graded: Sequence[Inputs]) -> list[Grade]:
        """Each model family of each source under a fit, and an interval, without it there."""
        found: list[Grade] = []
        groups = sorted({_group(item) for item in graded})
        for source, family in groups:
            held = [item for item in graded if _group(item) == (source, family)]
            if sum(other == source for other, _ in groups) == 1:
                found += self.grade_by_source(held)
                continue
            unseen = frozenset(item.case.id for item in held)
            ratios = {
                name: [item for item in items if item.case not in unseen]
                for name, items in self.ratios.items()
            }
            found += _grades(held, with_interval(self.without(unseen), ratios))
        return found


def _group(item: Inputs) -> tuple[str, str]:
    return item.case.source, item.model.architecture.model_type


def _grades(inputs: Sequence[Inputs], coefficients: Coefficients) -> list[Grade]:
    return [found for item in inputs if (found := grade(item, coefficients)) is not None]
