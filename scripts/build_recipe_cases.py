"""Write the recipes on their verified machines that `benchmarks/recipe_commands.py` grades.

Each line is one way a recipe runs a checkpoint: its arguments as one line for a shell, the
release, the source and its date, and the machines: the card and how many of it there may be.

    python scripts/build_recipe_cases.py [--shared PATH]
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.recipes import cases  # noqa: E402  (the repository's root is not a package)

CASES = ROOT / "benchmarks" / "data" / "recipe_cases.jsonl"


def main() -> None:
    """Write one row for each way a recipe runs a checkpoint, with the machines it runs on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    path = parser.parse_args().shared / "data" / "recipes.jsonl"
    recipes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    dates = {recipe["source"]: recipe["date"] for recipe in recipes}
    rows: dict[tuple[str, ...], list[list[object]]] = {}
    for case in cases(path, least=False):
        way = (case.model, shlex.join(case.words), case.release, case.source, dates[case.source])
        rows.setdefault(way, []).append([case.gpu, list(case.counts)])
    names = ("model", "arguments", "release", "source", "date")
    lines = [
        json.dumps({**dict(zip(names, way, strict=True)), "machines": machines})
        for way, machines in rows.items()
    ]
    CASES.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{sum(map(len, rows.values()))} machines in {len(rows)} rows")


if __name__ == "__main__":
    main()
