"""Weights per GPU against what vLLM's own model classes allocate.

Run as a script it prints a table of every model whose weights differ:

    python -m benchmarks.oracle_weights --shared ../shared
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.launch.launch import Launch, Version
from vllm_preflight.memory.weights.weights import weights_per_rank
from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.catalog_models import STORAGE
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import read_quantization

ORACLE_VERSION: Version = (0, 33, 0)
BEFORE_UNSPLIT: Version = (0, 20, 0)
GOOD = 0.005
ACCEPTABLE = 0.02

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WeightGrade:
    """One row's fullest pipeline stage: predicted and vLLM's bytes on TP rank 0.

    `error` is the largest relative error of any stage, `loading_error_gib` that of
    "Model loading took", `older_loading_error_gib` the same before vLLM 0.21. `cause`
    says why nothing was predicted; then the numbers are None.
    """

    model: str
    family: str
    tp: int
    pp: int
    quant: str
    predicted_bytes: int | None
    oracle_bytes: int
    error: float | None
    loading_error_gib: float | None = None
    older_loading_error_gib: float | None = None
    cause: str = ""


def gradeable(row: Row) -> bool:
    """Whether a row's weights are exact: built, and every quantised layout repacked."""
    return "weights_bytes_per_rank" in row and not row.get("post_load_errors")


def distinct_weights(rows: Iterable[Row]) -> list[Row]:
    """One row for each launch whose weights can differ."""
    keys = ("model", "cc", "tp", "pp", "ep", "max_num_batched_tokens", "max_num_seqs", "dtype")
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if gradeable(row):
            found.setdefault(tuple(row[key] for key in keys), row)
    return list(found.values())


def grade_weights(rows: Iterable[Row]) -> list[WeightGrade]:
    """A grade for each gradeable row; models come from the embedded catalogue."""
    return [_grade(row) for row in rows if gradeable(row)]


@cache
def catalogue_model(name: str, quantised: bool = True) -> Model:
    """The catalogued model; raises PreflightError or LookupError.

    With `quantised` false it is the model as a row without quantisation was made of it: the
    catalogue has since settled the storage of some from other sources than their config.
    """
    entry = catalog_entry(name)
    if entry is None:
        raise LookupError(f"{name} is not in the catalogue")
    config = dict(entry.config)
    if not quantised and entry.facts.get(STORAGE) not in ("published", "quoted"):
        config.pop("quantization_config", None)
    return Model(
        name, "catalog", entry.source, config, read_architecture(config), read_quantization(config)
    )


def row_launch(row: Row, version: Version = ORACLE_VERSION) -> Launch:
    """The launch of an oracle row."""
    return Launch(
        version=version,
        dtype=row["dtype"],
        kv_cache_dtype=row["kv_cache_dtype_resolved"],
        max_model_len=row["max_model_len"],
        gpu_memory_utilization=0.92,
        max_num_seqs=row["max_num_seqs"],
        max_num_batched_tokens=row["max_num_batched_tokens"],
        tensor_parallel_size=row["tp"],
        pipeline_parallel_size=row["pp"],
        enable_expert_parallel=row["ep"] > 1,
    )


def _grade(row: Row) -> WeightGrade:
    facts = (row["model"], row["architecture"], row["tp"], row["pp"], row["quant"] or "none")
    oracle: Sequence[int] = row["weights_bytes_per_pp_rank"]
    major, _, minor = row["cc"].partition(".")
    capability = (int(major), int(minor))
    try:
        model = catalogue_model(row["model"], row["quant"] is not None)
        now = weights_per_rank(model, row_launch(row), capability)
        older = weights_per_rank(model, row_launch(row, BEFORE_UNSPLIT), capability)
    except (PreflightError, LookupError) as error:
        return WeightGrade(*facts, None, max(oracle), None, cause=str(error))
    stages = now.stages
    return WeightGrade(
        *facts,
        max(stage.exact for stage in stages),
        max(oracle),
        max(abs(s.exact - o) / o for s, o in zip(stages, oracle, strict=True)),
        _loading_error(now.stages, row["model_loading_took_gib"]),
        _loading_error(older.stages, row["model_loading_took_gib_before_v0_21"]),
    )


def _loading_error(stages: Sequence[Any], printed: Sequence[float]) -> float:
    return max(
        abs(bytes_to_gib(stage.allocated, 4) - gib)
        for stage, gib in zip(stages, printed, strict=True)
    )


def summary(grades: Sequence[WeightGrade]) -> str:
    """Shares of the graded rows within the bounds, and the models outside them."""
    known = [grade for grade in grades if grade.error is not None]
    lines = [f"{len(grades)} rows, {len(grades) - len(known)} refused"]
    for label, bound in (("exact", 1e-6), ("0.5 %", GOOD), ("2 %", ACCEPTABLE)):
        within = sum(grade.error <= bound for grade in known if grade.error is not None)
        lines.append(f"within {label}: {within} of {len(known)} ({within / len(known):.2%})")
    for name, errors in (
        ("Model loading took", [g.loading_error_gib for g in known]),
        ("Model loading took before 0.21", [g.older_loading_error_gib for g in known]),
    ):
        within = sum(error <= 0.001 for error in errors if error is not None)
        lines.append(f"{name} within 0.001 GiB: {within} of {len(known)}")
    worst: dict[str, WeightGrade] = {}
    for grade in known:
        best = worst.get(grade.model)
        if best is None or (grade.error or 0) > (best.error or 0):
            worst[grade.model] = grade
    apart = [grade for grade in worst.values() if (grade.error or 0) > 1e-4]
    lines += [
        f"  {grade.error:8.3%}  {grade.model} tp{grade.tp} pp{grade.pp} {grade.quant} "
        f"({(grade.predicted_bytes or 0) - grade.oracle_bytes:+,} bytes)"
        for grade in sorted(apart, key=lambda grade: -(grade.error or 0))
    ]
    refused = Counter(grade.model for grade in grades if grade.error is None)
    lines += [f"  refused  {model} ({count} rows)" for model, count in refused.items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    options = parser.parse_args(arguments)
    path = options.shared / "data" / "vllm_oracle.jsonl"
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    print(summary(grade_weights(distinct_weights(rows))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
