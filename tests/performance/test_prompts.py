"""The queue of prompts, against steps that are drawn."""

from __future__ import annotations

import random

import pytest

from vllm_preflight.performance.arrivals.first_tokens import first_tokens
from vllm_preflight.performance.arrivals.prompts import COARSE, PromptQueue, poisson
from vllm_preflight.performance.coefficients import load_coefficients
from vllm_preflight.performance.replica import Facts, facts_of, replica_of
from vllm_preflight.performance.steady import Replica
from vllm_preflight.performance.workload import Workload

from .conftest import Started


@pytest.fixture(scope="module")
def replica(started: Started) -> Replica:
    """Prompts of half a step, and few steps to decode."""
    found = facts_of(*started("Qwen/Qwen3-14B"), Workload(4000, 20))
    assert isinstance(found, Facts)
    return replica_of(found, load_coefficients())


def drawn(queue: PromptQueue, steps: int) -> tuple[float, float]:
    """The mean length of steps and of the queue, in units."""
    draws, waiting, seconds, units = random.Random(7), 0, 0.0, 0
    for _ in range(steps):
        length = queue.seconds(waiting)
        seconds, units = seconds + length, units + waiting
        waiting -= min(waiting, queue.budget)
        left = draws.expovariate(queue.rate)
        while left < length:
            waiting += queue.parts
            left += draws.expovariate(queue.rate)
    return seconds / steps, units / steps


@pytest.mark.parametrize("load", [0.05, 0.4, 0.7, 0.85])
@pytest.mark.parametrize("units", [COARSE, 8])
def test_its_states_are_those_of_drawn_steps(replica: Replica, load: float, units: int) -> None:
    rate = replica.at_rate(1e9).requests_per_s * load
    queue = PromptQueue(replica, rate, 4.0, units)
    length, waiting = drawn(queue, 150_000)
    assert sum(queue.states) == pytest.approx(1.0)
    assert queue.mean_step == pytest.approx(length, rel=0.03)
    mean = sum(number * chance for number, chance in enumerate(queue.states))
    assert mean == pytest.approx(waiting, rel=0.15)


def test_what_is_found_counts_every_request_once(replica: Replica) -> None:
    rate = replica.at_rate(1e9).requests_per_s * 0.5
    queue = PromptQueue(replica, rate, 4.0)
    found = first_tokens(queue, 0.1)
    weights = sum(weight for _, weight in found.spread(0.0, 0.0, [(0.0, 1.0)]))
    assert weights == pytest.approx(1.0, abs=0.01)
    assert sum(found.begun) == pytest.approx(1.0)
    assert found.mean > queue.seconds(queue.parts)
    # Little's law: those behind a request that begins came while it waited.
    behind = sum(units * chance for units, chance in enumerate(found.begun)) / queue.parts
    assert behind < rate * found.mean


def test_a_full_queue_takes_longer_to_settle(replica: Replica) -> None:
    queue = PromptQueue(replica, replica.at_rate(1e9).requests_per_s * 0.5, 4.0)
    some, many = ([0.0] * number + [1.0] for number in (queue.parts, 5 * queue.parts))
    assert 0 < queue.settling(some, 1000) < queue.settling(many, 1000)
    assert queue.settling(queue.states, 1000) == pytest.approx(0.0, abs=0.02)


def test_arrivals_are_poisson() -> None:
    for mean in (0.0, 0.1, 5.0, 60.0):
        chances = poisson(mean)
        assert sum(chances) == pytest.approx(1.0, abs=2e-5)
        found = sum(number * chance for number, chance in enumerate(chances))
        assert found == pytest.approx(mean, abs=2e-3)
