"""Write what vLLM's own profile pass allocates, as the gate on derived memory uses it.

    python scripts/build_shadow_cases.py --shared ../shared --date 2026-11-28

Reads `data/shadow_profile.jsonl` (vLLM's own profile_run on simulated tensors) and writes
`benchmarks/data/shadow_cases.jsonl`: one line a run, figures only.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vllm_preflight.models.catalog.entries import catalog_entry

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.shadow import FIELDS, GPUS, PATH  # noqa: E402

Json = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    arguments = parser.parse_args()
    cases = list(shadow_cases(arguments.shared / "data"))
    header = {"schema": 1, "date": arguments.date, "fields": FIELDS}
    lines = [json.dumps(item, ensure_ascii=False) for item in (header, *cases)]
    PATH.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(cases)} runs")


def shadow_cases(data: Path) -> Iterator[Json]:
    """One case a run that ended, of a catalogued model on a catalogued GPU."""
    text = (data / "shadow_profile.jsonl").read_text(encoding="utf-8")
    for row in map(json.loads, text.splitlines()):
        if row.get("phases") and catalog_entry(row["model"]) and row["gpu"] in GPUS:
            yield shadow_case(row)


def shadow_case(row: Json) -> Json:
    """The run's layout and limits, and what it allocated in bytes."""
    case: Json = {
        "model": row["model"],
        "version": row["vllm"],
        "gpu": GPUS[row["gpu"]],
        "tp": row["tp"],
        "pp": row["pp"],
        "samples": "sampler" in row["phases"],
        "compiled": row["compiled"],
        "tokens": row["max_num_batched_tokens"],
        "sequences": row["max_num_seqs"],
        "length": row["max_model_len"],
        "seeded": row["requested"].get("extra") == '{"seed":0}',
        "runner": row.get("runner", "V1" if row["vllm"] == "0.19.0" else "V2").lower(),
        "peak": row["peak_increase_bytes"],
        "growth": row["persistent_growth_bytes"],
        "buffers": row["runner_init_bytes"] + row["runner_load_bytes"],
        "layers": row["layers_kept"],
    }
    return {key: value for key, value in case.items() if value not in (False, None)}


if __name__ == "__main__":
    main()
