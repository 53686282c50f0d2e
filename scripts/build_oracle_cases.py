"""Write the compact set of vLLM's own KV plans and weights that `benchmarks/oracle.py` grades.

Every launch of the shared file is kept (model, GPU, parallel sizes, KV dtype, block
size), with one or two of its lengths and memories: one that does not fit where there is
one, and for every other launch the longest that does.

    python scripts/build_oracle_cases.py [--shared PATH]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.oracle_rows import (  # noqa: E402
    CASES,
    LAUNCH_FIELDS,
    LENGTH_FIELDS,
    Row,
    packed,
    shared_rows,
)

_DATE = "2026-11-24"
_SIZE_LIMIT = 500_000


def chosen(rows: list[Row]) -> list[Row]:
    """One or two rows of each launch."""
    launches: dict[str, list[Row]] = {}
    for row in rows:
        key = json.dumps([row["model"], *(row[field] for field in LAUNCH_FIELDS)])
        launches.setdefault(key, []).append(row)
    kept: list[Row] = []
    for number, group in enumerate(launches.values()):
        short = [row for row in group if not row["fits"]]
        enough = [row for row in group if row["fits"]]
        longest = max(enough, key=lambda row: row["max_model_len"], default=None)
        kept += short[number % max(1, len(short)) :][:1]
        if longest is not None and (number % 2 or not short):
            kept.append(longest)
    return kept


def header(rows: int, models: int) -> dict[str, Any]:
    return {
        "provenance": "vLLM 0.33.0's own model classes, attention back ends and KV-cache planner, "
        "run on real configs with a simulated GPU; defaults of `vllm serve` where not given",
        "date": _DATE,
        "rows": rows,
        "models": models,
        "launch_fields": LAUNCH_FIELDS,
        "length_fields": LENGTH_FIELDS,
        "units": "bytes, tokens and GiB (model_loading_took_gib as vLLM prints it)",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    rows = chosen(shared_rows(parser.parse_args().shared))
    models = packed(rows)
    lines = [json.dumps(header(len(rows), len(models)), separators=(",", ":"))]
    lines += [json.dumps(model, separators=(",", ":")) for model in models]
    text = "\n".join(lines) + "\n"
    if len(text) > _SIZE_LIMIT:
        print(f"{len(text)} bytes are more than {_SIZE_LIMIT}; nothing was written.")
        return 1
    CASES.write_text(text, encoding="utf-8")
    print(f"{len(rows)} rows of {len(models)} models, {len(text)} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
