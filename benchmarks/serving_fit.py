"""Fit the coefficients of the performance model on measured serving runs.

The logarithm of every coefficient has a normal prior; the logarithm of every measured
figure is the model's plus an error. The fit is the maximum of the posterior, found by
Gauss-Newton steps on the robust (Huber) loss. A source with many runs counts little more
than one with few, and a class of GPUs departs from the others only as far as its runs
insist. Deterministic. Needs numpy, which the charts bring.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy
from benchmarks.serving_runs import Run, estimated

from vllm_preflight.performance.coefficients import (
    METRICS,
    Coefficient,
    Coefficients,
    Metric,
    Spread,
    scale_of,
)

PRIORS = Path(__file__).parent / "data/serving_priors.json"

# Standard deviation of a measured figure's logarithm around a right model: harness,
# versions, clocks. Times to first token hang on more that is not shown.
_ERRORS: Mapping[Metric, float] = {"ttft_ms": 0.35, "tpot_ms": 0.15, "output_tokens_per_s": 0.15}
_HUBER = 1.5
_ROUNDS = 8
_SETTLED = 5e-3
# Times the robust weights of a fit without some runs are reckoned anew.
_REWEIGHTED = 4
_DIFFERENCE = 1e-3
_FARTHEST_STEP = 0.5
# A figure bears on a coefficient when it moves by this share of the coefficient's change.
_BEARS = 0.02
# A new source differs more from those seen than they from each other, so the tails are a
# little less than a tenth each.
_TAIL = 0.08
# Milliseconds that servers, clients and networks differ by.
_SERVER_MS = 15.0
# Figures of a class of GPUs from which it has an interval of its own.
_ENOUGH = 30

# Checkpoints of one model in several precisions or sizes of context.
_MODELS = (
    "MiniMax-M2.5",
    "Qwen3-32B",
    "Qwen3-14B",
    "Llama-3.1-70B",
    "Llama-3.3-70B",
    "Qwen3-235B",
)

By = Callable[[Run], str]


@dataclass(frozen=True)
class Row:
    """One measured figure of one run, and how much it counts."""

    run: Run
    metric: Metric
    logarithm: float
    weight: float


@dataclass(frozen=True)
class Residual:
    """The logarithm of measured / estimated, by a fit that has not seen the run's source."""

    run: Run
    metric: Metric
    value: float
    estimate: float = 1.0


@dataclass(frozen=True)
class _Line:
    """The model around some coefficients: each row's estimate and its slopes, as logarithms.

    `slopes` has a list for each coefficient.
    """

    values: list[float]
    base: list[float]
    slopes: list[list[float]]


def source_of(run: Run) -> str:
    """The page or thread of a run."""
    return run.case.source


def gpu_of(run: Run) -> str:
    """The card of a run."""
    return run.startup.gpu.name


def model_of(run: Run) -> str:
    """The model of a run, whatever its precision: its name without the maker's additions."""
    name = (run.case.model or "").partition("/")[2]
    return next((start for start in _MODELS if name.startswith(start)), name)


def repository_of(run: Run) -> str:
    """The repository of a run."""
    return run.case.repository


def priors(runs: Iterable[Run]) -> Coefficients:
    """The coefficients before any run, with factors for the GPU classes of `runs`."""
    document: dict[str, Any] = json.loads(PRIORS.read_text(encoding="utf-8"))
    classes = sorted({run.gpu_class for run in runs})
    entries: list[Coefficient] = []
    for item in document["coefficients"]:
        common = Coefficient(
            name=item["name"],
            gpu_class="",
            value=item["prior"],
            unit=item["unit"],
            prior=item["prior"],
            prior_spread=item["spread"],
            spread=item["spread"],
            samples=0,
            sources=(),
            basis="assumed",
            description=item["description"],
        )
        entries.append(common)
        if item["class_spread"]:
            for name in classes:
                start, spread = item.get("class_priors", {}).get(name, (1.0, item["class_spread"]))
                entries.append(
                    replace(
                        common,
                        gpu_class=name,
                        value=start,
                        prior=start,
                        unit="factor",
                        prior_spread=spread,
                        spread=spread,
                    )
                )
    return Coefficients(tuple(entries), {})


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """The figures of `runs`; a source counts as much as the root of its runs."""
    counts = Counter((run.case.source, metric) for run in runs for metric in run.measured)
    return [
        Row(run, metric, math.log(value), 1 / math.sqrt(counts[run.case.source, metric]))
        for run in runs
        for metric, value in run.measured.items()
    ]


