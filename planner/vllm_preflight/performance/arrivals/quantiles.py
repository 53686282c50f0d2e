"""Percentiles of figures that vary from request to request."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

PERCENTILES = (50, 95, 99)
# Values with their weights.
Pairs = list[tuple[float, float]]
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The median, the 95th and the 99th percentile; seconds here, milliseconds at the edge."""

    p50: float
    p95: float
    p99: float

    def at(self, percentile: int) -> float:
        """One of the three."""
        found: float = getattr(self, f"p{percentile}")
        return found

    def at_least(self, other: Quantiles) -> Quantiles:
        """The same, with none below that of `other`."""
        return Quantiles(*(max(self.at(share), other.at(share)) for share in PERCENTILES))


def of_values(values: Iterable[float]) -> Quantiles:
    """The percentiles of values that count alike; there is at least one."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return Quantiles(*(ordered[round(share / 100 * last)] for share in PERCENTILES))


def of_weighted(pairs: Sequence[tuple[float, float]]) -> Quantiles:
    """The percentiles of (value, weight) pairs, of which there is at least one."""
    at = quantile_function(pairs)
    return Quantiles(*(at(share / 100) for share in PERCENTILES))


def quantile_function(pairs: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """The value below which a share of the weight of (value, weight) pairs lies."""
    ordered = sorted(pairs)
    reached = list(accumulate(weight for _, weight in ordered))
    last = len(ordered) - 1
    return lambda share: ordered[min(bisect_left(reached, share * reached[-1]), last)][0]


def gamma(least: float, mean: float, variance: float, share: float) -> float:
    """The quantile of `least` plus a gamma variable (Wilson and Hilferty's approximation)."""
    excess = mean - least
    if excess <= 0 or variance <= 0:
        return mean
    shape = excess * excess / variance
    z = _NORMAL.inv_cdf(share)
    root = 1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))
    return least + excess * max(0.0, root) ** 3
