"""How long a request decodes, against the busy period it is drawn from."""

from __future__ import annotations

import random
import statistics

import pytest

from vllm_preflight.performance.arrivals.clusters import clusters
from vllm_preflight.performance.arrivals.lives import Life


def life(
    own: float = 2.0,
    prompt: float = 0.2,
    rate: float = 2.0,
    beside: float = 0.0,
    behind: float = 0.0,
) -> Life:
    share = prompt * rate
    return Life(
        own=own,
        settling=behind * prompt / (1 - share),
        behind=[(behind, 1.0)],
        prompt=prompt,
        share=share,
        rate=rate,
        clusters=clusters(rate, prompt, beside, 0.0),
    )


def drawn(own: float, prompt: float, rate: float, number: int) -> list[float]:
    """Busy periods: own work, and a prompt for each arrival while they last."""
    draws = random.Random(5)
    found: list[float] = []
    for _ in range(number):
        end, clock = own, draws.expovariate(rate)
        while clock < end:
            end += prompt
            clock += draws.expovariate(rate)
        found.append(end)
    return sorted(found)


@pytest.mark.parametrize(("prompt", "rate"), [(0.2, 2.0), (0.05, 10.0), (0.3, 0.5)])
def test_its_quantiles_are_those_of_a_busy_period(prompt: float, rate: float) -> None:
    sample = drawn(2.0, prompt, rate, 20_000)
    found = life(prompt=prompt, rate=rate)
    assert found.mean == pytest.approx(statistics.mean(sample), rel=0.02)
    assert found.variance == pytest.approx(statistics.variance(sample), rel=0.1)
    quantiles = found.quantiles(0.0, 1e9)
    for share in (0.5, 0.95, 0.99):
        assert quantiles(share) == pytest.approx(sample[int(share * len(sample))], rel=0.05)


def test_a_short_life_mostly_sees_nobody() -> None:
    quiet = life(own=0.1, rate=0.5).quantiles(0.0, 1e9)
    assert quiet(0.5) == pytest.approx(0.1, abs=0.01)
    assert quiet(0.99) >= 0.1 + 0.2


def test_what_stands_behind_a_request_lengthens_it() -> None:
    plain, queued = life().quantiles(0.0, 1e9), life(behind=2.0).quantiles(0.0, 1e9)
    assert life(behind=2.0).mean == pytest.approx(life().mean + 2 * 0.2 / 0.6)
    assert all(queued(share) > plain(share) for share in (0.05, 0.5, 0.95))


def test_slower_company_spreads_it_and_none_is_beyond_its_bounds() -> None:
    plain, slowed = life(), life(beside=0.1)
    assert slowed.variance > plain.variance
    assert life(own=0.01).quantiles(0.05, 1e9)(0.01) == 0.05
    assert life(behind=3.0).quantiles(0.0, 4.0)(0.99) == 4.0


def test_no_prompt_at_all_is_its_own_steps() -> None:
    assert life(prompt=0.0, rate=1e-9).quantiles(0.0, 1e9)(0.5) == pytest.approx(2.0)
