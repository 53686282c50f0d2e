"""What a benchmark prints is between its first wave and the steady state."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_preflight.performance.arrivals.simulation import simulate
from vllm_preflight.performance.coefficients import load_coefficients
from vllm_preflight.performance.harness import first_wave, printed
from vllm_preflight.performance.replica import Facts, facts_of, replica_of
from vllm_preflight.performance.steady import Replica
from vllm_preflight.performance.workload import Workload

from .conftest import Started


def replica(started: Started, prompt: int, generated: int) -> Replica:
    found = facts_of(*started("Qwen/Qwen3-14B"), Workload(prompt, generated))
    assert isinstance(found, Facts)
    return replica_of(found, load_coefficients())


@settings(max_examples=60, deadline=None)
@given(flight=st.integers(1, 500), waves=st.floats(1, 100), prompt=st.integers(16, 7000))
def test_a_mean_lies_between_the_first_wave_and_the_steady_state(
    started: Started, flight: int, waves: float, prompt: int
) -> None:
    of = replica(started, prompt, 256)
    state = of.at_concurrency(float(flight))
    low, high = sorted((state.ttft, first_wave(of, float(flight))))
    assert low * (1 - 1e-9) <= printed(of, state, waves).ttft <= high * (1 + 1e-9)


def test_one_wave_is_the_first_and_many_are_steady(started: Started) -> None:
    of = replica(started, 1000, 256)
    state = of.at_concurrency(64.0)
    assert printed(of, state, 1.0).ttft == pytest.approx(first_wave(of, 64.0))
    assert printed(of, state, 1e6).ttft == pytest.approx(state.ttft, rel=1e-3)
    assert printed(of, state, 3.0, median=True).ttft == pytest.approx(state.ttft)


def test_the_last_wave_may_be_small(started: Started) -> None:
    of = replica(started, 1000, 256)
    state = of.at_concurrency(64.0)
    whole, broken = (printed(of, state, waves) for waves in (2.0, 2.1))
    assert broken.requests_per_s < whole.requests_per_s


def test_the_first_wave_agrees_with_the_simulation(started: Started) -> None:
    for prompt, flight in ((1000, 32), (4000, 16), (200, 128)):
        of = replica(started, prompt, 256)
        found = simulate(of, requests=flight, seed=0, concurrency=flight, warm_up=0.0)
        assert first_wave(of, float(flight)) == pytest.approx(found.mean_ttft, rel=0.15)
