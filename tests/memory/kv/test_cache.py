"""KV plans: what a request needs, what memory holds, and what vLLM prints of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.launch.launch import Launch, Speculation
from vllm_preflight.memory.kv.cache import kv_plan, stage_layers
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.sources import load_model

HOPPER = (9, 0)
MODELS = (
    "Qwen/Qwen3-32B",
    "google/gemma-3-27b-it",
    "openai/gpt-oss-120b",
    "deepseek-ai/DeepSeek-R1",
    "zai-org/GLM-5",
    "deepseek-ai/DeepSeek-V4-Flash",
    "zai-org/GLM-5.3-Flash",
    "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "ai21labs/Jamba-v0.1",
    "moonshotai/Kimi-Linear-48B-A3B-Instruct",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct",
)
ArchitectureOf = Callable[[str], Architecture]
LaunchOf = Callable[..., Launch]


def test_one_full_group_holds_its_bytes_per_token(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    # 32 layers × 8 KV heads × 128 × 2 (keys and values) × 2 bytes.
    plan = kv_plan(architecture_of("meta-llama/Llama-3.1-8B-Instruct"), launch_of(), HOPPER, 2**34)
    assert plan.pool.bytes_per_token == 131072
    assert plan.num_blocks == 2**34 // (131072 * 16)
    assert plan.tokens == plan.num_blocks * 16
    assert plan.max_concurrency == plan.num_blocks / 512


def test_length_that_fills_no_whole_block_costs_the_rest_of_it(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("meta-llama/Llama-3.1-8B-Instruct")
    plan = kv_plan(architecture, launch_of(max_model_len=8191), HOPPER, 2**34)
    # tokens = concurrency × length: a token less than blocks × 16 for each request.
    assert plan.tokens == int(plan.num_blocks / 512 * 8191)


def test_short_requests_of_window_layers_save_nothing(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    # Window 1,024 and 16,384 tokens in flight: each window group reserves 8K and a block.
    plan = kv_plan(architecture_of("google/gemma-3-27b-it"), launch_of(), HOPPER, 2**34)
    assert plan.max_concurrency == plan.num_blocks / (6 * 513 + 512)


def test_latent_cache_is_the_same_on_every_rank(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("deepseek-ai/DeepSeek-R1")
    plans = [
        kv_plan(architecture, launch_of(tensor_parallel_size=tp), HOPPER, 2**33) for tp in (1, 8)
    ]
    assert plans[0].num_blocks == plans[1].num_blocks
    assert plans[0].pool.bytes_per_token == 61 * 576 * 2


def test_null_block_is_set_aside_at_admission_but_counted_as_tokens(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("Qwen/Qwen3-32B")
    exact = kv_plan(architecture, launch_of(), HOPPER, 1).needed_bytes
    now = kv_plan(architecture, launch_of(), HOPPER, exact)
    before = kv_plan(architecture, launch_of(version=(0, 28, 0)), HOPPER, exact)
    assert (now.fits, before.fits) == (False, True)
    assert now.tokens == before.tokens == 8192
    assert now.admission_bytes == exact + now.pool.bytes_per_block
    assert kv_plan(architecture, launch_of(), HOPPER, now.admission_bytes).fits


def test_no_memory_fits_nothing(architecture_of: ArchitectureOf, launch_of: LaunchOf) -> None:
    plan = kv_plan(architecture_of("Qwen/Qwen3-32B"), launch_of(), HOPPER, -(2**30))
    assert (plan.fits, plan.num_blocks, plan.estimated_max_model_len) == (False, 0, 0)


def test_model_that_caches_nothing_fits_any_memory(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    plan = kv_plan(architecture_of("Alibaba-NLP/gte-Qwen2-7B-instruct"), launch_of(), HOPPER, 0)
    assert (plan.fits, plan.tokens, plan.max_concurrency) == (True, None, None)


def test_blocks_override_replaces_the_memory(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    launch = launch_of(num_gpu_blocks_override=600)
    plan = kv_plan(architecture_of("Qwen/Qwen3-32B"), launch, HOPPER, 2**40)
    assert (plan.num_blocks, plan.fits) == (600, True)
    short = kv_plan(
        architecture_of("Qwen/Qwen3-32B"),
        replace(launch, num_gpu_blocks_override=512),
        HOPPER,
        2**40,
    )
    assert not short.fits


def test_every_stage_takes_the_blocks_of_the_fullest(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("deepseek-ai/DeepSeek-R1")
    plan = kv_plan(architecture, launch_of(pipeline_parallel_size=4), HOPPER, 2**33)
    # 61 layers over 4 stages: 15, 15, 16, 15; three batches more in flight change nothing here.
    assert plan.pool.bytes_per_block_by_stage == tuple(
        layers * 16 * 576 * 2 for layers in (15, 15, 16, 15)
    )
    assert plan.num_blocks == 2**33 // (16 * 16 * 576 * 2)


def test_stage_layers_cover_the_model_once(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("zai-org/GLM-5")
    stages = stage_layers(architecture, launch_of(pipeline_parallel_size=3), HOPPER)
    assert [len({item.layer for item in stage}) for stage in stages] == [26, 26, 26]
    assert sum(len(stage) for stage in stages) == 2 * 78  # latent vectors and indexer keys


def test_prediction_layers_bring_caches_of_their_own(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("deepseek-ai/DeepSeek-R1")
    drafting = launch_of(speculation=Speculation("mtp", 1), pipeline_parallel_size=2)
    with_drafts = kv_plan(architecture, drafting, HOPPER, 2**33).pool
    plain = kv_plan(architecture, launch_of(pipeline_parallel_size=2), HOPPER, 2**33).pool
    page = 16 * 576 * 2
    assert with_drafts.bytes_per_block_by_stage[0] == plain.bytes_per_block_by_stage[0]
    assert with_drafts.bytes_per_block_by_stage[1] == plain.bytes_per_block_by_stage[1] + page


def test_decode_context_parallelism_divides_tokens_over_ranks(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("deepseek-ai/DeepSeek-R1")
    plain = kv_plan(architecture, launch_of(tensor_parallel_size=8), HOPPER, 2**33)
    shared = kv_plan(
        architecture,
        launch_of(tensor_parallel_size=8, decode_context_parallel_size=8),
        HOPPER,
        2**33,
    )
    assert shared.num_blocks == plain.num_blocks
    assert shared.max_concurrency == pytest.approx(8 * (plain.max_concurrency or 0))


def test_the_estimate_stops_at_the_length_asked_for(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    # As vLLM's own estimate does; a start-up's answer looks up to the model's maximum.
    architecture = architecture_of("Qwen/Qwen3-32B")
    launch = launch_of(max_model_len=1024)
    assert kv_plan(architecture, launch, HOPPER, 2**40).estimated_max_model_len == 1024


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_plan_properties(
    name: str, architecture_of: ArchitectureOf, launch_of: LaunchOf, data: st.DataObject
) -> None:
    architecture = architecture_of(name)
    launch = launch_of(
        tensor_parallel_size=data.draw(st.sampled_from((1, 2, 4, 8))),
        kv_cache_dtype=data.draw(st.sampled_from(("auto", "fp8"))),
        max_model_len=data.draw(st.integers(1, architecture.max_position)),
    )
    memory = data.draw(st.integers(0, 200 * BYTES_TO_GIB))
    plan = kv_plan(architecture, launch, HOPPER, memory)
    more = kv_plan(architecture, launch, HOPPER, memory + data.draw(st.integers(0, 2**36)))
    assert plan.num_blocks <= more.num_blocks
    assert plan.estimated_max_model_len <= more.estimated_max_model_len
    assert plan.num_blocks * plan.pool.bytes_per_block <= memory
    assert plan.fits == (plan.estimated_max_model_len == launch.max_model_len)
    length = plan.estimated_max_model_len
    if length:
        assert kv_plan(architecture, replace(launch, max_model_len=length), HOPPER, memory).fits
    if length < launch.max_model_len:
        longer = replace(launch, max_model_len=length + 1)
        assert not kv_plan(architecture, longer, HOPPER, memory).fits


@pytest.mark.parametrize("name", MODELS)
def test_all_ranks_together_keep_at_least_the_whole(
    name: str, architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of(name)

    def per_token(ranks: int) -> float:
        launch = launch_of(tensor_parallel_size=ranks)
        return kv_plan(architecture, launch, HOPPER, 2**36).pool.bytes_per_token * ranks

    whole = per_token(1)
    # Blocks of hybrids are rounded to whole states, so their bytes per token are not exact.
    assert all(per_token(ranks) >= whole * 0.99 for ranks in (2, 4, 8))


def test_a_warm_plan_takes_well_under_a_millisecond(launch_of: LaunchOf) -> None:
    architecture = load_model("Qwen/Qwen3-Next-80B-A3B-Instruct", source="catalog").architecture
    launch = launch_of(max_model_len=architecture.max_position)
    kv_plan(architecture, launch, HOPPER, 2**30)
    started = process_time()
    for extra in range(100):
        kv_plan(architecture, launch, HOPPER, 2**30 + extra)
    # Some tenth of a millisecond: a wide limit, since tests share their processor.
    assert (process_time() - started) / 100 < 0.01
