"""The recommended vLLM arguments and their reasons."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.contract.plan import PlanRequest, VLLMConfig
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.select import select_hardware
from vllm_preflight.models.sources import load_model
from vllm_preflight.recommend.parallelism import choose_layout
from vllm_preflight.recommend.settings import recommend_settings


def settings(**fields: Any) -> VLLMConfig:
    request = validate_request(PlanRequest, {"model": "Qwen/Qwen3-8B", "gpu": "H100", **fields})
    model, hardware = load_model(request.model), select_hardware(request)
    return recommend_settings(model, hardware, request, choose_layout(model, hardware, request))


def test_the_length_is_the_models_own_when_all_requests_fit_at_it() -> None:
    assert settings(concurrency=2).max_model_len == 40_960
    assert "own maximum" in settings(concurrency=2).explanations["max_model_len"]


def test_else_the_longest_at_which_all_fit_in_whole_blocks() -> None:
    config = settings(concurrency=64)
    assert 768 < config.max_model_len < 40_960
    assert config.max_model_len % 16 == 0
    assert "64 requests fit" in config.explanations["max_model_len"]


def test_never_shorter_than_the_workload() -> None:
    config = settings(concurrency=5_000)
    assert config.max_model_len == 768
    assert "would not fit" in config.explanations["max_model_len"]


@pytest.mark.parametrize(
    ("concurrency", "sequences"), [(1, 16), (8, 16), (9, 32), (100, 256), (2_000, 2_000)]
)
def test_sequences_leave_room_for_twice_the_concurrency(concurrency: int, sequences: int) -> None:
    assert settings(concurrency=concurrency).max_num_seqs == sequences


def test_a_step_holds_every_sequence() -> None:
    config = settings(concurrency=10_000, batching_mode="latency")
    assert config.max_num_batched_tokens >= config.max_num_seqs


def test_every_recommended_argument_has_its_reason() -> None:
    config = settings(concurrency=4)
    for name in (
        "max_model_len",
        "max_num_seqs",
        "max_num_batched_tokens",
        "tensor_parallel_size",
        "gpu_memory_utilization",
    ):
        assert config.explanations[name]


def test_only_what_differs_from_the_checkpoint_is_an_argument() -> None:
    plain = settings()
    assert plain.dtype is None and plain.quantization is None and plain.kv_cache_dtype is None
    asked = settings(dtype="fp16", quantization="fp8", kv_cache_dtype="fp8", revision="main")
    assert (asked.dtype, asked.quantization, asked.kv_cache_dtype) == ("float16", "fp8", "fp8")
    assert asked.revision == "main"
    assert "kv_cache_dtype" in asked.explanations
