"""Weights of a draft beside the model's on the last pipeline stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from vllm_preflight.launch.launch import Launch, Speculation
from vllm_preflight.memory.weights.weights import DRAFT_PART, RankWeights, weights_per_rank
from vllm_preflight.models.drafts.derived import derived_head
from vllm_preflight.models.drafts.in_target import dspark_stages
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model

LaunchOf = Callable[..., Launch]
HOPPER = (9, 0)


def catalogued(name: str) -> Model:
    return load_model(name, source="catalog")


def drafted(weights: RankWeights) -> list[int]:
    """The draft's bytes on each pipeline stage."""
    return [
        sum(part.bytes for part in stage.parts if part.name == DRAFT_PART)
        for stage in weights.stages
    ]


def test_a_draft_model_is_loaded_whole(launch_of: LaunchOf) -> None:
    target, small = catalogued("Qwen/Qwen3-8B"), catalogued("Qwen/Qwen3-0.6B")
    launch = launch_of(tensor_parallel_size=2)
    speculation = Speculation("draft_model", 3, small.id, small)
    weights = weights_per_rank(target, replace(launch, speculation=speculation), HOPPER)
    alone = weights_per_rank(small, launch, HOPPER).fullest.allocated
    plain = weights_per_rank(target, launch, HOPPER).fullest.allocated
    assert drafted(weights) == [alone]
    assert weights.fullest.allocated == plain + alone


def test_a_head_reads_the_embedding_on_its_stage_and_loads_one_elsewhere(
    launch_of: LaunchOf,
) -> None:
    target = catalogued("meta-llama/Llama-3.1-8B-Instruct")
    head = derived_head("yuhuili/EAGLE3-LLaMA3.1-Instruct-8B")
    speculation = Speculation("eagle3", 3, "head", head, shares_embedding=True)
    one, two = (
        drafted(
            weights_per_rank(
                target,
                launch_of(speculation=speculation, pipeline_parallel_size=stages),
                HOPPER,
            )
        )
        for stages in (1, 2)
    )
    assert two[0] == 0
    assert two[1] - one[0] == pytest.approx(2 * 128256 * 4096, rel=0.001)


def test_the_model_s_quantisation_is_not_the_draft_s(launch_of: LaunchOf) -> None:
    target, small = catalogued("Qwen/Qwen3-8B"), catalogued("Qwen/Qwen3-0.6B")
    sizes = [
        drafted(
            weights_per_rank(
                target,
                launch_of(
                    quantization=quantization,
                    speculation=Speculation("draft_model", 3, small.id, small, quantization=own),
                ),
                HOPPER,
            )
        )[0]
        for quantization, own in ((None, None), ("fp8", None), (None, "fp8"))
    ]
    assert sizes[0] == sizes[1] > sizes[2]


def test_dspark_stages_are_stored_like_the_model(launch_of: LaunchOf) -> None:
    target = catalogued("deepseek-ai/DeepSeek-V4-Flash-0731")
    stages = dspark_stages(target)
    assert dspark_stages(target) is stages
    assert len(stages.architecture.layers) == 3
    speculation = Speculation("dspark", 5, drafter=stages, shares_embedding=True)
    launch = launch_of(tensor_parallel_size=2, speculation=speculation)
    (bytes_per_rank,) = drafted(weights_per_rank(target, launch, HOPPER))
    # Three layers' routed experts in MXFP4 (4.25 bits a parameter), half on each rank, are
    # most of it.
    experts = 3 * 256 * 3 * 4096 * 2048 * 4.25 / 8 / 2
    assert experts < bytes_per_rank < 1.1 * experts
