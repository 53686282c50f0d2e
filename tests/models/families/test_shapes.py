"""Weights per rank from our shapes against what vLLM's own model classes allocate.

A second, plain sum: no allocator, no quantisation. Models with latent attention or
recurrent states are left to the tests of their families.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.models.architecture import Architecture, AttentionCache, Split, Weight
from vllm_preflight.models.config_reader import read_architecture

BYTES = {"uint8": 1, "int64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
# Buffers of a few bytes to a few hundred that are not weights.
SLACK = 256 * 1024


def rank_bytes(weight: Weight, ranks: int, dtype: str) -> float:
    rows, columns = float(weight.rows), float(weight.columns)
    uneven = weight.split in (Split.COLUMN, Split.ROW) and weight.units % ranks
    if weight.split is Split.VOCAB:
        rows = (-(-weight.rows // 64) * 64) / ranks
    elif weight.split is Split.KV_HEADS:
        rows = rows / weight.units * max(1, weight.units / ranks)
    elif weight.units > 1 and uneven:
        pass
    elif weight.split is Split.COLUMN:
        rows /= ranks
    elif weight.split is Split.ROW:
        columns /= ranks
    return rows * columns * weight.copies * BYTES[weight.dtype or dtype]


def model_bytes(found: Architecture, ranks: int, dtype: str, batch: int) -> float:
    total = sum(
        rank_bytes(weight, ranks, dtype) * count
        for where, weight, count in found.all_weights()
        if where != "predictor"
    )
    ropes = sum(rope.positions * rope.dim * BYTES[rope.dtype or dtype] for rope in found.ropes)
    return total + ropes + found.batch_buffer_width * batch * BYTES[dtype]


def oracle(shared: Path) -> dict[tuple[str, int], Mapping[str, Any]]:
    """One unquantised row for each model and tensor-parallel size."""
    rows: dict[tuple[str, int], Mapping[str, Any]] = {}
    with (shared / "data/vllm_oracle.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            plain = not row.get("failed") and not row["quant"] and row["pp"] == row["ep"] == 1
            if plain and row["config_completeness"] == "full":
                rows.setdefault((row["model"], row["tp"]), row)
    return rows


def test_bytes_per_rank_are_vllms(shared_dir: Path) -> None:
    configs: dict[str, Any] = {}
    for line in (shared_dir / "data/models/configs.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        configs[entry["model"]] = entry["config"]
    compared = 0
    wrong: list[str] = []
    for (model, ranks), row in oracle(shared_dir).items():
        found = read_architecture(configs[model])
        caches = [cache for layer in found.layers for cache in layer.caches]
        # A wrapper without its tower's section gets class defaults no checkpoint has.
        partial = "text_config" in configs[model] and "vision_config" not in configs[model]
        if partial or not all(isinstance(cache, AttentionCache) for cache in caches):
            continue
        compared += 1
        ours = model_bytes(found, ranks, row["dtype"], row["max_num_batched_tokens"])
        if abs(ours - row["weights_bytes_per_rank"]) > SLACK:
            wrong.append(f"{model} tp {ranks}: {ours:.0f} for {row['weights_bytes_per_rank']}")
    if compared == 0:
        pytest.fail("no row to compare")
    assert not wrong, "\n".join(wrong)