class Fitting:
    """The fit on all runs, and fits without some of them that start from it."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = tuple(runs)
        self._priors = priors(runs)
        self._rows = rows_of(runs)
        line = self._line([math.log(item.prior) for item in self._priors.entries], self._rows)
        for _ in range(_ROUNDS):
            values = self._step(line, self._rows)
            moved = max(abs(a - b) for a, b in zip(values, line.values, strict=True))
            line = self._line(values, self._rows)
            if moved < _SETTLED:
                break
        self._whole = line

    def coefficients(self) -> Coefficients:
        """The fit on all runs, each coefficient with its spread and what bears on it."""
        matrix, _ = self._equations(self._whole, self._rows)
        variances = numpy.diag(numpy.linalg.inv(matrix))
        fitted = self._with(
            self._whole.values,
            [self._evidence(index, float(value)) for index, value in enumerate(variances)],
        )
        # A class without runs has no factor of its own.
        kept = (item for item in fitted.entries if item.samples or not item.gpu_class)
        return Coefficients(tuple(kept), {})

    def without(self, left_out: Callable[[Run], bool]) -> Coefficients:
        """A fit that has not seen the runs that are `left_out`, along the slopes of the whole.

        Only the slopes are the whole fit's: the values are those the other runs ask for, with
        robust weights of their own.
        """
        kept = [index for index, row in enumerate(self._rows) if not left_out(row.run)]
        rows = [self._rows[index] for index in kept]
        start = _Line(
            self._whole.values,
            [self._whole.base[index] for index in kept],
            [[slope[index] for index in kept] for slope in self._whole.slopes],
        )
        return self._with(self._step(start, rows, rounds=_REWEIGHTED))

    def without_each(self, by: By) -> dict[str, Coefficients]:
        """For each group of runs (source, repository) the fit that has not seen it."""
        return {
            group: self.without(lambda run, group=group: by(run) == group)
            for group in sorted({by(run) for run in self.runs})
        }

    def _with(
        self, values: Sequence[float], changes: Sequence[Mapping[str, Any]] = ()
    ) -> Coefficients:
        entries = [
            replace(item, value=float(f"{math.exp(value):.4g}"))
            for item, value in zip(self._priors.entries, values, strict=True)
        ]
        if changes:
            entries = [
                replace(item, **change) for item, change in zip(entries, changes, strict=True)
            ]
        return Coefficients(tuple(entries), {})

    def _evidence(self, index: int, variance: float) -> dict[str, Any]:
        item = self._priors.entries[index]
        slopes = self._whole.slopes[index]
        used = [
            row.run
            for row, slope in zip(self._rows, slopes, strict=True)
            if abs(slope) > _BEARS and item.gpu_class in ("", row.run.gpu_class)
        ]
        return {
            "spread": round(math.sqrt(variance), 3),
            "samples": len({run.case.id for run in used}),
            "sources": tuple(sorted({run.case.source for run in used})),
            "basis": "fitted" if used else "assumed",
        }

    def _line(self, values: list[float], rows: Sequence[Row]) -> _Line:
        now = self._exact(values)
        base = _logarithms(now, rows)
        slopes: list[list[float]] = []
        for index, item in enumerate(now.entries):
            bears = [item.gpu_class in ("", row.run.gpu_class) for row in rows]
            entries = list(now.entries)
            entries[index] = replace(item, value=item.value * math.exp(_DIFFERENCE))
            there = [row for row, bearing in zip(rows, bears, strict=True) if bearing]
            moved = iter(_logarithms(Coefficients(tuple(entries), {}), there))
            slopes.append(
                [
                    (next(moved) - before) / _DIFFERENCE if bearing else 0.0
                    for before, bearing in zip(base, bears, strict=True)
                ]
            )
        return _Line(values, base, slopes)

    def _exact(self, values: Sequence[float]) -> Coefficients:
        entries = zip(self._priors.entries, values, strict=True)
        return Coefficients(
            tuple(replace(item, value=math.exp(value)) for item, value in entries), {}
        )

    def _step(self, line: _Line, rows: Sequence[Row], rounds: int = 1) -> list[float]:
        """Coefficients a step away, the robust weights reckoned `rounds` times."""
        slopes = numpy.array(line.slopes)
        start = numpy.array(line.values)
        values = start
        for _ in range(rounds):
            matrix, right = self._equations(line, rows, slopes, values)
            values = start + numpy.clip(
                numpy.linalg.solve(matrix, right), -_FARTHEST_STEP, _FARTHEST_STEP
            )
        return [float(value) for value in values]

    def _equations(
        self, line: _Line, rows: Sequence[Row], slopes: Any = None, values: Any = None
    ) -> tuple[Any, Any]:
        """The normal equations of a step: robust weights around `values`, the priors' pull."""
        slopes = numpy.array(line.slopes) if slopes is None else slopes
        start = numpy.array(line.values)
        values = start if values is None else values
        errors = numpy.array([_ERRORS[row.metric] for row in rows])
        weights = numpy.array([row.weight for row in rows])
        gaps = numpy.array([row.logarithm for row in rows]) - numpy.array(line.base)
        here = gaps - (values - start) @ slopes
        robust = numpy.minimum(1.0, _HUBER * errors / numpy.maximum(numpy.abs(here), 1e-9))
        weighted = slopes * (weights / errors**2 * robust)
        pulls = numpy.array([1 / item.prior_spread**2 for item in self._priors.entries])
        priors_at = numpy.array([math.log(item.prior) for item in self._priors.entries])
        matrix = weighted @ slopes.T + numpy.diag(pulls)
        return matrix, weighted @ gaps + pulls * (priors_at - start)


