"""What holds for every model, release and GPU: no term below zero, nothing for free."""

from __future__ import annotations

from functools import cache

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.memory.startup import Startup, simulate_startup
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model

MODELS = (
    "meta-llama/Llama-3.1-8B-Instruct",
    "Qwen/Qwen3-30B-A3B-Base",
    "Qwen/Qwen3-8B-FP8",
    "Qwen/Qwen2.5-VL-7B-Instruct",
    "Qwen/Qwen3-VL-30B-A3B-Instruct",
    "Qwen/Qwen3.6-27B",
    "google/gemma-2-9b-it",
    "google/gemma-3-27b-it",
    "google/gemma-4-31B-it",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    "zai-org/GLM-4.5V",
    "deepseek-ai/DeepSeek-V2-Lite-Chat",
    "deepseek-ai/DeepSeek-V3",
    "openai/gpt-oss-20b",
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
)
RELEASES = (
    *("0.9.2", "0.10.2", "0.11.0", "0.12.0", "0.14.0", "0.17.0", "0.19.0", "0.21.0", "0.22.0"),
    *("0.24.0", "0.26.0", "0.28.0", "0.29.0", "0.31.0", "0.33.0"),
)
GPUS = ("H100 SXM5 80GB", "A100 SXM4 80GB", "GeForce RTX 4090", "B200 SXM 180GB")


@cache
def model_of(name: str) -> Model:
    return load_model(name, source="catalog")


def startup(name: str, release: str, gpu: str, **given: int) -> Startup:
    """The start-up, assumed to be of what the release runs."""
    model, card = model_of(name), find_gpu(gpu)
    request = StartupRequest.model_validate(
        {"model": name, "vllm_version": release, "trust_remote_code": True, **given}
    )
    capability = card.compute_capability or (8, 0)
    try:
        launch = resolve_launch(request, model.architecture, card, config=model.config)
        found = simulate_startup(model, card, capability, launch)
    except UnsupportedArchitecture:
        assume(False)
        raise
    assume(not launch.problems)
    return found


places = {
    "name": st.sampled_from(MODELS),
    "release": st.sampled_from(RELEASES),
    "gpu": st.sampled_from(GPUS),
}


@settings(deadline=None)
@given(**places, length=st.integers(1024, 131_072))
def test_no_memory_is_less_than_none(name: str, release: str, gpu: str, length: int) -> None:
    runtime = startup(name, release, gpu, max_model_len=length).runtime
    assert min(*runtime.stage_activation_bytes, runtime.non_torch_bytes) > 0
    assert runtime.cuda_graph_bytes >= 0 and runtime.outside_bytes >= 0
    assert all(
        term.bytes is None or term.bytes >= 0 or term.name.endswith("allocated_later")
        for term in runtime.terms
    )


@settings(deadline=None)
@given(**places, few=st.integers(8, 256), more=st.integers(1, 512))
def test_more_sequences_leave_no_more_for_the_cache(
    name: str, release: str, gpu: str, few: int, more: int
) -> None:
    narrow, wide = (
        startup(name, release, gpu, max_model_len=8192, max_num_seqs=number)
        for number in (few, few + more)
    )
    # The kernel that masks instead of sorting runs from eight sequences on.
    assert wide.available_bytes <= narrow.available_bytes


@settings(deadline=None)
@given(**places, tokens=st.sampled_from((2048, 4096, 8192)))
def test_larger_batches_leave_no_more_for_the_cache(
    name: str, release: str, gpu: str, tokens: int
) -> None:
    small, large = (
        startup(
            name, release, gpu, max_model_len=2048, max_num_seqs=64, max_num_batched_tokens=size
        )
        for size in (tokens, 2 * tokens)
    )
    assert large.available_bytes <= small.available_bytes


@settings(deadline=None)
@given(**places, length=st.integers(1024, 65_536))
def test_longer_requests_leave_no_more_for_the_cache(
    name: str, release: str, gpu: str, length: int
) -> None:
    short, long = (
        startup(name, release, gpu, max_model_len=size, max_num_seqs=64)
        for size in (length, 2 * length)
    )
    assert long.available_bytes <= short.available_bytes


@settings(deadline=None)
@given(**places, ranks=st.sampled_from((1, 2, 4)))
def test_more_ranks_hold_no_more_weights_each(
    name: str, release: str, gpu: str, ranks: int
) -> None:
    alone, together = (
        startup(name, release, gpu, max_model_len=8192, tensor_parallel_size=size)
        for size in (ranks, 2 * ranks)
    )
    assert together.weights.fullest.allocated <= alone.weights.fullest.allocated
