"""Percentiles of figures that vary from request to request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

PERCENTILES = (50, 95, 99)
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


def of_values(values: Iterable[float]) -> Quantiles:
    """The percentiles of values that count alike; there is at least one."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return Quantiles(*(ordered[round(share / 100 * last)] for share in PERCENTILES))


def of_weighted(pairs: Sequence[tuple[float, float]]) -> Quantiles:
    """The percentiles of (value, weight) pairs, of which there is at least one."""
    ordered = sorted(pairs)
    total = sum(weight for _, weight in ordered)
    found: list[float] = []
    for share in PERCENTILES:
        reached = 0.0
        for value, weight in ordered:
            reached += weight
            if reached >= share / 100 * total:
                found.append(value)
                break
        else:
            found.append(ordered[-1][0])
    return Quantiles(*found)


def gamma(least: float, mean: float, variance: float, share: float) -> float:
    """The quantile of `least` plus a gamma variable (Wilson and Hilferty's approximation)."""
    excess = mean - least
    if excess <= 0 or variance <= 0:
        return mean
    shape = excess * excess / variance
    z = _NORMAL.inv_cdf(share)
    root = 1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))
    return least + excess * max(0.0, root) ** 3
