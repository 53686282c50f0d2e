"""Whether wanted times are reached, and up to which load.

Means are those of so many requests in flight. A percentile is that of requests that arrive
one by one, at a Poisson rate: with the workload's, or the rate its concurrency comes to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from vllm_preflight.performance.arrivals.tails import UNPREEMPTED, Tails, tails
from vllm_preflight.performance.steady import Replica, State
from vllm_preflight.performance.workload import Workload

_HALVINGS = 30
# Percentiles cost more to reckon, and are not known to more digits.
_FEW_HALVINGS = 12
_MOST = 2.0**20
# Just below the rate at which the queue never ends.
_NEARLY_ALL = 0.999


@dataclass(frozen=True, slots=True)
class Target:
    """Whether the wanted times are reached, and up to which load over all replicas.

    `missed` are those that the workload does not reach. `at_most` is the most requests in
    flight within all of them and `max_requests_per_s` what is then served; None where even
    a request alone takes longer. `fastest_ms` is that request, from end to end.
    """

    reached: bool
    missed: tuple[str, ...]
    at_most: int | None
    max_requests_per_s: float | None
    fastest_ms: float


def target_of(replica: Replica, workload: Workload, replicas: int, state: State) -> Target | None:
    """How the workload's wanted times are met by `replicas` of a replica in `state`."""
    if not workload.has_target:
        return None
    if workload.target_percentile is None:
        return _of_means(replica, workload, replicas, state)
    return _of_percentile(replica, workload, replicas, state, workload.target_percentile)


def _missed(workload: Workload, ttft: float, tpot: float, latency: float) -> tuple[str, ...]:
    """The wanted times that these seconds do not reach."""
    pairs = (
        ("target_ttft_ms", workload.target_ttft_ms, ttft),
        ("target_tpot_ms", workload.target_tpot_ms, tpot),
        ("target_latency_ms", workload.target_latency_ms, latency),
    )
    return tuple(
        name for name, wanted, found in pairs if wanted is not None and found * 1e3 > wanted
    )


def _of_means(replica: Replica, workload: Workload, replicas: int, state: State) -> Target:
    def missed(found: State) -> tuple[str, ...]:
        return _missed(workload, found.ttft, found.tpot, found.latency(workload.gen_tokens))

    def holds(requests: float) -> bool:
        return not missed(replica.at_concurrency(requests / replicas))

    alone = replica.at_concurrency(1.0)
    fastest = alone.latency(workload.gen_tokens) * 1e3
    here = missed(state)
    if not holds(1.0):
        return Target(not here, here, None, None, fastest)
    low, high = 1.0, 2.0
    while holds(high) and high < _MOST:
        low, high = high, high * 2
    low = _bisected(holds, low, high, _HALVINGS)
    served = replica.at_concurrency(int(low) / replicas).requests_per_s * replicas
    return Target(not here, here, int(low), served, fastest)


def _of_percentile(
    replica: Replica, workload: Workload, replicas: int, state: State, percentile: int
) -> Target:
    @lru_cache(maxsize=64)
    def at(rate: float) -> Tails | None:
        return tails(replica, rate / replicas)

    def missed(found: Tails | None) -> tuple[str, ...]:
        if found is None:
            return _missed(workload, *(float("inf"),) * 3)
        seen = (found.ttft, found.tpot, found.latency)
        return _missed(workload, *(quantiles.at(percentile) for quantiles in seen))

    def holds(rate: float) -> bool:
        return not missed(at(rate))

    alone = replica.at_concurrency(1.0)
    fastest = alone.latency(workload.gen_tokens) * 1e3
    here = missed(at(workload.request_rate or state.requests_per_s * replicas * _NEARLY_ALL))
    most = replica.at_concurrency(_MOST).requests_per_s * replicas
    if replica.cache_bound:
        most *= UNPREEMPTED
    # A request an hour finds nobody else.
    least = min(most, 1 / 3600)
    if not holds(least):
        return Target(not here, here, None, None, fastest)
    rate = _bisected(holds, least, most, _FEW_HALVINGS)
    found = at(rate)
    flight = 1 if found is None else max(1, int(found.concurrency * replicas))
    return Target(not here, here, flight, rate, fastest)


def _bisected(holds: Callable[[float], bool], low: float, high: float, times: int) -> float:
    """The largest value that `holds`, between one that does and one that may not."""
    if holds(high):
        return high
    for _ in range(times):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
