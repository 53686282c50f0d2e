"""Layers of a draft in the pool of the model's blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.launch.launch import Launch, Speculation
from vllm_preflight.memory.kv.cache import kv_plan, stage_layers
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model

ArchitectureOf = Callable[[str], Architecture]
LaunchOf = Callable[..., Launch]
HOPPER = (9, 0)


def drafting(draft: str, **changes: Any) -> Speculation:
    return Speculation("draft_model", 3, draft, load_model(draft, source="catalog"), **changes)


def test_draft_layers_add_their_pages_to_one_group(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    target, small = architecture_of("Qwen/Qwen3-8B"), architecture_of("Qwen/Qwen3-0.6B")
    pools = [
        kv_plan(architecture, launch, HOPPER, 2**34).pool
        for architecture, launch in (
            (target, launch_of()),
            (small, launch_of()),
            (target, launch_of(speculation=drafting("Qwen/Qwen3-0.6B"))),
        )
    ]
    assert pools[2].bytes_per_block == pools[0].bytes_per_block + pools[1].bytes_per_block
    assert len(pools[2].groups) == 1


def test_a_draft_may_keep_its_cache_in_another_dtype(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    target = architecture_of("Qwen/Qwen3-8B")
    plain = kv_plan(target, launch_of(), HOPPER, 2**34).pool.bytes_per_block
    added = [
        kv_plan(target, launch_of(speculation=item), HOPPER, 2**34).pool.bytes_per_block - plain
        for item in (
            drafting("Qwen/Qwen3-0.6B"),
            drafting("Qwen/Qwen3-0.6B", kv_cache_dtype="fp8"),
        )
    ]
    assert added[0] == 2 * added[1]


def test_a_full_layer_beside_windows_pads_the_groups_of_gpt_oss(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    # vLLM's own example: 12 sliding and 13 full layers become two groups of 13.
    target = architecture_of("openai/gpt-oss-20b")
    full = next(layer for layer in target.layers if layer.caches[0] != target.layers[0].caches[0])
    model = load_model("openai/gpt-oss-20b", source="catalog")
    head: Model = replace(model, architecture=replace(target, layers=(full,)))
    launch = launch_of(speculation=Speculation("eagle3", 3, "head", head))
    groups = kv_plan(target, launch, HOPPER, 2**34).pool.groups
    assert sorted(len(group.layers) for group in groups) == [12, 13]


def test_draft_layers_lie_on_the_last_stage(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    target = architecture_of("Qwen/Qwen3-8B")
    launch = launch_of(pipeline_parallel_size=2, speculation=drafting("Qwen/Qwen3-0.6B"))
    stages = stage_layers(target, launch, HOPPER)
    assert [len(stage) for stage in stages] == [18, 18 + 28]


@pytest.mark.parametrize("method", ["ngram", "suffix", "ngram_gpu"])
def test_looking_up_text_needs_no_cache(
    architecture_of: ArchitectureOf, launch_of: LaunchOf, method: str
) -> None:
    target = architecture_of("Qwen/Qwen3-8B")
    plain = kv_plan(target, launch_of(), HOPPER, 2**34)
    looked_up = kv_plan(target, launch_of(speculation=Speculation(method, 4)), HOPPER, 2**34)
    assert plain.num_blocks == looked_up.num_blocks


@given(memory=st.integers(2**28, 2**36), tp=st.sampled_from([1, 2, 4, 8]))
def test_a_draft_never_leaves_more_tokens(memory: int, tp: int) -> None:
    target = load_model("Qwen/Qwen3-8B", source="catalog").architecture
    launch = Launch((0, 33, 0), "bfloat16", "auto", 8192, 0.92, 256, 8192, tensor_parallel_size=tp)
    drafted = replace(launch, speculation=drafting("Qwen/Qwen3-0.6B"))
    plain, less = (kv_plan(target, item, HOPPER, memory) for item in (launch, drafted))
    assert plain.tokens is not None and less.tokens is not None
    assert less.tokens <= plain.tokens
