"""What would make it fit or start: changes that were tried on the engine itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.hardware.catalog import load_catalog
from vllm_preflight.hardware.select import USUAL_NODE_SIZE, Hardware
from vllm_preflight.memory.startup import Startup
from vllm_preflight.recommend.sizing import Sizing

_FP8_CAPABILITY = (8, 9)
# Older cards lack bfloat16; they are not proposed.
_OLDEST_CAPABILITY = (8, 0)
_MOST_UTILIZATION = 0.95


@dataclass(frozen=True)
class Change:
    """Fields of a request to set, as a user writes them, and the GPU to ask for."""

    text: str
    fields: Mapping[str, Any]


def plan_changes(
    request: PlanRequest, hardware: Hardware, sizing: Sizing, quantized: bool
) -> Iterator[Change]:
    """Changes worth trying when a plan does not fit, the least disruptive first."""
    budget = sizing.budget
    if most := budget.max_concurrency(sizing.context, sizing.concurrency):
        most *= sizing.launch.data_parallel_size
        if most < request.concurrency:
            yield Change(f"--concurrency {most}", {"concurrency": most})
    if longest := budget.max_context(sizing.concurrency, sizing.context):
        yield Change(f"--max-model-len {longest}", {"max_model_len": longest})
    yield from _precision_changes(request, hardware, quantized)
    if request.gpu_memory_utilization < _MOST_UTILIZATION:
        yield Change(
            f"--gpu-memory-utilization {_MOST_UTILIZATION:g}",
            {"gpu_memory_utilization": _MOST_UTILIZATION},
        )


def more_gpus(sizing: Sizing) -> Iterator[Change]:
    """More of the same GPUs, with the parallel sizes left open, the fewest first."""
    for count in (2, 4, 8, 16, 32):
        if count > sizing.gpus:
            nodes = max(1, count // USUAL_NODE_SIZE)
            yield Change(
                f"--gpus {count}" + (f" --nodes {nodes}" if nodes > 1 else ""),
                {
                    "gpus": count,
                    "nodes": nodes,
                    "tensor_parallel_size": None,
                    "pipeline_parallel_size": None,
                },
            )


def larger_gpus(sizing: Sizing, hardware: Hardware) -> Iterator[Change]:
    """As many GPUs of the same vendor with more memory, the smallest first."""
    gpu = hardware.gpu
    larger = [
        other
        for other in load_catalog()
        if other.vendor == gpu.vendor
        and other.visible_bytes > gpu.visible_bytes + BYTES_TO_GIB
        and (other.compute_capability or (0, 0)) >= _OLDEST_CAPABILITY
    ]
    for other in sorted(larger, key=lambda other: (other.visible_bytes, other.name)):
        fields = {"gpu": other.name, "gpus": hardware.gpus or sizing.gpus, "vram_gb": None}
        yield Change(f"--gpu '{other.name}'", fields)


def _precision_changes(
    request: PlanRequest, hardware: Hardware, quantized: bool
) -> Iterator[Change]:
    can_fp8 = hardware.capability >= _FP8_CAPABILITY
    if can_fp8 and request.kv_cache_dtype == "auto":
        yield Change("--kv-cache-dtype fp8", {"kv_cache_dtype": "fp8"})
    if quantized or request.quantization not in {"auto", "none"}:
        return
    if can_fp8:
        yield Change("--quantization fp8", {"quantization": "fp8"})
        yield Change(
            "--quantization fp8 --kv-cache-dtype fp8",
            {"quantization": "fp8", "kv_cache_dtype": "fp8"},
        )
    yield Change("an AWQ checkpoint of the model", {"quantization": "awq"})


def startup_remedies(
    request: StartupRequest,
    startup: Startup,
    attempt: Callable[[Mapping[str, Any]], Startup | None],
) -> list[str]:
    """Flags after which the launch starts; each was simulated.

    `attempt` simulates the launch with some fields changed, or answers None when that
    is no valid launch.
    """
    working: list[str] = []
    for choices in _startup_changes(request, startup):
        for change in choices:
            outcome = attempt(change.fields)
            if outcome is not None and outcome.starts:
                working.append(change.text)
                break
    return working


def _startup_changes(request: StartupRequest, startup: Startup) -> Iterator[list[Change]]:
    """Kinds of changes worth trying, each as its choices from the mildest on."""
    launch, failure = startup.launch, startup.failure
    if failure is None or failure.kind in {"invalid_arguments", "unsupported", "not_modelled"}:
        return
    if failure.kind == "free_memory_below_request":
        free = min(launch.free_bytes or 0, startup.gpu.visible_bytes)
        share = int(free / startup.gpu.visible_bytes * 100) / 100
        yield [Change(f"--gpu-memory-utilization {share:g}", {"gpu_memory_utilization": share})]
        return
    if failure.kind == "mamba_blocks_too_few":
        most = startup.kv.num_blocks
        yield [Change(f"--max-num-seqs {most}", {"max_num_seqs": most})]
    if launch.kv_cache_memory_bytes is not None:
        if failure.kind == "kv_cache_too_small":
            needed = startup.kv.admission_bytes
            yield [Change(f"--kv-cache-memory-bytes {needed}", {"kv_cache_memory_bytes": needed})]
        yield [Change("no --kv-cache-memory-bytes", {"kv_cache_memory_bytes": None})]
    length = startup.kv.estimated_max_model_len
    if failure.kind == "kv_cache_too_small" and length:
        yield [Change(f"--max-model-len {length}", {"max_model_len": length})]
    if launch.gpu_memory_utilization < _MOST_UTILIZATION:
        share = _MOST_UTILIZATION
        yield [Change(f"--gpu-memory-utilization {share:g}", {"gpu_memory_utilization": share})]
    yield [
        Change(f"--max-num-seqs {sequences}", {"max_num_seqs": sequences})
        for sequences in (256, 64, 16)
        if sequences < launch.max_num_seqs
    ]
    if request.kv_cache_dtype == "auto":
        yield [Change("--kv-cache-dtype fp8", {"kv_cache_dtype": "fp8"})]
    if request.quantization == "auto":
        yield [Change("--quantization fp8", {"quantization": "fp8"})]
    yield [
        Change(f"--tensor-parallel-size {size}", {"tensor_parallel_size": size})
        for size in (launch.tensor_parallel_size * factor for factor in (2, 4, 8))
    ]
