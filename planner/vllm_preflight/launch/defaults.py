"""vLLM's defaults by release, GPU and model, read from `defaults.json`.

Everything here is a lookup; the rules that combine the values are in `resolve`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version, parse_version


@dataclass(frozen=True, slots=True)
class Default:
    """A default for one release: its value and where it was read."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class BatchDefault:
    """Tokens per step and sequences that a program takes on a GPU, and why."""

    max_num_batched_tokens: int
    max_num_seqs: int
    reason: str


@cache
def _table() -> Mapping[str, Any]:
    text = (
        resources.files("vllm_preflight.launch")
        .joinpath("defaults.json")
        .read_text(encoding="utf-8")
    )
    return json.loads(text)


@lru_cache(maxsize=512)
def default_for(name: str, version: Version) -> Default:
    """The default of `name` in `version`; KeyError for a name the table does not have."""
    history = _table()["settings"][name]["history"]
    entry = [item for item in history if parse_version(item["since"]) <= version][-1]
    return Default(name, entry["value"], f"vLLM {entry['source']}")


@lru_cache(maxsize=512)
def batch_default(version: Version, gpu: Gpu) -> BatchDefault:
    """`vllm serve`'s max_num_batched_tokens and max_num_seqs for the release and GPU.

    By the memory CUDA shows, the GPU's name and its capability, before any argument
    changes them. Source: vLLM engine/arg_utils.py:get_batch_defaults.
    """
    rows = _table()["batch"]["rows"]
    row = next(row for row in rows if _row_applies(row, version, gpu))
    reason = (
        f"vllm serve's default in {format_version(version)} for a GPU of "
        f"{gpu.visible_bytes / BYTES_TO_GIB:.0f} GiB"
    )
    if _is_a100(gpu) and row["min_total_gib"] == 0 and gpu.visible_bytes >= 70 * BYTES_TO_GIB:
        reason += " (an A100 counts as a small GPU)"
    return BatchDefault(row["max_num_batched_tokens"], row["max_num_seqs"], reason)


def batch_runner_default(
    version: Version, gpu: Gpu, *, pooling: bool, multimodal: bool
) -> BatchDefault:
    """`vllm run-batch`'s max_num_batched_tokens and max_num_seqs for the release.

    The tables by GPU have no row for it, so the scheduler's own defaults hold, which early
    releases raise for models that pool or take more than text.
    """
    rows = _table()["batch_runner"]["rows"]
    row = next(r for r in rows if "until" not in r or version < parse_version(r["until"]))
    least = (
        row["max_num_batched_tokens"],
        row.get("least_tokens_pooling", 0) if pooling else 0,
        row.get("least_tokens_multimodal", 0) if multimodal else 0,
    )
    seqs = row["max_num_seqs"]
    if seqs is None:
        seqs = batch_default(version, gpu).max_num_seqs
    return BatchDefault(max(least), seqs, f"vllm run-batch's default in {format_version(version)}")


def v0_engine_rules(kind: str, version: Version) -> list[Mapping[str, Any]]:
    """What `version` still runs in the V0 engine: its "rules", or its "arguments"."""
    return [
        rule
        for rule in _table()["v0_engine"][kind]
        if "since" not in rule or parse_version(rule["since"]) <= version
        if version < parse_version(rule["until"])
    ]


@lru_cache(maxsize=64)
def model_runner_rule(version: Version) -> Mapping[str, Any] | None:
    """Which models run in the second model runner; None before any did."""
    rules = _table()["model_runners"]["rules"]
    held = [rule for rule in rules if parse_version(rule["since"]) <= version]
    return held[-1] if held else None


def model_fact(name: str) -> Any:
    """A list or table of model types that vLLM treats specially."""
    return _table()["models"][name]["value"]


def _row_applies(row: Mapping[str, Any], version: Version, gpu: Gpu) -> bool:
    if "since" in row and version < parse_version(row["since"]):
        return False
    if "until" in row and version >= parse_version(row["until"]):
        return False
    if gpu.visible_bytes < row["min_total_gib"] * BYTES_TO_GIB:
        return False
    if row.get("name_without") == "a100" and _is_a100(gpu):
        return False
    return "capability_not" not in row or gpu.compute_capability != tuple(row["capability_not"])


def _is_a100(gpu: Gpu) -> bool:
    return any("a100" in name.lower() for name in (gpu.name, *gpu.nvml_names))
