"""Fit the runtime model's coefficients on the measured start-ups.

    python scripts/fit_runtime.py            writes the package's coefficients.json
    python scripts/fit_runtime.py --check    exits 1 when the file is not what a fit gives

Deterministic: the same cases and priors give the same file. The method is described in
`benchmarks/runtime_fit.py`, where each entry starts in
`benchmarks/data/runtime_priors.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.runtime_data import fitting_inputs, load_priors  # noqa: E402
from benchmarks.runtime_fit import document, fit_with_interval  # noqa: E402

TARGET = ROOT / "planner/vllm_preflight/memory/runtime/coefficients.json"


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit the runtime coefficients.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    inputs = fitting_inputs()
    fitted = fit_with_interval(load_priors(), inputs)
    text = json.dumps(document(fitted), indent=1, ensure_ascii=False) + "\n"
    if arguments.check:
        same = TARGET.read_text(encoding="utf-8") == text
        print(f"{TARGET.name} is {'what' if same else 'not what'} the fit gives")
        return 0 if same else 1
    TARGET.write_text(text, encoding="utf-8")
    for item in fitted.entries:
        where = " ".join(f"{key}={value}" for key, value in item.where.items())
        print(
            f"{item.name:24} {item.value:8.3f} ± {item.spread:<7.3f} {item.unit:50.50} "
            f"n={item.samples:<3} {where}"
        )
    print(f"{len(inputs)} start-ups of {len({item.case.source for item in inputs})} sources")
    return 0


if __name__ == "__main__":
    sys.exit(main())
