"""Warnings of what runs out of memory after the cache was sized."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vllm_preflight.base.units import gib_to_bytes
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.late_failures import late_failure_warnings
from vllm_preflight.memory.runtime.runtime import runtime_memory
from vllm_preflight.models.sources import load_model

LaunchOf = Callable[..., Launch]
LLAMA = load_model("meta-llama/Llama-3.1-8B-Instruct", source="catalog")
WEIGHTS = gib_to_bytes(14.99)
H100 = find_gpu("H100 SXM5 80GB")


def warnings_at(launch: Launch, gpu: Gpu, utilization: float) -> list[str]:
    """Of a start-up that gives all of its share to weights, profile pass and cache."""
    launch = replace(launch, gpu_memory_utilization=utilization)
    runtime = runtime_memory(LLAMA, launch, gpu)
    cache = int(gpu.visible_bytes * utilization) - WEIGHTS - runtime.budget_bytes
    return late_failure_warnings(launch, gpu, runtime, cache, WEIGHTS)


def uncharged(launch_of: LaunchOf) -> Launch:
    """A release that keeps graphs outside its budget."""
    return launch_of(version=(0, 19, 0), model_runner="v1", cudagraph_memory_charged=False)


def test_the_usual_share_leaves_room(launch_of: LaunchOf) -> None:
    launch = uncharged(launch_of)
    assert warnings_at(launch, H100, 0.9) == []
    assert warnings_at(launch, H100, 0.95) == []


def test_graphs_outside_the_budget_do_not_fit_beside_a_full_share(launch_of: LaunchOf) -> None:
    launch = uncharged(launch_of)
    (warning,) = warnings_at(launch, H100, 0.985)
    assert "graphs" in warning
    assert "--enforce-eager" in warning
    assert warnings_at(replace(launch, enforce_eager=True), H100, 0.985) == []


def test_charged_graphs_fit(launch_of: LaunchOf) -> None:
    launch = launch_of(version=(0, 24, 0), model_runner="v1", cudagraph_memory_charged=True)
    assert warnings_at(launch, H100, 0.985) == []


def test_blackwell_needs_a_workspace_too(launch_of: LaunchOf) -> None:
    launch = launch_of(version=(0, 24, 0), model_runner="v1", cudagraph_memory_charged=True)
    (warning,) = warnings_at(launch, replace(H100, compute_capability=(10, 0)), 0.99)
    assert "FlashInfer" in warning


def test_a_share_without_room_for_the_context_fails_in_the_warm_up(launch_of: LaunchOf) -> None:
    launch = uncharged(launch_of)
    (warning,) = warnings_at(launch, H100, 0.995)
    assert "sampler" in warning
    assert "--max-num-seqs" in warning
