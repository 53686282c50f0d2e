"""Grading of KV plans: our blocks, tokens, concurrency and lengths beside vLLM 0.33's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from benchmarks.oracle_rows import Row

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.memory.kv.cache import KvPlan, kv_plan
from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model

VLLM_VERSION = "0.33.0"


@dataclass(frozen=True)
class KvGrade:
    """One row: what differs, as "ours, vLLM's"; or why it could not be graded.

    `differences` are figures of the KV cache, `resolved` arguments that came out otherwise.
    """

    row: Row
    differences: dict[str, str]
    resolved: dict[str, str]
    skipped: str = ""

    @property
    def agrees(self) -> bool:
        """Whether every figure is vLLM's."""
        return not self.skipped and not self.differences


@cache
def catalogued(name: str) -> Model | str:
    """The model with the config as it stands in the catalogue, or why it cannot be had.

    vLLM was given no more than the entry's own keys, so nothing is derived beside them.
    """
    entry = catalog_entry(name)
    if entry is None:
        return f"The catalogue has no model {name}."
    try:
        model = load_model(name, source="catalog")
        return replace(model, config=entry.config, architecture=read_architecture(entry.config))
    except PreflightError as error:
        return str(error)


@cache
def simulated_gpu(name: str, capability: str) -> Gpu:
    """The row's GPU; its capability is the simulation's."""
    major, _, minor = capability.partition(".")
    return replace(find_gpu(name), compute_capability=(int(major), int(minor)))


def launch_of(row: Row, model: Model) -> Launch:
    """The row's request, resolved as for a user who gave the same arguments."""
    request = StartupRequest(
        model=row["model"],
        vllm_version=VLLM_VERSION,
        tensor_parallel_size=row["tp"],
        pipeline_parallel_size=row["pp"],
        enable_expert_parallel=row["ep"] > 1,
        kv_cache_dtype=row["kv_cache_dtype"],
        block_size=row["requested_block_size"],
        max_model_len=row["max_model_len"],
        max_num_batched_tokens=row["max_num_batched_tokens"],
        max_num_seqs=row["max_num_seqs"],
        kv_cache_memory_bytes=row["available_kv_bytes"],
    )
    return resolve_launch(
        request,
        model.architecture,
        simulated_gpu(row["gpu"], row["cc"]),
        config=model.config,
        checkpoint_kv_cache_dtype=model.quantization.kv_cache_dtype,
    )


def grade_kv(rows: Iterable[Row]) -> list[KvGrade]:
    """Every row beside our plan for the same arguments and the same memory."""
    return [_grade(row) for row in rows]


def _grade(row: Row) -> KvGrade:
    model = catalogued(row["model"])
    if isinstance(model, str):
        return KvGrade(row, {}, {}, model)
    try:
        launch = launch_of(row, model)
        capability = simulated_gpu(row["gpu"], row["cc"]).compute_capability or (0, 0)
        plan = kv_plan(model.architecture, launch, capability, row["available_kv_bytes"])
    except PreflightError as error:
        return KvGrade(row, {"refused": str(error)}, {})
    return KvGrade(row, _differences(row, plan), _resolved(row, launch))


def _resolved(row: Row, launch: Launch) -> dict[str, str]:
    pairs = {
        "dtype": (launch.dtype, row["dtype"]),
        "mamba_cache_mode": (launch.mamba_cache_mode, row["mamba_cache_mode"]),
        "max_in_flight_tokens": (launch.max_in_flight_tokens, row["max_in_flight_tokens"]),
    }
    return _unequal(pairs)


def _differences(row: Row, plan: KvPlan) -> dict[str, str]:
    pairs: dict[str, tuple[object, object]] = {
        "block_size": (plan.pool.block_size, row["block_size"]),
        "bytes_per_block": (plan.pool.bytes_per_block, row["bytes_per_block"]),
        "num_blocks": (plan.num_blocks, row["num_blocks"]),
        "kv_cache_tokens": (plan.tokens, row["kv_cache_tokens"]),
        "max_concurrency": (_hundredths(plan.max_concurrency), _hundredths(row["max_concurrency"])),
        "fits": (plan.fits, row["fits"]),
    }
    # A model that caches nothing has no estimate: any length starts.
    if row["estimated_max_model_len"] is not None:
        pairs["estimated_max_model_len"] = (
            plan.estimated_max_model_len,
            row["estimated_max_model_len"],
        )
    return _unequal(pairs)


def _unequal(pairs: Mapping[str, tuple[object, object]]) -> dict[str, str]:
    return {name: f"{ours}, {theirs}" for name, (ours, theirs) in pairs.items() if ours != theirs}


def _hundredths(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