def held_out(runs: Sequence[Run], unseen: Mapping[str, Coefficients], by: By) -> list[Residual]:
    """The residuals of every run under the fit without its group."""
    return [item for run in runs for item in residuals(run, unseen[by(run)])]


def residuals(run: Run, coefficients: Coefficients) -> list[Residual]:
    """Each figure of `run` against the estimate of `coefficients`."""
    found = estimated(run, coefficients)
    return [
        Residual(run, metric, math.log(value / found[metric]), found[metric])
        for metric, value in run.measured.items()
    ]


def spreads_of(found: Sequence[Residual]) -> dict[Metric, Spread]:
    """Between which residuals 80 % lie, by metric; a source counts as the root of its runs.

    Where a class of GPUs has enough figures it has its own. A time to first token has a part
    that no model knows, the server's and the client's, which is large where the time is
    short: residuals are counted in `scale`s of their estimate.
    """
    spreads: dict[Metric, Spread] = {}
    for metric in METRICS:
        items = [item for item in found if item.metric == metric and not item.run.case.fit_only]
        by_class: dict[str, list[Residual]] = {}
        for item in items:
            by_class.setdefault(item.run.gpu_class, []).append(item)
        errors = sorted(abs(math.expm1(-item.value)) for item in items)
        server = _SERVER_MS if metric == "ttft_ms" else 0.0
        spreads[metric] = Spread(
            *_bounds(items, server),
            samples=len(items),
            sources=len({item.run.case.source for item in items}),
            median_error=round(errors[len(errors) // 2], 3),
            server_ms=server,
            classes={
                name: _bounds(members, server)
                for name, members in sorted(by_class.items())
                if len(members) >= _ENOUGH
            },
        )
    return spreads


def _bounds(items: Sequence[Residual], server_ms: float) -> tuple[float, float]:
    counts = Counter(item.run.case.source for item in items)
    ordered = sorted(
        (
            item.value / scale_of(item.estimate, server_ms),
            1 / math.sqrt(counts[item.run.case.source]),
        )
        for item in items
    )
    return round(_quantile(ordered, _TAIL), 3), round(_quantile(ordered, 1 - _TAIL), 3)


def document(coefficients: Coefficients, spreads: Mapping[Metric, Spread], date: str) -> str:
    """The text of `coefficients.json`."""
    sources = sorted({source for entry in coefficients.entries for source in entry.sources})
    entries = [
        {**asdict(entry), "sources": [sources.index(source) for source in entry.sources]}
        for entry in coefficients.entries
    ]
    content = {
        "schema": 1,
        "date": date,
        "description": "Coefficients of the performance model, written by "
        "scripts/fit_performance.py. An entry with a gpu_class is a factor on the one without. "
        "`sources` are numbers into the list. `spreads`: logarithm of measured / estimated "
        "between which 80 % of the runs lie, each estimated without its source.",
        "spreads": {metric: asdict(spread) for metric, spread in spreads.items()},
        "sources": sources,
        "coefficients": entries,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _logarithms(coefficients: Coefficients, rows: Sequence[Row]) -> list[float]:
    found: dict[str, Mapping[Metric, float]] = {}
    for row in rows:
        if row.run.case.id not in found:
            found[row.run.case.id] = estimated(row.run, coefficients)
    return [math.log(found[row.run.case.id][row.metric]) for row in rows]


def _quantile(ordered: Sequence[tuple[float, float]], share: float) -> float:
    """The value below which `share` of the weight lies; `ordered` are (value, weight)."""
    wanted = share * sum(weight for _, weight in ordered)
    reached = 0.0
    for value, weight in ordered:
        reached += weight
        if reached >= wanted:
            return value
    return ordered[-1][0]
