"""Which changes are proposed, in which order, and that only working ones are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.select import Hardware, select_hardware
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.sources import load_model
from vllm_preflight.recommend.parallelism import choose_layout
from vllm_preflight.recommend.remedies import (
    larger_gpus,
    more_gpus,
    plan_changes,
    startup_remedies,
)
from vllm_preflight.recommend.sizing import Sizing, resolve_for


def sized(gpu: str = "H100", **fields: Any) -> tuple[PlanRequest, Hardware, Sizing]:
    request = validate_request(PlanRequest, {"model": "Qwen/Qwen3-32B", "gpu": gpu, **fields})
    hardware = select_hardware(request)
    return request, hardware, choose_layout(load_model(request.model), hardware, request)


def changes(quantized: bool = False, **fields: Any) -> list[str]:
    request, hardware, sizing = sized(**fields)
    return [change.text for change in plan_changes(request, hardware, sizing, quantized)]


def test_the_least_disruptive_changes_come_first() -> None:
    proposed = changes(gpus=1, concurrency=400)
    assert proposed[0].startswith("--concurrency ")
    assert proposed.index("--kv-cache-dtype fp8") < proposed.index("--quantization fp8")


def test_what_the_card_cannot_do_is_not_proposed() -> None:
    assert not any("fp8" in change for change in changes(gpu="A100-80GB", gpus=1))
    assert any("fp8" in change for change in changes(gpu="L40S", gpus=1))


def test_a_quantised_checkpoint_is_not_quantised_again() -> None:
    assert not any("--quantization" in change for change in changes(quantized=True, gpus=1))


def test_what_is_pinned_is_not_changed() -> None:
    assert "--kv-cache-dtype fp8" not in changes(gpus=1, kv_cache_dtype="fp8_e5m2")
    assert not any("--quantization" in change for change in changes(gpus=1, quantization="fp8"))
    proposed = changes(gpus=1, gpu_memory_utilization=0.96)
    assert not any("utilization" in change for change in proposed)


def test_more_gpus_are_the_next_powers_of_two() -> None:
    _, _, sizing = sized(gpus=4, tensor_parallel_size=4)
    texts = [change.text for change in more_gpus(sizing)]
    assert texts == ["--gpus 8", "--gpus 16 --nodes 2", "--gpus 32 --nodes 4"]


def test_larger_gpus_are_of_the_same_vendor_and_ascend() -> None:
    _, hardware, sizing = sized("L40S", gpus=1)
    names = [change.fields["gpu"] for change in larger_gpus(sizing, hardware)]
    assert not any(name.startswith(("MI", "Instinct")) for name in names)
    sizes = [
        select_hardware(validate_request(PlanRequest, {"model": "m/m", "gpu": name})).gpu
        for name in names
    ]
    visible = [gpu.visible_bytes for gpu in sizes]
    assert visible == sorted(visible)
    assert min(visible) > hardware.gpu.visible_bytes


def failed(**fields: Any) -> tuple[StartupRequest, Startup]:
    from vllm_preflight.memory.startup import simulate_startup

    request = validate_request(
        StartupRequest, {"model": "Qwen/Qwen3-32B", "gpu": "A100-80GB", **fields}
    )
    model, hardware = load_model(request.model), select_hardware(request)
    launch = resolve_for(model, hardware, request)
    return request, simulate_startup(model, hardware.gpu, hardware.capability, launch)


@pytest.mark.design("4: a remedy is proved by the engine")
def test_only_what_starts_is_told_and_the_mildest_of_a_kind() -> None:
    request, startup = failed(gpu_memory_utilization=0.7)
    assert startup.failure is not None
    _, works = failed(gpu_memory_utilization=0.95)
    tried: list[Mapping[str, Any]] = []

    def attempt(fields: Mapping[str, Any]) -> Startup | None:
        tried.append(fields)
        helps = fields.get("max_num_seqs") == 64 or "tensor_parallel_size" in fields
        return works if helps else startup

    works_with = startup_remedies(request, works, attempt)
    assert works_with == [] and tried == []
    told = startup_remedies(request, startup, attempt)
    assert told == ["--max-num-seqs 64", "--tensor-parallel-size 2"]
    assert {"max_num_seqs": 16} not in tried


def test_an_attempt_that_is_no_launch_is_no_remedy() -> None:
    request, startup = failed(gpu_memory_utilization=0.7)
    assert startup_remedies(request, startup, lambda fields: None) == []


@pytest.mark.parametrize(("free_gb", "share"), [(40, "0.5"), (70.3, "0.88")])
def test_a_share_of_what_is_free_is_rounded_down(free_gb: float, share: str) -> None:
    request, startup = failed(free_vram_gb=free_gb)
    _, works = failed(gpu_memory_utilization=0.95)
    told = startup_remedies(request, startup, lambda fields: works)
    assert told == [f"--gpu-memory-utilization {share}"]
