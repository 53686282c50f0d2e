"""Rows of what vLLM 0.33 itself computes for real configs: where they come from.

A row is a mapping with the names of the shared file's fields. The whole file lies
outside the repository; a compact set made from it (scripts/build_oracle_cases.py) is
committed, one line a model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

CASES = Path(__file__).with_name("data") / "oracle_cases.jsonl"

# The order of values in the compact set: what was asked and resolved once per launch,
# then per length and memory.
LAUNCH_FIELDS = (
    "gpu",
    "cc",
    "tp",
    "pp",
    "ep",
    "kv_cache_dtype",
    "requested_block_size",
    "kv_cache_dtype_resolved",
    "dtype",
    "quant",
    "max_num_batched_tokens",
    "max_num_seqs",
    "mamba_cache_mode",
    "max_in_flight_tokens",
    "block_size",
    "bytes_per_block",
    "weights_bytes_per_pp_rank",
    "model_loading_took_gib",
    "model_loading_took_gib_before_v0_21",
    "post_load_errors",
)
LENGTH_FIELDS = (
    "max_model_len",
    "available_kv_bytes",
    "num_blocks",
    "kv_cache_tokens",
    "max_concurrency",
    "estimated_max_model_len",
    "fits",
)


def shared_rows(shared: Path) -> list[Row]:
    """All rows of the shared file that vLLM did not refuse."""
    path = shared / "data" / "vllm_oracle.jsonl"
    with path.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    return [row for row in rows if not row.get("failed")]


def refused_rows(shared: Path) -> list[Row]:
    """The rows of the shared file that vLLM refused, with its reason in `failed`."""
    path = shared / "data" / "vllm_oracle.jsonl"
    with path.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream if '"failed"' in line]
    return [row for row in rows if row.get("failed")]


def compact_rows(path: Path = CASES) -> list[Row]:
    """The rows of the committed set."""
    with path.open(encoding="utf-8") as stream:
        next(stream)  # where the values come from
        return [row for line in stream for row in _unpacked(json.loads(line))]


def _unpacked(model: Mapping[str, Any]) -> Iterator[Row]:
    for launch, lengths in model["launches"]:
        shared = {"model": model["model"], "architecture": model["architecture"]}
        shared |= dict(zip(LAUNCH_FIELDS, launch, strict=True))
        shared["weights_bytes_per_rank"] = max(shared["weights_bytes_per_pp_rank"])
        shared["post_load_errors"] = shared["post_load_errors"] or None
        for values in lengths:
            yield shared | dict(zip(LENGTH_FIELDS, values, strict=True))


def packed(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as the committed set holds them, one entry a model."""
    models: dict[str, dict[str, Any]] = {}
    launches: dict[str, list[list[Any]]] = {}
    for row in rows:
        name = row["model"]
        model = models.setdefault(
            name, {"model": name, "architecture": row["architecture"], "launches": []}
        )
        known = row | {"post_load_errors": bool(row["post_load_errors"])}
        launch = [known[field] for field in LAUNCH_FIELDS]
        key = json.dumps([name, launch])
        if key not in launches:
            launches[key] = []
            model["launches"].append([launch, launches[key]])
        launches[key].append([row[field] for field in LENGTH_FIELDS])
    return [models[name] for name in sorted(models)]
