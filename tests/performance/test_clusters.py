"""How unevenly requests come in steps, against a process that is drawn."""

from __future__ import annotations

import random
import statistics

import pytest

from vllm_preflight.performance.arrivals.clusters import clusters


def test_prompts_alone_are_those_of_a_busy_period() -> None:
    for rate, prompt in ((1.0, 0.0), (2.0, 0.2), (0.5, 1.5)):
        found = clusters(rate, prompt, 0.0, 0.0)
        assert found.count == pytest.approx(1 / (1 - rate * prompt) ** 2, rel=0.02)
        assert found.seconds == pytest.approx(prompt**2 * found.count, rel=0.02)


@pytest.mark.parametrize(("prompt", "beside"), [(0.0, 0.1), (0.02, 0.06), (0.05, 0.04)])
def test_the_spread_of_a_window_is_that_of_drawn_steps(prompt: float, beside: float) -> None:
    # Steps of 20 ms: each arrival lengthens the next by its prompt, and the 50 after it.
    draws, steps, rate, own = random.Random(3), 50, 5.0, 0.02
    arrived: list[int] = []
    running = 0
    for number in range(60_000):
        before = arrived[-1] if arrived else 0
        running += before - (arrived[number - steps - 1] if number > steps else 0)
        length = own + prompt * before + beside / steps * running
        arrived.append(_poisson(draws, rate * length))
    windows = [sum(arrived[start : start + steps]) for start in range(1000, 59_000, 10)]
    found = clusters(rate, prompt, beside, 1 / steps)
    drawn = statistics.variance(windows) / statistics.mean(windows)
    assert found.count == pytest.approx(drawn, rel=0.12)


def test_what_never_ends_is_bounded() -> None:
    assert clusters(1.0, 2.0, 3.0, 0.1).count < 1000


def _poisson(draws: random.Random, mean: float) -> int:
    number, left = 0, draws.expovariate(1.0)
    while left < mean:
        number += 1
        left += draws.expovariate(1.0)
    return number
