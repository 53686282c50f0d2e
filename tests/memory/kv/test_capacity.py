"""How many requests of each length a launch's cache holds, beside what vLLM prints."""

from __future__ import annotations

from functools import partial

import pytest

from vllm_preflight.contract.check import StartupReport, StartupRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.memory.kv.cache import KvPool
from vllm_preflight.memory.kv.capacity import longest_at_once, requests_at_once
from vllm_preflight.memory.kv.groups import KvGroup, LayerSpec
from vllm_preflight.memory.kv.specs import (
    FullSpec,
    KvSpec,
    LatentSpec,
    RequestShape,
    SlidingSpec,
)
from vllm_preflight.memory.startup import simulate_startup
from vllm_preflight.models.sources import load_model
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


@pytest.mark.parametrize("spec", [FullSpec(16, 128), LatentSpec(64, 576), SlidingSpec(16, 128)])
@pytest.mark.parametrize("ranks", [1, 4])
def test_the_longest_length_is_what_a_search_would_find(spec: KvSpec, ranks: int) -> None:
    pool = KvPool(spec.block_size, (KvGroup((LayerSpec(0, spec),)),), (spec.page_bytes,))
    shape = RequestShape(5_000, 64, 64, ranks)
    for blocks in (-1, 0, 1, 2, 17, 78, 79, 312, 313, 1_000):
        found = pool.longest_within(shape, blocks, 5_000)
        assert 0 <= found <= 5_000
        assert not found or pool.blocks_per_request(shape.of_length(found)) <= blocks
        if found < 5_000:
            assert pool.blocks_per_request(shape.of_length(found + 1)) > blocks


@pytest.mark.parametrize("model", ["Qwen/Qwen3-8B", "google/gemma-3-27b-it"])
def test_the_longest_of_several_requests_is_the_last_that_all_fit(model: str) -> None:
    loaded, gpu = load_model(model, source="catalog"), find_gpu("H200")
    request = StartupRequest(model=model, gpu="H200", max_model_len=32_768)
    launch = resolve_launch(request, loaded.architecture, gpu, config=loaded.config)
    startup = simulate_startup(loaded, gpu, gpu.compute_capability or (9, 0), launch)
    at_once = partial(requests_at_once, loaded.architecture, launch, startup.kv)
    for count in (1, 7, 64, launch.max_num_seqs):
        longest = longest_at_once(loaded.architecture, launch, startup.kv, count, 32_768)
        assert at_once(longest) >= count
        assert longest == 32_768 or at_once(longest + 1) < count
    beyond = launch.max_num_seqs + 1
    assert longest_at_once(loaded.architecture, launch, startup.kv, beyond, 32_768) == 0
