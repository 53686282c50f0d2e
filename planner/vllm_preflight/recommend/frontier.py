"""Which option is best, which are worth a look, and why one beats another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.recommend.candidates import ROOM
from vllm_preflight.recommend.options import Option
from vllm_preflight.recommend.prices import PriceList

Objective = Literal[
    "fewest_gpus", "cheapest", "most_concurrency", "longest_context", "lowest_latency"
]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@dataclass(frozen=True)
class Ranked:
    """An option with what it is ranked by; `cost` and `latency_ms` only when known.

    `cost` is per hour in the price list's currency, `memory_bytes` what all its GPUs show.
    """

    option: Option
    cost: float | None = None
    latency_ms: float | None = None

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.option.choice.gpus

    @property
    def memory_bytes(self) -> int:
        """Memory of all GPUs, a stand-in for what they cost."""
        return self.option.choice.gpu.visible_bytes * self.gpus


@dataclass(frozen=True)
class _Criterion:
    """One thing options are ranked by, smaller first, and how to say who is behind."""

    value: Callable[[Ranked], float]
    words: str


_CRITERIA: Mapping[str, _Criterion] = {
    "gpus": _Criterion(lambda item: item.gpus, "needs {0:g} GPUs instead of {1:g}"),
    "cost": _Criterion(lambda item: _known(item.cost), "costs {0:.2f} an hour instead of {1:.2f}"),
    "latency": _Criterion(
        lambda item: _known(item.latency_ms), "takes {0:,.0f} ms a request instead of {1:,.0f}"
    ),
    "altered": _Criterion(
        lambda item: item.option.choice.altered,
        "lowers the precision of weights or KV cache {0:g} times instead of {1:g}",
    ),
    "memory": _Criterion(
        lambda item: item.memory_bytes / BYTES_TO_GIB,
        "ties up {0:,.1f} GiB of GPU memory instead of {1:,.1f}",
    ),
    "settings": _Criterion(
        lambda item: item.option.choice.settings, "changes more of vLLM's defaults to make room"
    ),
    "stages": _Criterion(
        lambda item: item.option.choice.layout.pipeline,
        "needs {0:g} pipeline stages instead of {1:g}",
    ),
    "requests": _Criterion(
        lambda item: -item.option.requests, "holds {0:,.0f} requests at once instead of {1:,.0f}"
    ),
    "longest": _Criterion(
        lambda item: -item.option.longest,
        "starts with at most {0:,.0f} tokens per request instead of {1:,.0f}",
    ),
}
# What decides first for each objective; the rest follows in the common order.
_FIRST: dict[Objective, tuple[str, ...]] = {
    "fewest_gpus": ("gpus", "altered"),
    "cheapest": ("cost", "altered", "gpus"),
    "most_concurrency": ("requests", "altered", "gpus"),
    "longest_context": ("longest", "gpus", "altered"),
    "lowest_latency": ("latency", "altered", "gpus"),
}
_COMMON = ("gpus", "altered", "memory", "settings", "stages", "requests", "longest")


def criteria(objective: Objective) -> tuple[str, ...]:
    """Names of what decides, the first first; ties fall to the catalogue's order."""
    first = _FIRST[objective]
    return (*first, *(name for name in _COMMON if name not in first))


def rank_key(ranked: Ranked, objective: Objective) -> tuple[float, ...]:
    """What `objective` sorts by, smaller first; unknown costs and latencies come last."""
    return tuple(_CRITERIA[name].value(ranked) for name in criteria(objective))


def why_behind(loser: Ranked, winner: Ranked, objective: Objective) -> str:
    """The first thing in which `loser` is worse, as a sentence's end."""
    for name in criteria(objective):
        criterion = _CRITERIA[name]
        mine, best = criterion.value(loser), criterion.value(winner)
        if mine > best:
            if mine == _known(None):
                return f"its {name} is not known"
            return criterion.words.format(abs(mine), abs(best))
    return "is its equal in everything ranked, and comes later in the catalogue"


def ranked_options(
    options: Iterable[Option], objective: Objective, prices: PriceList | None
) -> list[Ranked]:
    """The options from best to worst; the order of enumeration decides between equals."""
    priced = [
        Ranked(
            option,
            None if prices is None else prices.cost(option.choice.gpu.name, option.choice.gpus),
        )
        for option in options
    ]
    return sorted(priced, key=lambda item: rank_key(item, objective))


def mildest(ranked: Sequence[Ranked], *, layouts: bool = False) -> list[Ranked]:
    """One option for each GPU, number of GPUs, precision and KV dtype: the first of them.

    With `layouts` one for each layout as well, which differ in speed.
    """
    kept: dict[tuple[object, ...], Ranked] = {}
    for item in ranked:
        choice = item.option.choice
        key = (choice.gpu.name, choice.gpus, choice.precision.label, choice.kv_cache_dtype)
        kept.setdefault((*key, choice.layout) if layouts else key, item)
    return list(kept.values())


def pareto(ranked: Sequence[Ranked], wanted: int) -> list[Ranked]:
    """The options that no other beats, cheapest first.

    Compared in cost (without prices: all GPUs' memory), requests at once, context, how far
    precision is lowered, and latency where it is known. Room for more than twice the
    `wanted` requests counts no further. Options without a price are only compared with
    their like.
    """
    front: list[tuple[tuple[float, ...], Ranked]] = []
    for axes, item in sorted(((_axes(item, wanted), item) for item in ranked), key=_by_axes):
        if not any(
            (other.cost is None) == (item.cost is None)
            and all(theirs <= mine for theirs, mine in zip(held, axes, strict=True))
            for held, other in front
        ):
            front.append((axes, item))
    return [item for _, item in front]


def _axes(item: Ranked, wanted: int) -> tuple[float, ...]:
    option = item.option
    return (
        item.memory_bytes if item.cost is None else item.cost,
        item.latency_ms if item.latency_ms is not None else 0.0,
        option.choice.altered,
        -min(option.requests, ROOM * wanted),
        -option.longest,
    )


def _by_axes(pair: tuple[tuple[float, ...], Ranked]) -> tuple[float, ...]:
    return pair[0]


def _known(value: float | None) -> float:
    return float("inf") if value is None else value
