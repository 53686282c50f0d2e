"""Sizing's verdict: arithmetic, risk levels and the limits that follow from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.memory.feasibility import GroupBudget, compute_feasibility
from vllm_preflight.memory.kv.sizing import StageKv, layer_bytes
from vllm_preflight.memory.kv.specs import ChunkedSpec, FullSpec, SlidingSpec, StateSpec

GIB = BYTES_TO_GIB


def verdict(headroom_gib: float) -> tuple[bool, str]:
    weights = round((90 - headroom_gib) * GIB)
    result = compute_feasibility(
        vram_total_bytes=100 * GIB,
        gpu_memory_utilization=0.9,
        weights_bytes=weights,
        kv_cache_bytes=0,
        overhead_bytes=0,
    )
    assert result.headroom_bytes == result.vram_target_alloc_bytes - result.required_bytes
    return result.fits, result.oom_risk


@pytest.mark.parametrize(
    ("headroom_gib", "expected"),
    [
        (2.0, (True, "low")),
        (1.999, (True, "medium")),
        (1.0, (True, "medium")),
        (0.999, (False, "medium")),
        (0.0, (False, "medium")),
        (-0.001, (False, "high")),
    ],
)
def test_risk_and_fit_follow_the_headroom(headroom_gib: float, expected: tuple[bool, str]) -> None:
    assert verdict(headroom_gib) == expected


def test_each_kind_of_layer_keeps_what_its_kind_keeps() -> None:
    assert layer_bytes(FullSpec(16, 100), 1000) == 100_000
    assert layer_bytes(SlidingSpec(16, 100, window=128), 1000) == 12_800
    assert layer_bytes(SlidingSpec(16, 100, window=128), 64) == 6_400
    assert layer_bytes(ChunkedSpec(16, 100, chunk=256), 1000) == 25_600
    assert layer_bytes(StateSpec(16, 0, state_bytes=777), 1) == 777
    assert layer_bytes(StateSpec(16, 0, state_bytes=777), 10**6) == 777


BUDGET = GroupBudget(
    vram_total_bytes=160 * GIB,
    gpu_memory_utilization=0.9,
    weights_bytes=60 * GIB,
    overhead_bytes=2 * GIB,
    headroom_gb=1.0,
    fragmentation_factor=1.15,
    tensor_parallel_size=2,
    kv=StageKv(((FullSpec(16, 2048), 30), (SlidingSpec(16, 2048, window=1024), 30))),
)


def test_kv_over_the_group_is_every_ranks() -> None:
    per_rank = 30 * 2048 * 5000 + 30 * 2048 * 1024
    assert BUDGET.kv_cache_bytes(5000, 7) == round(per_rank * 2 * 7 * 1.15)


@given(st.integers(1, 10**6), st.integers(1, 10**4))
def test_the_limits_fit_and_one_more_does_not(tokens: int, concurrency: int) -> None:
    most = BUDGET.max_concurrency(tokens)
    assert most == 0 or BUDGET.assess(tokens, most).fits
    assert not BUDGET.assess(tokens, most + 1).fits
    longest = BUDGET.max_context(concurrency, 2**24)
    assert longest == 0 or BUDGET.assess(longest, concurrency).fits
    assert longest == 2**24 or not BUDGET.assess(longest + 1, concurrency).fits


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(0, 100))
def test_headroom_falls_with_demand_and_rises_with_memory(
    tokens: int, concurrency: int, more_gib: int
) -> None:
    headroom = BUDGET.assess(tokens, concurrency).headroom_bytes
    assert BUDGET.assess(tokens + 1, concurrency).headroom_bytes <= headroom
    assert BUDGET.assess(tokens, concurrency + 1).headroom_bytes < headroom
    larger = replace(BUDGET, vram_total_bytes=BUDGET.vram_total_bytes + more_gib * GIB)
    assert larger.assess(tokens, concurrency).headroom_bytes >= headroom
