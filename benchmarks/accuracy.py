"""Predicted against measured start-ups.

    python benchmarks/accuracy.py            prints the tables and writes docs/accuracy.md
    python benchmarks/accuracy.py --check    exits 1 when docs/accuracy.md is not that

Every case is predicted under a fit that has not seen its source; see `holdout`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.accuracy_report import report  # noqa: E402
from benchmarks.holdout import run_benchmark  # noqa: E402

PAGE = ROOT / "docs/accuracy.md"


def main() -> int:
    parser = argparse.ArgumentParser(description="Grade predictions against real start-ups.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    page = report(run_benchmark())
    if arguments.check:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page
        print(f"{PAGE.name} is {'what' if same else 'not what'} the benchmark gives")
        return 0 if same else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
