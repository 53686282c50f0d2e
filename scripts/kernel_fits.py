"""Fit a small roofline to timed kernels: floor, shares of bandwidth and FLOPS, sharpness.

    seconds = floor + ((bytes / (bandwidth × memory))^p + (FLOPs / (rate × compute))^p)^(1/p)

Needs numpy. Deterministic: the same rows give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Columns = Mapping[str, Any]

# Relative errors far beyond this hardly count: tables have rows that jump by a factor of
# two (Cauchy's loss).
_ROBUST = 0.15
_MOST_ROWS = 4000
_ROUNDS = 400
# Shares of the data sheet, and the p of the p-norm: what a kernel can be.
_LEAST_SHARE, _MOST_SHARE = 0.01, 1.0
_LEAST_P, _MOST_P = 1.0, 6.0
_LEAST_FLOOR = 0.5e-6
_MICRO_PER_MILLION = 1e-12
_STARTS = ((5e-6, 0.8, 0.6, 2.0), (5e-6, 0.8, 0.6, 4.0), (40e-6, 0.5, 0.3, 1.2))


@dataclass(frozen=True)
class Timed:
    """Rows of one kernel: what each moves and computes, on what, and how long it took.

    Attributes:
        moved: bytes of each row; for experts, those besides the experts' weights.
        flops: FLOPs of each row.
        seconds: how long it took.
        bandwidth, rate: bytes and FLOPs per second of the data sheet.
        apart: seconds that are known to be other kernels'.
        weights: (bytes of an expert, experts, share a token visits, tokens), for experts.
        context: tokens of the longest sequence, where waiting on one counts.
        batch: tokens of the batch; each power of two counts alike, however many rows it has.
    """

    moved: Any
    flops: Any
    seconds: Any
    bandwidth: float
    rate: float
    apart: Any = 0.0
    weights: tuple[Any, Any, Any, Any] | None = None
    context: Any = None
    batch: Any = None


@dataclass(frozen=True)
class Fitted:
    """A kernel: seconds of its floor, shares, p, what is its own, and how well it fits.

    `alike` is how independently tokens choose experts; `per_token` seconds per token of
    context. `error` and `error90` are the median and the 90 % quantile of relative errors.
    """

    floor: float
    memory: float
    compute: float
    sharpness: float
    alike: float
    per_token: float
    error: float
    error90: float
    rows: int


def experts_seen(tokens: Any, experts: Any, share: Any, alike: Any) -> Any:
    """The experts `tokens` visit, of tokens that choose `alike` (1: independently)."""
    return experts * (1 - (1 - share) ** (1 + np.maximum(tokens - 1, 0) * alike))


def predicted(rows: Timed, numbers: Any) -> Any:
    """Seconds of each row under (floor, memory, compute, p, alike, per_token)."""
    floor, memory, compute, p, alike, per_token = numbers
    moved = rows.moved
    if rows.weights is not None:
        each, experts, share, tokens = rows.weights
        moved = moved + each * experts_seen(tokens, experts, share, alike)
    read = moved / (rows.bandwidth * memory)
    done = rows.flops / (rows.rate * compute)
    found = floor + (read**p + done**p) ** (1 / p) + rows.apart
    return found if rows.context is None else found + per_token * rows.context


def fit(rows: Timed, *, floor: float | None = None) -> Fitted:
    """The kernel that fits `rows` best; `floor` fixes its floor in seconds."""
    few = _thinned(rows)
    counts = _counts(few)
    free = [floor is None, True, True, True, rows.weights is not None, rows.context is not None]

    def whole(values: Any) -> Any:
        given = iter(values)
        names = [next(given) if is_free else None for is_free in free]
        fixed = 0.0 if floor is None else floor
        return (
            fixed if names[0] is None else max(np.exp(names[0]), _LEAST_FLOOR),
            float(np.clip(np.exp(names[1]), _LEAST_SHARE, _MOST_SHARE)),
            float(np.clip(np.exp(names[2]), _LEAST_SHARE, _MOST_SHARE)),
            float(np.clip(np.exp(names[3]), _LEAST_P, _MOST_P)),
            1.0 if names[4] is None else float(np.clip(np.exp(names[4]), 0.2, 1.0)),
            0.0 if names[5] is None else float(np.exp(names[5])) * _MICRO_PER_MILLION,
        )

    def loss(values: Any) -> float:
        gaps = np.log(predicted(few, whole(values)) / few.seconds) / _ROBUST
        pull = float(np.sum(np.maximum(np.abs(values) - 20, 0)))
        return float(np.average(np.log1p(gaps**2), weights=counts)) + pull

    found: list[tuple[float, Any]] = []
    for start in _STARTS:
        guess = (*np.log(start), np.log(0.8), np.log(40.0))
        begun = np.array([value for value, is_free in zip(guess, free, strict=True) if is_free])
        best = _simplex(loss, _simplex(loss, begun))
        found.append((loss(best), best))
    numbers = whole(min(found, key=lambda item: item[0])[1])
    errors = np.abs(predicted(rows, numbers) / rows.seconds - 1)
    return Fitted(
        *(float(value) for value in numbers),
        error=float(np.median(errors)),
        error90=float(np.quantile(errors, 0.9)),
        rows=len(rows.seconds),
    )


def _thinned(rows: Timed) -> Timed:
    """Every n-th row, by how long it took."""
    number = len(rows.seconds)
    if number <= _MOST_ROWS:
        return rows
    kept = np.argsort(rows.seconds, kind="stable")[:: -(-number // _MOST_ROWS)]

    def of(value: Any) -> Any:
        return value[kept] if isinstance(value, np.ndarray) else value

    weights = rows.weights and tuple(of(value) for value in rows.weights)
    return Timed(
        of(rows.moved),
        of(rows.flops),
        of(rows.seconds),
        rows.bandwidth,
        rows.rate,
        of(rows.apart),
        weights,  # type: ignore[arg-type]
        of(rows.context),
        of(rows.batch),
    )


def _counts(rows: Timed) -> Any:
    """How much each row counts."""
    if rows.batch is None:
        return np.ones(len(rows.seconds))
    octaves = np.floor(np.log2(rows.batch)).astype(int)
    return 1 / np.bincount(octaves)[octaves]


def _simplex(loss: Callable[[Any], float], start: Any) -> Any:
    """The least `loss` near `start`, by Nelder and Mead's simplex."""
    size = len(start)
    corners = [start] + [start + 0.4 * np.eye(size)[i] for i in range(size)]
    values = [loss(corner) for corner in corners]
    for _ in range(_ROUNDS):
        order = sorted(range(size + 1), key=lambda i: values[i])
        corners, values = [corners[i] for i in order], [values[i] for i in order]
        if values[-1] - values[0] < 1e-7:
            break
        middle = np.mean(corners[:-1], axis=0)
        reflected = middle + (middle - corners[-1])
        value = loss(reflected)
        if value < values[0]:
            further = middle + 2 * (middle - corners[-1])
            far = loss(further)
            corners[-1], values[-1] = (further, far) if far < value else (reflected, value)
        elif value < values[-2]:
            corners[-1], values[-1] = reflected, value
        else:
            nearer = middle + 0.5 * (corners[-1] - middle)
            near = loss(nearer)
            if near < values[-1]:
                corners[-1], values[-1] = nearer, near
            else:
                corners = [corners[0], *(corners[0] + (c - corners[0]) / 2 for c in corners[1:])]
                values = [values[0], *(loss(corner) for corner in corners[1:])]
    return corners[int(np.argmin(values))]
