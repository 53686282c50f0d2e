"""The fitted numbers behind the step times: each with its prior, spread and evidence.

`coefficients.json` is written by `scripts/fit_performance.py`. A coefficient holds for
all GPUs; an entry of the same name with a `gpu_class` is a factor on it for that class.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

Metric = Literal["ttft_ms", "tpot_ms", "output_tokens_per_s"]
METRICS: tuple[Metric, ...] = ("ttft_ms", "tpot_ms", "output_tokens_per_s")


@dataclass(frozen=True)
class Coefficient:
    """One number of the model.

    Attributes:
        name: what it is; `gpu_class` is empty for all GPUs, else the class it is a factor for.
        value: the number, in `unit`.
        prior: the value before any run was seen.
        spread: standard deviation of the logarithm of `value` given the runs.
        prior_spread: the same before any run was seen.
        samples, sources: runs that bear on it, and where they are from.
        basis: fitted, or assumed where no run bears on it.
        description: what it means and where the prior comes from.
    """

    name: str
    gpu_class: str
    value: float
    unit: str
    prior: float
    prior_spread: float
    spread: float
    samples: int
    sources: tuple[str, ...]
    basis: Literal["fitted", "assumed"]
    description: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Held-out logarithmic residuals of one metric: 80 % of the runs lie between the two.

    A measured value is the estimate times a factor from exp(`low` × s) to exp(`high` × s),
    with s as of `scale_of`: 1, and more for times short against what servers and clients
    differ by (`server_ms`). `classes` have bounds of their own where enough of their runs
    were measured.
    """

    low: float
    high: float
    samples: int
    sources: int
    median_error: float
    server_ms: float = 0.0
    classes: Mapping[str, tuple[float, float]] = field(
        default_factory=dict[str, tuple[float, float]]
    )

    def bounds(self, value: float, gpu_class: str, width: float = 1.0) -> tuple[float, float]:
        """Between which figures 80 % of measurements lie, for an estimate of `value`.

        `width` is a factor on the logarithm of the bounds.
        """
        low, high = self.classes.get(gpu_class, (self.low, self.high))
        scale = scale_of(value, self.server_ms) * width
        return value * math.exp(low * scale), value * math.exp(high * scale)


# Logarithmic spread of a time to first token that is long against the server's part.
_RELATIVE = 0.2


def scale_of(value: float, server_ms: float) -> float:
    """How much wider than of a long time the spread of `value` milliseconds is."""
    return math.hypot(1.0, server_ms / max(value, 1e-9) / _RELATIVE) if server_ms else 1.0


@dataclass(frozen=True, eq=False)
class Coefficients:
    """All entries, and the spread of measurements around the model by metric."""

    entries: tuple[Coefficient, ...]
    spreads: Mapping[Metric, Spread]
    date: str = ""

    @cached_property
    def _values(self) -> dict[tuple[str, str], float]:
        return {(entry.name, entry.gpu_class): entry.value for entry in self.entries}

    @cached_property
    def measured_classes(self) -> frozenset[str]:
        """The classes of GPUs that any run is of."""
        return frozenset(entry.gpu_class for entry in self.entries if entry.gpu_class)

    def value(self, name: str, gpu_class: str) -> float:
        """The coefficient `name` on GPUs of `gpu_class`."""
        return self._values[name, ""] * self._values.get((name, gpu_class), 1.0)

    def factors_of(self, gpu_class: str) -> tuple[Coefficient, ...]:
        """The factors that hold for GPUs of `gpu_class` alone."""
        return tuple(entry for entry in self.entries if entry.gpu_class == gpu_class)

    def evidence(self, name: str) -> str:
        """Where `name` comes from, as one sentence."""
        entry = next(item for item in self.entries if item.name == name and not item.gpu_class)
        if not entry.samples:
            return f"{entry.description} (assumed: no run bears on it)"
        return f"{entry.description} ({entry.samples} runs of {len(entry.sources)} sources)"


@cache
def load_coefficients() -> Coefficients:
    """The coefficients that ship with the package."""
    path = Path(__file__).with_name("coefficients.json")
    return coefficients_from(json.loads(path.read_text(encoding="utf-8")))


def coefficients_from(document: Mapping[str, Any]) -> Coefficients:
    """Coefficients of a parsed `coefficients.json`."""
    sources: list[str] = document["sources"]
    return Coefficients(
        tuple(_coefficient(entry, sources) for entry in document["coefficients"]),
        {metric: _spread(fields) for metric, fields in document["spreads"].items()},
        document["date"],
    )


def _spread(entry: Mapping[str, Any]) -> Spread:
    classes = {name: (low, high) for name, (low, high) in entry["classes"].items()}
    fields: dict[str, Any] = {**entry, "classes": classes}
    return Spread(**fields)


def _coefficient(entry: Mapping[str, Any], sources: list[str]) -> Coefficient:
    numbers: list[int] = entry["sources"]
    fields: dict[str, Any] = {**entry, "sources": tuple(sources[number] for number in numbers)}
    return Coefficient(**fields)
