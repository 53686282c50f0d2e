"""Fits the runtime model's coefficients: robust, non-negative, shrunk to reasoned priors.

Every entry starts at a prior: arithmetic on the tensors vLLM is known to allocate, or a
neighbouring range's value. Start-ups pull it away as far as they outweigh the prior's
spread. Models of a source count, not lines: repeated runs share their weight. Outliers
lose weight (Huber). No random numbers: the same cases give the same coefficients.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.inputs import Inputs
from benchmarks.runtime_rows import Equation, Row, equation, rows_of

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version
from vllm_preflight.memory.runtime.coefficients import (
    Coefficient,
    Coefficients,
    Key,
    Traits,
    launch_traits,
)
from vllm_preflight.memory.runtime.runtime import EIGHTY_PERCENT
from vllm_preflight.memory.startup import simulate_startup

_ROUNDS = 12
_SWEEPS = 60
# A step that moves no coefficient further than this ends the search.
_SETTLED = 1e-6
# Residuals beyond this many standard errors lose weight.
_HUBER = 2.0
# How far start-ups of equal shape differ between machines (GiB), beside the printed error.
_BETWEEN_SOURCES = 0.06


def fit(priors: Coefficients, rows: Sequence[Row]) -> Coefficients:
    """Coefficients after `rows`; entries whose basis is derived stay as they are."""
    prior = {item.key: item for item in priors.entries}
    values = {key: item.value for key, item in prior.items()}
    weights = _source_weights(rows)
    for _ in range(_ROUNDS):
        equations = [equation(row, priors, values) for row in rows]
        solved = _solve(equations, weights, prior, values)
        moved = max(abs(solved[key] - value) for key, value in values.items())
        values = solved
        if moved < _SETTLED:
            break
    equations = [equation(row, priors, values) for row in rows]
    return Coefficients(
        tuple(_with_evidence(item, values, prior, equations) for item in priors.entries),
        priors.date,
    )


def _source_weights(rows: Sequence[Row]) -> list[float]:
    """1 / √(rows of that source, target and model): repeats of one run count little more."""
    keys = [(row.source, row.target, row.inputs.model.id) for row in rows]
    counts = Counter(keys)
    return [1 / math.sqrt(counts[key]) for key in keys]


def _solve(
    equations: Sequence[Equation],
    weights: Sequence[float],
    prior: dict[Key, Coefficient],
    start_values: Mapping[Key, float],
) -> dict[Key, float]:
    """One robust step: coordinate descent on weighted squares plus the priors' pull."""
    values = dict(start_values)
    columns: dict[Key, list[tuple[int, float]]] = {}
    residuals: list[float] = []
    strength: list[float] = []
    for index, (item, weight) in enumerate(zip(equations, weights, strict=True)):
        residual = item.row.gib - item.predicted(values)
        error = math.hypot(item.row.error, _BETWEEN_SOURCES)
        beyond = abs(residual) / error
        strength.append(weight / error**2 * min(1.0, _HUBER / max(beyond, 1e-9)))
        residuals.append(residual)
        for key, scale in item.multipliers:
            columns.setdefault(key, []).append((index, scale))
    for _ in range(_SWEEPS):
        largest = 0.0
        for key, column in columns.items():
            start = prior[key]
            if start.basis == "derived":
                continue
            pull = 1 / start.spread**2
            gradient = pull * (start.value - values[key])
            curvature = pull
            for index, scale in column:
                gradient += strength[index] * scale * residuals[index]
                curvature += strength[index] * scale * scale
            step = max(0.0, values[key] + gradient / curvature) - values[key]
            values[key] += step
            largest = max(largest, abs(step))
            for index, scale in column:
                residuals[index] -= scale * step
        if largest < _SETTLED:
            break
    return values


def _with_evidence(
    prior: Coefficient,
    values: Mapping[Key, float],
    priors: Mapping[Key, Coefficient],
    equations: Sequence[Equation],
) -> Coefficient:
    """The entry with its value, samples, residual, sources and spread between sources."""
    used = [
        (each, scale)
        for each in equations
        for key, scale in each.multipliers
        if key == prior.key and scale > 0
    ]
    if not used or prior.basis == "derived":
        return prior
    residuals = [each.row.gib - each.predicted(values) for each, _ in used]
    return replace(
        prior,
        value=round(values[prior.key], 4),
        spread=round(_spread(prior, priors, used, residuals), 4),
        basis="fitted",
        samples=len(used),
        residual_gib=round(median(abs(residual) for residual in residuals), 4),
        sources=tuple(sorted({each.row.source for each, _ in used})),
    )


