"""The simulation obeys the scheduler's rules, and the formulas agree with it."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from benchmarks.arrivals_accuracy import LIMITS, compared, random_loads, within

from vllm_preflight.performance.arrivals.quantiles import gamma, of_values, of_weighted
from vllm_preflight.performance.arrivals.simulation import Simulated, simulate
from vllm_preflight.performance.arrivals.tails import tails
from vllm_preflight.performance.coefficients import load_coefficients
from vllm_preflight.performance.estimate import performance_of
from vllm_preflight.performance.replica import Facts, facts_of, replica_of
from vllm_preflight.performance.steady import Replica
from vllm_preflight.performance.workload import Workload

from .conftest import Started

Served = Callable[..., Replica]


@pytest.fixture(scope="module")
def served(started: Started) -> Served:
    """The replica of a launch under a workload."""

    def serve(name: str, prompt: int, generated: int, gpu: str = "H100", **rest: Any) -> Replica:
        found = facts_of(*started(name, gpu=gpu, **rest), Workload(prompt, generated))
        assert isinstance(found, Facts)
        return replica_of(found, load_coefficients())

    return serve


def test_formulas_agree_with_the_simulation() -> None:
    # The benchmark compares 200 workloads with longer simulations; these are its first.
    for name, errors in compared(random_loads(20), requests=4000, runs=1).items():
        assert statistics.median(errors) < 0.03, name
        assert within(errors) >= LIMITS[int(name[-2:])] - 0.12, name


def test_the_mean_state_agrees_with_the_simulation(served: Served) -> None:
    for name, prompt, generated, flight in (
        ("Qwen/Qwen3-14B", 1000, 300, 8),
        ("Qwen/Qwen3-14B", 500, 200, 64),
        ("openai/gpt-oss-120b", 1000, 500, 32),
    ):
        replica = served(name, prompt, generated, gpu="H200")
        state = replica.at_concurrency(float(flight))
        found = simulate(
            replica, requests=flight * 60, seed=3, concurrency=flight, spread=0.1, warm_up=0.5
        )
        assert state.tpot == pytest.approx(found.mean_tpot, rel=0.05)
        assert state.requests_per_s == pytest.approx(found.requests_per_s, rel=0.06)


def test_the_same_seed_gives_the_same_figures(served: Served) -> None:
    replica = served("Qwen/Qwen3-14B", 500, 200)

    def run(seed: int) -> Simulated:
        return simulate(replica, requests=300, seed=seed, rate=4.0)

    assert run(5) == run(5) != run(6)


def test_a_request_alone_sees_only_its_own_steps(served: Served) -> None:
    replica = served("Qwen/Qwen3-14B", 500, 200)
    alone = replica.at_concurrency(1.0)
    found = simulate(replica, requests=5, seed=0, concurrency=1, warm_up=0.0)
    assert found.mean_ttft == pytest.approx(alone.ttft, rel=0.01)
    assert found.mean_tpot == pytest.approx(alone.tpot, rel=0.01)


def test_every_request_gets_all_its_tokens_and_a_full_cache_preempts(served: Served) -> None:
    replica = served("Qwen/Qwen3-32B", 4000, 1000)
    found = simulate(replica, requests=60, seed=0, concurrency=30, warm_up=0.0)
    assert found.finished == 60
    assert found.preemptions > 0
    roomy = simulate(replica, requests=8, seed=0, concurrency=2, warm_up=0.0)
    assert roomy.preemptions == 0


def test_no_more_run_than_max_num_seqs(served: Served) -> None:
    few = served("Qwen/Qwen3-14B", 128, 256, max_num_seqs=4)
    many = served("Qwen/Qwen3-14B", 128, 256)
    slow, fast = (
        simulate(replica, requests=200, seed=0, concurrency=32) for replica in (few, many)
    )
    assert slow.mean_tpot < fast.mean_tpot
    assert slow.mean_ttft > 5 * fast.mean_ttft
    assert slow.requests_per_s < fast.requests_per_s


_RATES = (1e-4, 0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99)
_ODD: tuple[tuple[str, int, int, dict[str, Any]], ...] = (
    ("Qwen/Qwen3-14B", 1000, 300, {}),
    ("Qwen/Qwen3-14B", 1, 1, {}),
    ("Qwen/Qwen3-14B", 1, 2000, {}),
    ("Qwen/Qwen3-14B", 8000, 1, {}),
    ("Qwen/Qwen3-14B", 8000, 2, {}),
    ("Qwen/Qwen3-14B", 100, 100, {"max_num_seqs": 1}),
    ("Qwen/Qwen3-14B", 6000, 100, {"max_num_batched_tokens": 256, "max_num_seqs": 128}),
    ("Qwen/Qwen3-32B", 4000, 1000, {}),
    ("openai/gpt-oss-120b", 100, 10, {"tensor_parallel_size": 2}),
)


@pytest.mark.parametrize(("name", "prompt", "generated", "rest"), _ODD)
def test_tails_grow_with_the_rate_until_nothing_is_served_in_time(
    served: Served, name: str, prompt: int, generated: int, rest: dict[str, Any]
) -> None:
    replica = served(name, prompt, generated, **rest)
    most = replica.at_rate(1e9).requests_per_s
    found = [item for share in _RATES if (item := tails(replica, most * share)) is not None]
    # Nearly all that the mean state serves has percentiles, and nothing beyond it.
    assert len(found) >= len(_RATES) - 1
    assert tails(replica, most * 1.5) is None
    for metric, falls in (("ttft", 0.02), ("latency", 0.03), ("tpot", 0.06)):
        for item in found:
            quantiles = getattr(item, metric)
            assert 0 < quantiles.p50 <= quantiles.p95 <= quantiles.p99 < float("inf")
        for percentile in (50, 95):
            values = [getattr(item, metric).at(percentile) for item in found]
            for before, after in itertools.pairwise(values):
                assert after >= before * (1 - falls), (metric, percentile, values)


def test_a_rate_that_fills_the_cache_is_marked(started: Started) -> None:
    def warned(rate: float) -> bool:
        facts = facts_of(*started("Qwen/Qwen3-32B"), Workload(3000, 1000, request_rate=rate))
        assert isinstance(facts, Facts)
        found = performance_of(facts, load_coefficients())
        assert max(found.offered_rates) <= 0.8001 * found.most_requests_per_s
        return any("preempted" in warning for warning in found.warnings)

    facts = facts_of(*started("Qwen/Qwen3-32B"), Workload(3000, 1000))
    assert isinstance(facts, Facts)
    replica = replica_of(facts, load_coefficients())
    assert replica.cache_bound
    most = replica.at_rate(1e9).requests_per_s
    assert warned(most * 0.9) and not warned(most * 0.5)


def test_a_rate_alone_is_a_request_alone(served: Served) -> None:
    for name, prompt, generated, rest in _ODD:
        replica = served(name, prompt, generated, **rest)
        alone, seen = replica.at_concurrency(1.0), tails(replica, 1e-6)
        assert seen is not None
        assert seen.ttft.p50 == pytest.approx(alone.ttft, rel=0.06)
        assert seen.latency.p50 == pytest.approx(alone.latency(generated), rel=0.06)


@pytest.mark.parametrize(("prompt", "generated"), [(7000, 1), (7000, 2), (6000, 20), (500, 2)])
def test_the_most_that_is_served_is_what_a_flood_gets(
    served: Served, prompt: int, generated: int
) -> None:
    replica = served("Qwen/Qwen3-14B", prompt, generated)
    most = replica.at_rate(1e9).requests_per_s
    flood = simulate(replica, requests=1500, seed=2, rate=most * 20, warm_up=0.3)
    assert most == pytest.approx(flood.requests_per_s, rel=0.05)


def test_percentiles_of_values_and_of_weights() -> None:
    values = [float(value) for value in range(1, 101)]
    assert of_values(values).p50 == pytest.approx(50, abs=1)
    assert of_values(values).p95 == pytest.approx(95, abs=1)
    weighted = of_weighted([(1.0, 0.9), (2.0, 0.06), (3.0, 0.04)])
    assert (weighted.p50, weighted.p95, weighted.p99) == (1.0, 2.0, 3.0)


def test_a_gamma_variable_has_its_mean_between_its_quantiles() -> None:
    low, middle, high = (gamma(1.0, 2.0, 0.25, share) for share in (0.05, 0.5, 0.95))
    assert 1.0 < low < middle < 2.0 < high
    assert gamma(2.0, 2.0, 0.0, 0.95) == 2.0


def test_tails_and_simulations_are_quick(served: Served) -> None:
    replica = served("openai/gpt-oss-120b", 1000, 300, tensor_parallel_size=2)
    rate = replica.at_rate(1e9).requests_per_s * 0.6
    began = time.process_time()
    for _ in range(5):
        tails(replica, rate)
    middle = time.process_time()
    simulate(replica, requests=2000, seed=0, rate=rate)
    # Several times the limits of the benchmark: a busy machine, and lines that are counted.
    assert (middle - began) / 5 < 1
    assert time.process_time() - middle < 30
