"""Fit the performance model's coefficients on the measured serving runs.

    python scripts/fit_performance.py            writes the package's coefficients.json
    python scripts/fit_performance.py --check    exits 1 when the file is not what a fit gives

Deterministic: the same runs and priors give the same file. The method is described in
`benchmarks/serving_fit.py`, where each coefficient starts in
`benchmarks/data/serving_priors.json`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.serving_cases import date_of_cases, load_serving_cases  # noqa: E402
from benchmarks.serving_fit import Fitting, document, held_out, source_of, spreads_of  # noqa: E402
from benchmarks.serving_runs import comparable  # noqa: E402

TARGET = ROOT / "planner/vllm_preflight/performance/coefficients.json"


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit the performance coefficients.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    runs, _ = comparable(load_serving_cases())
    fitting = Fitting(runs)
    fitted = fitting.coefficients()
    unseen = fitting.without_each(source_of)
    spreads = spreads_of(held_out(runs, unseen, source_of))
    text = document(fitted, spreads, date_of_cases())
    if arguments.check:
        same = TARGET.read_text(encoding="utf-8") == text
        print(f"{TARGET.name} is {'what' if same else 'not what'} the fit gives")
        return 0 if same else 1
    TARGET.write_text(text, encoding="utf-8")
    for item in fitted.entries:
        print(
            f"{item.name:20} {item.gpu_class:16} {item.value:8.3f} ± {item.spread:<6.3f} "
            f"(prior {item.prior:g}) n={item.samples:<3} {item.unit}"
        )
    for metric, spread in spreads.items():
        print(f"{metric}: held-out median error {spread.median_error:.1%}, {spread}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
