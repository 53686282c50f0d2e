"""What each setting of a plan costs, as the engine itself says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest, PlanResponse, Tradeoff
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment

PLAN: dict[str, Any] = {
    "model": "Qwen/Qwen3-32B",
    "gpu": "H100",
    "gpus": 2,
    "concurrency": 16,
    "batching_mode": "latency",
}


def explained(**fields: Any) -> tuple[PlanResponse, dict[str, Tradeoff]]:
    request = validate_request(PlanRequest, {**PLAN, **fields})
    plan = plan_deployment(request, explain=True)
    return plan, {item.setting: item for item in plan.tradeoffs or []}


def tokens(plan: PlanResponse, **changes: Any) -> int:
    """KV tokens by predict_startup for the plan's arguments with `changes`."""
    config = plan.config.model_dump(exclude={"explanations"}, exclude_none=True)
    asked = {**config, "gpu": "H100", **changes}
    answer = predict_startup(validate_request(StartupRequest, asked))
    assert answer.startup.kv_cache_tokens is not None
    return answer.startup.kv_cache_tokens


def said(text: str) -> int:
    """The difference in tokens that a sentence states."""
    found = re.search(r"([+-][\d,]+) tokens of KV cache", text)
    assert found is not None, text
    return int(found[1].replace(",", ""))


def test_a_plan_is_weighed_only_when_asked() -> None:
    assert plan_deployment(validate_request(PlanRequest, PLAN)).tradeoffs is None


def test_every_recommended_setting_is_weighed() -> None:
    _, weighed = explained()
    assert set(weighed) == {
        "tensor_parallel_size",
        "max_model_len",
        "max_num_seqs",
        "max_num_batched_tokens",
        "gpu_memory_utilization",
        "kv_cache_dtype",
        "quantization",
        "enforce_eager",
    }
    for item in weighed.values():
        assert item.why and item.costs and item.next_choice


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("tensor_parallel_size", {"tensor_parallel_size": 4}),
        ("max_num_seqs", {"max_num_seqs": 32}),
        ("max_num_batched_tokens", {"max_num_batched_tokens": 4_096}),
        ("gpu_memory_utilization", {"gpu_memory_utilization": 0.95}),
        ("kv_cache_dtype", {"kv_cache_dtype": "fp8"}),
        ("quantization", {"quantization": "fp8"}),
        ("enforce_eager", {"enforce_eager": True}),
    ],
)
def test_the_next_choice_gives_what_predict_startup_says(
    setting: str, changes: dict[str, Any]
) -> None:
    plan, weighed = explained()
    difference = tokens(plan, **changes) - tokens(plan)
    assert said(weighed[setting].next_choice) == difference


def test_half_the_sequences_free_what_is_said() -> None:
    plan, weighed = explained()
    half = plan.config.max_num_seqs // 2
    assert said(weighed["max_num_seqs"].costs) == tokens(plan, max_num_seqs=half) - tokens(plan)


def test_a_smaller_group_that_does_not_start_is_said_so() -> None:
    _, weighed = explained(gpu="A100-40GB", gpus=4)
    assert "vLLM would not start (" in weighed["tensor_parallel_size"].costs


def test_a_size_that_vllm_refuses_is_said_so() -> None:
    _, weighed = explained(model="Qwen/Qwen2.5-7B-Instruct", tensor_parallel_size=4, gpus=4)
    assert "invalid_arguments" in weighed["tensor_parallel_size"].next_choice


def test_the_models_own_length_has_nothing_beyond() -> None:
    _, weighed = explained(model="Qwen/Qwen3-8B", gpus=1, concurrency=1)
    assert "maximum" in weighed["max_model_len"].next_choice


def test_what_is_pinned_is_weighed_against_the_models_own() -> None:
    _, weighed = explained(kv_cache_dtype="fp8", quantization="fp8", enforce_eager=True)
    assert said(weighed["kv_cache_dtype"].costs) < 0
    assert said(weighed["quantization"].costs) < 0
    assert weighed["enforce_eager"].value == "true"
    assert said(weighed["enforce_eager"].next_choice) < 0


def test_a_plan_that_fails_is_not_weighed() -> None:
    request = validate_request(PlanRequest, {**PLAN, "gpu": "L4", "gpus": 1})
    assert plan_deployment(request, explain=True).tradeoffs is None