def _spread(
    prior: Coefficient,
    priors: Mapping[Key, Coefficient],
    used: Sequence[tuple[Equation, float]],
    residuals: Sequence[float],
) -> float:
    """Standard deviation whose 80 % interval holds 80 % of the models of all sources.

    A row's residual is shared out over its coefficients by how much of the row's prior
    variance each has; a deviation is the median share of one model in one source. The
    prior's own 80 % edge counts as one more, so that few models do not look certain; none
    counts more than twice the prior's spread, so that one odd report does not decide.
    """
    groups: dict[tuple[str, str], list[float]] = {}
    for (each, scale), residual in zip(used, residuals, strict=True):
        variance = each.row.error**2 + sum(
            (priors[key].spread * other) ** 2 for key, other in each.multipliers
        )
        share = residual * prior.spread**2 * scale / variance
        groups.setdefault((each.row.source, each.row.inputs.model.id), []).append(share)
    limit = 2 * prior.spread
    deviations = [min(limit, abs(median(items))) for items in groups.values()]
    deviations.append(EIGHTY_PERCENT * prior.spread)
    return _weighted_quantile([(value, 1.0) for value in deviations], 0.8) / EIGHTY_PERCENT


# A start-up further from its prediction than so many standard deviations is a surprise.
_SURPRISE = 3.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """A start-up's held-out error of the available memory over its predicted spread.

    `share` is the error as a share of the GPU's memory.
    """

    case: str
    version: Version
    traits: Traits
    value: float
    share: float


# By source.
Ratios = Mapping[str, Sequence[Ratio]]


def held_out_ratios(inputs: Sequence[Inputs], fit_without: Callable[[str], Coefficients]) -> Ratios:
    """How far each source's start-ups lie from a fit on all others, in its predicted spread.

    Of start-ups whose arguments are all known and that printed what was left for the cache.
    `fit_without` gives the fit without a source.
    """
    found: dict[str, list[Ratio]] = {}
    for source in sorted({item.case.source for item in inputs}):
        others = fit_without(source)
        held = (_ratio(item, others) for item in inputs if item.case.source == source)
        found[source] = [ratio for ratio in held if ratio is not None]
    return found


def with_interval(fitted: Coefficients, ratios: Ratios) -> Coefficients:
    """The coefficients with `interval_scale` set so that 80 % fall inside, and surprises.

    A source weighs the root of its start-ups. What is less well known has its own spread
    already: one scale for all releases rests on all sources.
    """
    surprises = _surprises(ratios)
    entries: list[Coefficient] = []
    for item in fitted.entries:
        if item.name == "interval_scale" and item.basis != "derived":
            item = _scaled(item, fitted, ratios)
        elif item.name in surprises:
            item = _calibrated(item, surprises[item.name], ratios)
        entries.append(item)
    return Coefficients(tuple(entries), fitted.date)


def _surprises(ratios: Ratios) -> dict[str, float]:
    """The share of surprises and their median size; a source counts once."""
    held = [items for items in ratios.values() if items]
    far = [[item for item in items if item.value > _SURPRISE] for items in held]
    sizes = [(item.share, 1 / len(items)) for items in far for item in items]
    share = sum(len(part) / len(items) for part, items in zip(far, held, strict=True))
    return {
        "surprise_share": share / max(len(held), 1),
        "surprise_size": _weighted_quantile(sizes, 0.5) if sizes else 0.0,
    }


def _scaled(entry: Coefficient, fitted: Coefficients, ratios: Ratios) -> Coefficient:
    held: dict[str, list[float]] = {}
    for source, items in ratios.items():
        for item in items:
            if fitted.find("interval_scale", item.version, item.traits) is entry:
                held.setdefault(source, []).append(item.value)
    pairs = [(value, 1 / math.sqrt(len(values))) for values in held.values() for value in values]
    used = {source: items for source, items in ratios.items() if source in held}
    return _calibrated(entry, _middle_quantile(pairs, 0.8) / EIGHTY_PERCENT, used)


