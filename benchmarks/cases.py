"""Measured vLLM start-ups, as fitting and grading read them.

`data/startup_cases.jsonl` starts with a line that says what each field means; each line
after it is one start-up. `scripts/build_startup_cases.py` writes it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

PATH = Path(__file__).parent / "data/startup_cases.jsonl"

# What the header line says of each field.
FIELDS: Mapping[str, str] = {
    "id": "unique name of the start-up",
    "source": "repository or thread; split by this when fitting, never by line",
    "date": "day of the run or of its report (ISO 8601)",
    "version": "vLLM release whose behaviour applies; absent when not known",
    "build": "the build as written, when it is no plain release",
    "engine": "V0 or V1",
    "usage": "serve or offline (the LLM class), which differ in defaults; absent: serve likely",
    "model": "catalogue id, absent when not catalogued or in doubt",
    "model_as_written": "the model as the source names it",
    "stand_in": "catalogued model of the same shape as one that is not catalogued",
    "stand_in_quantization": "what turns the stand-in into it: awq, fp8, ... or nothing",
    "gpu": "catalogue name, absent when in doubt",
    "gpu_as_written": "the GPU as the source names it",
    "total_gib": "CUDA-visible total per GPU as printed, GiB",
    "gpus": "GPUs used in all",
    "args": "vLLM arguments given, by flag name",
    "args_complete": "whether arguments that are not listed had vLLM's defaults",
    "compile_cache": "cold: a first start; warm: a later one; absent: not shown",
    "resolved": "settings vLLM printed after resolving its defaults",
    "observed": "figures vLLM printed; *_gib per GPU, GiB; tokens and blocks counted",
    "starts": "true: served; false: refused or died; absent: not shown",
    "failure": "kind of failure, absent when it is not clear",
    "notes": "what a reader should know",
    "excluded": "why the start-up cannot be compared with a prediction",
}

Failure = Literal[
    "free_memory_below_request",
    "weights_do_not_fit",
    "no_kv_cache_memory",
    "kv_cache_too_small",
    "mamba_blocks_too_few",
    "out_of_memory_after_sizing",
    "other",
]


class _Named:
    @classmethod
    def names(cls) -> frozenset[str]:
        """The field names."""
        return frozenset(item.name for item in dataclasses.fields(cls))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Observed(_Named):
    """What a run printed. Memory is GiB per GPU; None where nothing was printed.

    `consumed_gib` is what 0.27 and later print instead of separate weights and non-torch
    memory. With pipeline stages the figures are those of the stage with the least room.
    """

    weights_gib: float | None = None
    activation_peak_gib: float | None = None
    non_torch_gib: float | None = None
    consumed_gib: float | None = None
    cuda_graph_gib: float | None = None
    cuda_graph_estimated_gib: float | None = None
    available_kv_gib: float | None = None
    requested_gib: float | None = None
    free_gib_at_start: float | None = None
    kv_cache_tokens: int | None = None
    num_gpu_blocks: int | None = None
    max_concurrency: float | None = None
    max_concurrency_at: int | None = None
    kv_needed_gib: float | None = None
    estimated_max_model_len: int | None = None
    mamba_blocks: int | None = None


@dataclass(frozen=True, slots=True)
class Resolved(_Named):
    """What vLLM made of its arguments, where it was printed."""

    dtype: str | None = None
    quantization: str | None = None
    kv_cache_dtype: str | None = None
    max_model_len: int | None = None
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    attention_backend: str | None = None
    attention_block_size: int | None = None
    encoder_budget: int | None = None
    encoder_items: int | None = None


@dataclass(frozen=True)
class StartupCase:
    """One measured start-up; the fields are explained in `FIELDS`."""

    id: str
    source: str
    engine: Literal["V0", "V1"]
    args: Mapping[str, Any]
    args_complete: bool
    observed: Observed
    resolved: Resolved
    date: str | None = None
    version: str | None = None
    build: str | None = None
    usage: Literal["serve", "offline"] | None = None
    model: str | None = None
    model_as_written: str | None = None
    stand_in: str | None = None
    stand_in_quantization: str | None = None
    gpu: str | None = None
    gpu_as_written: str | None = None
    total_gib: float | None = None
    gpus: int | None = None
    compile_cache: Literal["cold", "warm"] | None = None
    starts: bool | None = None
    failure: Failure | None = None
    notes: str = field(default="")
    excluded: str | None = None


def load_cases(path: Path = PATH) -> list[StartupCase]:
    """All start-ups, the excluded ones among them, in the order of the file."""
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    return [_case(json.loads(line)) for line in lines]


def _case(fields: Mapping[str, Any]) -> StartupCase:
    nested: dict[str, Any] = {
        "args": fields.get("args", {}),
        "observed": Observed(**fields.get("observed", {})),
        "resolved": Resolved(**fields.get("resolved", {})),
    }
    return StartupCase(**{**fields, **nested})
