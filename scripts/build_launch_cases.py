"""Write the compact set of real launches that `benchmarks/launches.py` grades.

Each line is one launch: its words after `vllm serve` as one line for a shell, and what
vLLM 0.33's own parser reads from them, or the beginning of the sentence with which it
refuses them and the flag that this is about.

    python scripts/build_launch_cases.py [--shared PATH]
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "benchmarks" / "data" / "launches.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    path = parser.parse_args().shared / "data" / "launches.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps(_case(row), ensure_ascii=False) for row in rows]
    CASES.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _case(row: dict[str, Any]) -> dict[str, Any]:
    case: dict[str, Any] = {"serve": shlex.join(row["command"][2:]), "source": row["repository"]}
    if row["accepted"]:
        return {**case, "reads": row["values"]}
    return {**case, "refuses": row["flag"], "saying": row["message"]}


if __name__ == "__main__":
    main()
