"""How many requests of each length a launch's cache holds, beside what vLLM prints."""

from __future__ import annotations

import pytest

from vllm_preflight.contract.check import StartupReport, StartupRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup


def start(model: str, **arguments: object) -> StartupReport:
    request = validate_request(StartupRequest, {"model": model, "gpu": "H100", **arguments})
    return predict_startup(request).startup


# Plain attention, windows beside full attention, latent attention with a small rest.
@pytest.mark.parametrize(
    ("model", "gpus"),
    [("Qwen/Qwen3-8B", 1), ("google/gemma-3-27b-it", 2), ("deepseek-ai/DeepSeek-V2-Lite", 1)],
)
def test_holds_vllms_maximum_concurrency_and_the_longest_request(model: str, gpus: int) -> None:
    startup = start(model, tensor_parallel_size=gpus, max_model_len=8192)
    assert startup.requests_by_length is not None
    held = {point.tokens: point.requests for point in startup.requests_by_length}
    assert held[8192] == startup.max_concurrency
    assert startup.estimated_max_model_len is not None
    assert held[startup.estimated_max_model_len] >= 1
    assert list(held) == sorted(held)
    assert list(held.values()) == sorted(held.values(), reverse=True)


def test_says_by_how_much_a_length_that_does_not_start_is_too_long() -> None:
    startup = start("Qwen/Qwen3-32B")
    assert startup.requests_by_length is not None and not startup.starts
    longest = startup.requests_by_length[-1]
    assert longest.tokens == startup.max_model_len
    assert longest.requests == startup.max_concurrency
    assert 0 < longest.requests < 1


def test_says_nothing_without_memory_for_a_cache() -> None:
    assert start("meta-llama/Llama-3.1-70B-Instruct").requests_by_length is None
