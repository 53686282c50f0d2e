"""Estimated against measured speed.

    python benchmarks/serving_accuracy.py           prints and writes docs/serving_accuracy.md
    python benchmarks/serving_accuracy.py --check   exits 1 when the page is not that, or a
                                                    target is missed

Every run is estimated under a fit that has not seen its source; see `serving_fit`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.serving_cases import load_serving_cases  # noqa: E402
from benchmarks.serving_fit import (  # noqa: E402
    Fitting,
    Residual,
    gpu_of,
    held_out,
    model_of,
    priors,
    repository_of,
    residuals,
    source_of,
    spreads_of,
)
from benchmarks.serving_report import Graded, Held, met, report  # noqa: E402
from benchmarks.serving_runs import Run, comparable, without_prefix_hits  # noqa: E402

from vllm_preflight.performance.coefficients import Coefficients, Metric  # noqa: E402

PAGE = ROOT / "docs/serving_accuracy.md"
FIRST = ROOT / "benchmarks/data/first_release_estimates.json"


def main() -> int:
    parser = argparse.ArgumentParser(description="Grade estimates of speed on measured runs.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    result = run_benchmark()
    page = report(result)
    if arguments.check:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page
        missed = [name for name, reached in met(result.by_source).items() if not reached]
        print(f"{PAGE.name} is {'what' if same else 'not what'} the benchmark gives")
        print(f"targets missed: {', '.join(missed) or 'none'}")
        return 0 if same and not missed else 1
    PAGE.write_text(page, encoding="utf-8")
    print(page)
    return 0


def run_benchmark() -> Graded:
    """Fit and grade everything; deterministic."""
    runs, left_out = comparable(load_serving_cases())
    fitting = Fitting(runs)
    unseen = fitting.without_each(source_of)
    by_source = held_out(runs, unseen, source_of)
    # The interval of a source is calibrated on the others.
    spreads = {
        source: spreads_of([item for item in by_source if item.run.case.source != source])
        for source in unseen
    }
    whole = fitting.coefficients()
    return Graded(
        by_source=Held(tuple(by_source), spreads),
        by_gpu=tuple(held_out(runs, fitting.without_each(gpu_of), gpu_of)),
        by_model=tuple(held_out(runs, fitting.without_each(model_of), model_of)),
        by_repository=tuple(held_out(runs, fitting.without_each(repository_of), repository_of)),
        seen=_under(runs, whole),
        without_hits=tuple(held_out([without_prefix_hits(run) for run in runs], unseen, source_of)),
        rules={
            "the same without any run (priors)": _under(runs, priors(runs)),
            "roofline of the data sheet": _under(runs, priors(runs), roofline=True),
            "the first release's model (its own day's runs seen)": first_release(runs),
        },
        left_out=left_out,
    )


def first_release(runs: Sequence[Run]) -> tuple[Residual, ...]:
    """The residuals of what the first release estimated."""
    stored: dict[str, list[float]] = json.loads(FIRST.read_text(encoding="utf-8"))["estimates"]
    fields: tuple[Metric, ...] = ("ttft_ms", "tpot_ms", "output_tokens_per_s")
    return tuple(
        Residual(run, metric, math.log(value / estimate), estimate)
        for run in runs
        for estimates in [dict(zip(fields, stored[run.case.id], strict=True))]
        for metric, value in run.measured.items()
        for estimate in [estimates[metric]]
    )


def _under(
    runs: Sequence[Run], coefficients: Coefficients, *, roofline: bool = False
) -> tuple[Residual, ...]:
    if roofline:
        runs = [_ideal(run) for run in runs]
        coefficients = _nothing_beside(coefficients)
    return tuple(item for run in runs for item in residuals(run, coefficients))


def _ideal(run: Run) -> Run:
    """The run on a card whose every kernel reaches the data sheet's rates."""
    kernels = run.facts.borrowed.kernels
    ideal = {
        key: tuple(
            (since, replace(kernel, floor=0.0, memory=1.0, compute=1.0, sharpness=6.0, alike=1.0))
            for since, kernel in items
        )
        for key, items in kernels.kernels.items()
    }
    borrowed = replace(run.facts.borrowed, kernels=replace(kernels, kernels=ideal))
    return replace(run, facts=replace(run.facts, borrowed=borrowed))


def _nothing_beside(coefficients: Coefficients) -> Coefficients:
    """Factors of 1 on kernels, and no time beside them."""
    factors = ("gemm", "experts", "alike", "decode", "prefill", "packed", "reduce", "link")
    return Coefficients(
        tuple(
            replace(item, value=1.0 if item.name in factors else 0.0)
            for item in coefficients.entries
            if not item.gpu_class
        ),
        {},
    )


if __name__ == "__main__":
    sys.exit(main())
