"""What earlier releases did otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vllm_preflight.launch.launch import Launch, Version
from vllm_preflight.memory.kv.cache import kv_plan
from vllm_preflight.memory.kv.launch import request_shape
from vllm_preflight.memory.kv.specs import StateSpec
from vllm_preflight.memory.kv.versions import kv_rules
from vllm_preflight.models.architecture import Architecture

HOPPER = (9, 0)
ArchitectureOf = Callable[[str], Architecture]
LaunchOf = Callable[..., Launch]


@pytest.mark.parametrize(
    ("version", "rule"),
    [
        ((0, 8, 5), "min"),
        ((0, 11, 2), "min"),
        ((0, 12, 0), "1.25"),
        ((0, 17, 1), "1.25"),
        ((0, 18, 0), "1.5"),
        ((0, 33, 0), "1.5"),
    ],
)
def test_group_rule_of_releases_around_its_changes(version: Version, rule: str) -> None:
    assert kv_rules(version).group_rule == rule


def test_tokens_were_counted_in_blocks_up_to_0_19(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("google/gemma-3-27b-it")
    old = kv_plan(architecture, launch_of(version=(0, 19, 1)), HOPPER, 2**34)
    assert old.tokens == old.num_blocks // 7 * 16
    new = kv_plan(architecture, launch_of(version=(0, 21, 0)), HOPPER, 2**34)
    assert new.tokens == int((new.max_concurrency or 0) * 8192)


def test_one_batch_was_in_flight_before_0_26(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("google/gemma-3-27b-it")
    shapes = [
        request_shape(launch_of(version=version), architecture).in_flight_tokens
        for version in ((0, 24, 0), (0, 26, 0))
    ]
    assert shapes == [8192, 16384]


@pytest.mark.parametrize(
    ("version", "mode", "blocks"),
    [((0, 16, 0), "align", 2), ((0, 31, 0), "align", 2), ((0, 32, 0), "align", 3)],
)
def test_states_a_request_held(
    version: Version,
    mode: str,
    blocks: int,
    architecture_of: ArchitectureOf,
    launch_of: LaunchOf,
) -> None:
    architecture = architecture_of("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")
    launch = launch_of(version=version, mamba_cache_mode=mode)
    groups = kv_plan(architecture, launch, HOPPER, 2**34).pool.groups
    states = [group for group in groups if isinstance(group.specs[0], StateSpec)]
    assert {group.blocks_for(request_shape(launch, architecture)) for group in states} == {blocks}


def test_states_at_every_block_grew_with_the_length(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("ai21labs/Jamba-v0.1")
    launch = launch_of(version=(0, 14, 1), mamba_cache_mode="all")
    pool = kv_plan(architecture, launch, HOPPER, 2**36).pool
    request = request_shape(launch, architecture)
    blocks = -(-8192 // pool.block_size)
    assert {group.blocks_for(request) for group in pool.groups} == {blocks}


def test_latent_hybrids_were_not_aligned_to_128(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("moonshotai/Kimi-Linear-48B-A3B-Instruct")
    sizes = [
        kv_plan(architecture, launch_of(version=version), HOPPER, 2**34).pool.block_size
        for version in ((0, 26, 0), (0, 28, 0))
    ]
    assert sizes[1] % 128 == 0
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize(
    ("version", "groups"),
    [((0, 9, 2), 1), ((0, 10, 0), 4), ((0, 11, 2), 1), ((0, 13, 0), 1), ((0, 14, 0), 4)],
)
def test_chunked_attention_was_kept_whole_where_no_variable_asked_otherwise(
    version: Version, groups: int, architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("meta-llama/Llama-4-Scout-17B-16E-Instruct")
    pool = kv_plan(architecture, launch_of(version=version), HOPPER, 2**34).pool
    assert len(pool.groups) == groups


def test_windows_beside_full_attention_were_first_kept_whole(
    architecture_of: ArchitectureOf, launch_of: LaunchOf
) -> None:
    architecture = architecture_of("openai/gpt-oss-120b")
    pool = kv_plan(architecture, launch_of(version=(0, 8, 5)), HOPPER, 2**34).pool
    assert [len(group.layers) for group in pool.groups] == [36]
