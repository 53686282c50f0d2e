"""Predicted against measured start-ups.

    python benchmarks/accuracy.py            prints the tables and writes docs/accuracy.md
    python benchmarks/accuracy.py --check    exits 1 when docs/accuracy.md is not that

The server carries the page's first tables, which its method resource shows.
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
SUMMARY = ROOT / "server/vllm_preflight_server/mcp/accuracy.md"
SUMMARISED = ("Targets", "Held-out accuracy")


def main() -> int:
    parser = argparse.ArgumentParser(description="Grade predictions against real start-ups.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    page = report(run_benchmark())
    texts = {PAGE: page, SUMMARY: summary(page)}
    if arguments.check:
        same = all(
            path.is_file() and path.read_text(encoding="utf-8") == text
            for path, text in texts.items()
        )
        print(f"{PAGE.name} is {'what' if same else 'not what'} the benchmark gives")
        return 0 if same else 1
    PAGE.parent.mkdir(exist_ok=True)
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    print(page)
    return 0


def summary(page: str) -> str:
    """The page's introduction and the sections of `SUMMARISED`."""
    introduction, *sections = page.split("\n## ")
    kept = [section for section in sections if section.partition("\n")[0] in SUMMARISED]
    return "\n## ".join([introduction, *kept]).strip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
