"""Block sizes, groups and pages of real models, as vLLM 0.33's own code computes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.kv.cache import kv_plan
from vllm_preflight.memory.kv.groups import KvGroup, LayerSpec, group_layers, group_size
from vllm_preflight.memory.kv.launch import request_shape
from vllm_preflight.memory.kv.specs import FullSpec, RequestShape, SlidingSpec, StateSpec
from vllm_preflight.models.architecture import Architecture

HOPPER, AMPERE, BLACKWELL, WORKSTATION = (9, 0), (8, 0), (10, 0), (12, 0)
ArchitectureOf = Callable[[str], Architecture]
LaunchOf = Callable[..., Launch]


@pytest.mark.parametrize(
    ("name", "changes", "capability", "block_size"),
    [
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", {}, HOPPER, 576),
        ("Qwen/Qwen3.6-35B-A3B", {}, HOPPER, 1088),
        ("Qwen/Qwen3.6-35B-A3B", {"kv_cache_dtype": "fp8"}, HOPPER, 2112),
        ("deepseek-ai/DeepSeek-R1", {}, HOPPER, 16),
        ("deepseek-ai/DeepSeek-R1", {"kv_cache_dtype": "fp8"}, HOPPER, 64),
        ("deepseek-ai/DeepSeek-R1", {}, BLACKWELL, 32),
        ("deepseek-ai/DeepSeek-R1", {}, WORKSTATION, 16),
        ("zai-org/GLM-5", {}, HOPPER, 64),
        ("deepseek-ai/DeepSeek-V4-Flash", {"kv_cache_dtype": "fp8_ds_mla"}, HOPPER, 256),
        ("nvidia/MiniMax-M3-NVFP4", {}, HOPPER, 128),
        ("zai-org/GLM-5.3-Flash", {"tensor_parallel_size": 8}, HOPPER, 640),
        # A checkpoint every 64 tokens only since 0.33; the state of every block, in chunks of 256.
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", {"version": (0, 32, 0)}, HOPPER, 544),
        (
            "ibm-granite/granite-4.0-h-tiny",
            {"version": (0, 27, 0), "mamba_cache_mode": "all"},
            HOPPER,
            512,
        ),
    ],
)
def test_block_size(
    name: str,
    changes: dict[str, object],
    capability: tuple[int, int],
    block_size: int,
    architecture_of: ArchitectureOf,
    launch_of: LaunchOf,
) -> None:
    plan = kv_plan(architecture_of(name), launch_of(**changes), capability, 2**34)
    assert plan.pool.block_size == block_size


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("openai/gpt-oss-120b", [18, 18]),
        ("google/gemma-3-27b-it", [9, 9, 9, 9, 8, 8, 10]),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", [12, 12, 12, 12]),
        ("ai21labs/Jamba-v0.1", [4, 4, 4, 4, 4, 4, 4, 4]),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", [12, 12, 12, 12]),
        ("deepseek-ai/DeepSeek-V4-Flash", [22, 21, 62, 42, 20]),
        ("zai-org/GLM-5.3-Flash", [9, 9, 8, 8, 22, 11]),
    ],
)
def test_groups(
    name: str, groups: list[int], architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    # The same layers in the same numbers; which group comes first does not matter.
    dtype = "fp8_ds_mla" if "V4" in name else "auto"
    plan = kv_plan(architecture_of(name), launch_of(kv_cache_dtype=dtype), HOPPER, 2**34)
    assert sorted(len(group.layers) for group in plan.pool.groups) == sorted(groups)


def test_pages_of_a_compressed_cache(architecture_of: ArchitectureOf, launch_of: LaunchOf) -> None:
    launch = launch_of(kv_cache_dtype="fp8_ds_mla", tensor_parallel_size=8)
    pool = kv_plan(architecture_of("deepseek-ai/DeepSeek-V4-Flash"), launch, HOPPER, 2**32).pool
    pages = {spec.page_bytes for group in pool.groups for spec in group.specs}
    # Windows and fourfold compression (64 × 584, to 576), 128-fold, indexer, both waiting states.
    assert pages == {37440, 1728, 8640, 32832}
    assert pool.bytes_per_block == 1002240


def test_shorter_pages_get_longer_blocks(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    pool = kv_plan(architecture_of("XiaomiMiMo/MiMo-V2-Flash"), launch_of(), HOPPER, 2**34).pool
    assert {(type(group.specs[0]).__name__, group.block_size) for group in pool.groups} == {
        ("FullSpec", 32),
        ("SlidingSpec", 16),
    }


def test_sparse_attention_packs_fp8_into_656_bytes(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("zai-org/GLM-5")
    plain = kv_plan(architecture, launch_of(), HOPPER, 2**34).pool
    packed = kv_plan(architecture, launch_of(kv_cache_dtype="fp8_ds_mla"), HOPPER, 2**34).pool
    assert plain.bytes_per_token == 78 * (576 * 2 + 132)
    assert packed.bytes_per_token == 78 * (656 + 132)


def test_layers_that_share_an_indexer_keep_no_keys_for_it(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    pool = kv_plan(architecture_of("zai-org/GLM-5.3"), launch_of(), HOPPER, 2**34).pool
    assert sum(len(group.layers) for group in pool.groups) == 78 + 21


def test_indexer_in_sixteen_bits_does_not_follow_the_kv_dtype(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("nvidia/MiniMax-M3-NVFP4")
    fp8 = kv_plan(architecture, launch_of(kv_cache_dtype="fp8"), HOPPER, 2**34).pool
    assert fp8.bytes_per_token == 60 * 4 * 256 + 57 * 128 * 2


def test_falcon_ignores_the_kv_dtype(architecture_of: ArchitectureOf, launch_of: LaunchOf) -> None:
    architecture = architecture_of("tiiuae/falcon-40b")
    plain = kv_plan(architecture, launch_of(), HOPPER, 2**34).pool
    assert kv_plan(architecture, launch_of(kv_cache_dtype="fp8"), HOPPER, 2**34).pool == plain


@pytest.mark.parametrize(
    ("name", "capability", "mode", "blocks"),
    [
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", HOPPER, "align", 3),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", AMPERE, "align", 2),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", HOPPER, "none", 1),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", AMPERE, "align", 3),
        ("ai21labs/Jamba-v0.1", HOPPER, "align", 2),
        ("LiquidAI/LFM2-1.2B", HOPPER, "align", 2),
        ("moonshotai/Kimi-Linear-48B-A3B-Instruct", HOPPER, "align", 2),
        ("zai-org/GLM-5.3-Flash", HOPPER, "align", 3),
    ],
)
def test_states_a_request_holds(
    name: str,
    capability: tuple[int, int],
    mode: str,
    blocks: int,
    architecture_of: ArchitectureOf,
    launch_of: LaunchOf,
) -> None:
    architecture, launch = architecture_of(name), launch_of(mamba_cache_mode=mode)
    request = request_shape(launch, architecture)
    groups = kv_plan(architecture, launch, capability, 2**34).pool.groups
    states = [group for group in groups if isinstance(group.specs[0], StateSpec)]
    assert {group.blocks_for(request) for group in states} == {blocks}


def test_user_block_size_is_kept_except_by_hybrids(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    launch = launch_of(block_size=64)
    assert kv_plan(architecture_of("Qwen/Qwen3-32B"), launch, HOPPER, 2**34).pool.block_size == 64
    hybrid = kv_plan(architecture_of("Qwen/Qwen3-Next-80B-A3B-Instruct"), launch, HOPPER, 2**34)
    assert hybrid.pool.block_size == 576


def test_windows_become_full_without_the_hybrid_manager(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    launch = launch_of(disable_hybrid_kv_cache_manager=True)
    pool = kv_plan(architecture_of("google/gemma-3-27b-it"), launch, HOPPER, 2**34).pool
    assert [len(group.layers) for group in pool.groups] == [62]


@pytest.mark.parametrize(
    ("counts", "rule", "size"),
    [
        ((52, 10), "1.5", 10),
        ((13, 10), "1.5", 13),
        ((15, 10), "1.5", 10),
        ((13, 10), "1.25", 10),
        ((12, 10), "1.25", 12),
        ((12, 10), "min", 10),
    ],
)
def test_group_size_by_rule(counts: tuple[int, ...], rule: str, size: int) -> None:
    assert group_size(counts, rule) == size  # pyright: ignore[reportArgumentType]


def test_equal_kinds_of_unequal_pages_share_one_group() -> None:
    layers = [LayerSpec(0, FullSpec(16, 100)), LayerSpec(1, FullSpec(16, 60))]
    (group,) = group_layers(layers)
    assert group.bytes_per_block() == 16 * 160


def test_page_that_does_not_divide_is_padded() -> None:
    layers = [LayerSpec(0, FullSpec(16, 100)), LayerSpec(1, SlidingSpec(16, 60, window=64))]
    groups = group_layers(layers)
    assert [group.bytes_per_block() for group in groups] == [1600, 1600]


def test_blocks_of_a_window_count_what_is_in_flight() -> None:
    window = KvGroup((LayerSpec(0, SlidingSpec(16, 100, window=1024)),))
    assert window.blocks_for(RequestShape(131072, 16384, 8192)) == -(-17407 // 16) + 1
    assert window.blocks_for(RequestShape(8192, 16384, 8192)) == 513