def _calibrated(entry: Coefficient, value: float, ratios: Ratios) -> Coefficient:
    return replace(
        entry,
        value=round(value, 3),
        samples=sum(map(len, ratios.values())),
        basis="fitted",
        residual_gib=0.0,
        sources=tuple(source for source, items in ratios.items() if items),
    )


def fit_with_interval(priors: Coefficients, inputs: Sequence[Inputs]) -> Coefficients:
    """`fit`, with its interval calibrated on held-out sources."""
    rows = [row for item in inputs for row in rows_of(item)]

    def fit_without(source: str) -> Coefficients:
        return fit(priors, [row for row in rows if row.source != source])

    return with_interval(fit(priors, rows), held_out_ratios(inputs, fit_without))


def _ratio(inputs: Inputs, coefficients: Coefficients) -> Ratio | None:
    """How far the available memory lies outside what the launch leaves open.

    That is a first or a later start, and with or without FlashInfer's sampler.
    """
    seen = inputs.case.observed.available_kv_gib
    given = inputs.launch.kv_cache_memory_bytes is not None
    if seen is None or given or not inputs.case.args_complete:
        return None
    startup = simulate_startup(
        inputs.model,
        inputs.gpu,
        inputs.gpu.compute_capability or (8, 0),
        inputs.launch,
        coefficients=coefficients,
    )
    more = startup.available_bytes / BYTES_TO_GIB - seen
    memory = startup.runtime
    low, high = memory.leaner_bytes / BYTES_TO_GIB, memory.first_start_bytes / BYTES_TO_GIB
    outside = max(-more - low, more - high, 0.0)
    traits = launch_traits(inputs.launch, inputs.gpu, inputs.model.architecture)
    scale = coefficients.find("interval_scale", inputs.launch.version, traits).value
    value = outside * scale / (memory.spread_bytes / BYTES_TO_GIB)
    share = outside / (inputs.gpu.visible_bytes / BYTES_TO_GIB)
    return Ratio(inputs.case.id, inputs.launch.version, traits, value, share)


def _weighted_quantile(pairs: Sequence[tuple[float, float]], share: float) -> float:
    """The value below which `share` of the weight lies; 1 without any."""
    total = sum(weight for _, weight in pairs)
    reached = 0.0
    for value, weight in sorted(pairs):
        reached += weight
        if reached >= share * total:
            return value
    return 1.0


def _middle_quantile(pairs: Sequence[tuple[float, float]], share: float) -> float:
    """The quantile with half of each value's own weight below it, in proportion between two.

    Unlike `_weighted_quantile` it lies above the true one as often as below. 1 without any.
    """
    wanted = share * sum(weight for _, weight in pairs)
    reached = 0.0
    before, last = 0.0, 0.0
    for value, weight in sorted(pairs):
        middle = reached + weight / 2
        if middle >= wanted:
            return before + (value - before) * (wanted - last) / (middle - last)
        before, last = value, middle
        reached += weight
    return before or 1.0


def document(coefficients: Coefficients) -> dict[str, object]:
    """The coefficients as `coefficients.json` holds them."""
    return {
        "schema": 1,
        "date": coefficients.date,
        "description": (
            "Coefficients of the runtime memory model, written by scripts/fit_runtime.py. "
            "`value` in `unit`; `spread` is its standard deviation between sources; `since` "
            "and `until` are vLLM releases, the latter not included; the first entry of a "
            "name whose range and `where` hold is used."
        ),
        "coefficients": [_entry(item) for item in coefficients.entries],
    }


def _entry(item: Coefficient) -> dict[str, object]:
    return {
        "name": item.name,
        "value": item.value,
        "spread": item.spread,
        "unit": item.unit,
        "since": format_version(item.since),
        "until": format_version(item.until) if item.until else None,
        "where": dict(item.where),
        "basis": item.basis,
        "samples": item.samples,
        "residual_gib": item.residual_gib,
        "sources": list(item.sources),
        "description": item.description,
    }
