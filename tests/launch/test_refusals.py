"""Refusals that no memory changes: classes and quantisations that left vLLM."""

from __future__ import annotations

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.models.sources import load_model


@pytest.mark.parametrize(("version", "refused"), [("0.23.0", False), ("0.33.0", True)])
def test_a_class_that_left_is_refused_from_then_on(version: str, refused: bool) -> None:
    model = load_model("MiniMaxAI/MiniMax-M1-80k", source="catalog")
    request = StartupRequest(model=model.id, vllm_version=version, tensor_parallel_size=8)
    launch = resolve_launch(request, model.architecture, find_gpu("H200"), config=model.config)
    messages = [problem.message for problem in launch.problems]
    assert any("is not supported anymore" in message for message in messages) is refused


@pytest.mark.parametrize(("version", "refused"), [("0.26.0", False), ("0.28.0", True)])
@pytest.mark.parametrize("stored", [False, True])
def test_bitsandbytes_left_between_two_releases(version: str, refused: bool, stored: bool) -> None:
    model = load_model("Qwen/Qwen3-8B", source="catalog")
    section = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    request = StartupRequest(
        model=model.id, vllm_version=version, quantization="auto" if stored else "bitsandbytes"
    )
    launch = resolve_launch(
        request,
        model.architecture,
        find_gpu("H100"),
        config={**model.config, **(section if stored else {})},
    )
    messages = [problem.message for problem in launch.problems]
    unknown = "Unknown quantization method: bitsandbytes."
    assert any(message.startswith(unknown) for message in messages) is refused


@pytest.mark.parametrize(
    ("sizes", "version", "said"),
    [
        # Qwen3-8B has 8 heads of keys and values, each for 4 of queries.
        ((8, 2), "0.33.0", "to be greater than the model's total number of KV heads (8)"),
        ((16, 2), "0.33.0", None),
        ((16, 4), "0.33.0", "exceeds the maximum supported value (2)"),
        ((8, 2), "0.11.0", None),
    ],
)
def test_context_parallelism_needs_ranks_that_repeat_heads(
    sizes: tuple[int, int], version: str, said: str | None
) -> None:
    model = load_model("Qwen/Qwen3-8B", source="catalog")
    request = StartupRequest(
        model=model.id,
        vllm_version=version,
        tensor_parallel_size=sizes[0],
        decode_context_parallel_size=sizes[1],
    )
    launch = resolve_launch(request, model.architecture, find_gpu("H100"), config=model.config)
    messages = [problem.message for problem in launch.problems]
    assert messages == [] if said is None else any(said in message for message in messages)


def test_context_parallelism_of_latent_attention_needs_none() -> None:
    model = load_model("deepseek-ai/DeepSeek-V2-Lite", source="catalog")
    request = StartupRequest(model=model.id, tensor_parallel_size=2, decode_context_parallel_size=2)
    launch = resolve_launch(request, model.architecture, find_gpu("H100"), config=model.config)
    assert launch.problems == ()
