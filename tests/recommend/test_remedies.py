"""What is proposed when a workload is not carried: proved, ordered, keeping the question."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.plan import PlanRequest, PlanResponse, Remedy
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.market import offered_gpus
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment


def plan(model: str = "Qwen/Qwen3-32B", gpu: str = "H100", **fields: Any) -> PlanResponse:
    return plan_deployment(validate_request(PlanRequest, {"model": model, "gpu": gpu, **fields}))


def remedies(**fields: Any) -> list[Remedy]:
    return plan(**fields).remedies or []


def check(model: str, gpu: str = "H100", **fields: Any) -> StartupResponse:
    return predict_startup(validate_request(StartupRequest, {"model": model, "gpu": gpu, **fields}))


def test_free_settings_come_before_checkpoints_before_gpus() -> None:
    kinds = [
        "kv_cache_dtype" if "kv_cache_dtype" in item.set and len(item.set) == 1
        else "gpu" if "gpu" in item.set
        else "gpus" if "gpus" in item.set
        else "checkpoint"
        for item in remedies(gpus=1, concurrency=70)
    ]  # fmt: skip
    order = ["kv_cache_dtype", "checkpoint", "gpus", "gpu"]
    assert kinds == sorted(kinds, key=order.index) and kinds[0] == "kv_cache_dtype"


def test_a_checkpoint_that_exists_is_named() -> None:
    found = remedies(gpu="RTX 4090", gpus=1)
    assert found[0].set["model"] == "Qwen/Qwen3-32B-AWQ"
    assert found[0].command is not None
    assert found[0].command.startswith("vllm serve Qwen/Qwen3-32B-AWQ")
    assert found[0].gives_up


def test_what_the_card_cannot_do_is_not_proposed() -> None:
    assert not any("kv_cache_dtype" in item.set for item in remedies(gpu="A100-80GB", gpus=1,
                                                                     concurrency=200))  # fmt: skip


def test_what_is_pinned_is_not_changed() -> None:
    found = remedies(gpus=1, concurrency=900, kv_cache_dtype="fp8_e5m2", quantization="fp8")
    assert found
    assert all(item.set.keys().isdisjoint({"kv_cache_dtype", "quantization"}) for item in found)


def test_other_gpus_are_for_rent_or_sale_and_larger() -> None:
    for item in remedies(gpus=1, concurrency=300):
        if "gpu" in item.set:
            assert item.set["gpu"] in offered_gpus()
            assert find_gpu(item.set["gpu"]).visible_bytes > find_gpu("H100").visible_bytes


def test_two_changes_together_where_one_does_not_do() -> None:
    found = remedies(model="Qwen/Qwen3-32B", gpu="L40S", gpus=1, concurrency=200)
    pairs = [item for item in found if "kv_cache_dtype" in item.set and "model" in item.set]
    single = [item for item in found if len(item.set) == 1 and "kv_cache_dtype" in item.set]
    assert bool(pairs) != bool(single) or not pairs


def test_an_open_number_shows_the_checkpoint_for_fewer_cards() -> None:
    answer = plan("Qwen/Qwen3-8B", "RTX 4060 Ti 16GB")
    assert answer.hardware.gpus == 2
    (other,) = answer.alternatives or []
    assert other.set["gpus"] == 1 and other.set["model"] != "Qwen/Qwen3-8B"
    again = plan(**{"gpu": "RTX 4060 Ti 16GB", **other.set})
    assert again.verdict.outcome == "carries"


@pytest.mark.design("4: a remedy is proved by the engine")
@pytest.mark.parametrize("length", [33_000, 36_000, 40_000])
def test_what_makes_a_launch_start_is_safe(length: int) -> None:
    answer = check("Qwen/Qwen3-32B", max_model_len=length)
    assert answer.verdict.outcome in ("borderline", "does_not_start")
    told = answer.startup.failure.remedies if answer.startup.failure else answer.next_steps
    assert told
    for text in told:
        words = text.removeprefix("Start with ").removesuffix(".").split()
        pairs = zip(words[::2], words[1::2], strict=True)
        fields: dict[str, Any] = {"max_model_len": length}
        fields |= {flag[2:].replace("-", "_"): value for flag, value in pairs}
        again = check("Qwen/Qwen3-32B", **fields)
        assert (again.verdict.start_probability or 0) >= 0.95, text


@pytest.mark.parametrize(("free_gb", "share"), [(40.0, "0.5"), (20.5, "0.25")])
def test_a_share_of_what_is_free_is_rounded_down(free_gb: float, share: str) -> None:
    answer = check("Qwen/Qwen3-4B", free_vram_gb=free_gb)
    assert answer.startup.failure is not None
    assert answer.startup.failure.kind == "free_memory_below_request"
    assert answer.startup.failure.remedies[0].startswith(f"--gpu-memory-utilization {share}")
