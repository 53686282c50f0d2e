"""Which GPUs carry a workload: the chooser asked for every card, number and checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.market import offered_gpus
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.models.model import Model
from vllm_preflight.performance.estimate import Performance
from vllm_preflight.recommend.checkpoints import Checkpoint, checkpoints
from vllm_preflight.recommend.choose import (
    NEAR,
    PRACTICAL_COUNTS,
    Choice,
    choose_on,
    with_gpus,
)
from vllm_preflight.recommend.demand import demand_of, fit_workload
from vllm_preflight.recommend.quotes import Prices, Quote

Progress = Callable[[str], None]
Objective = Literal[
    "fewest_gpus", "cheapest", "most_concurrency", "longest_context", "lowest_latency"
]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

# Nobody reads at less than five tokens a second, or waits a minute for the first.
SLOWEST_TPOT_MS = 200.0
LONGEST_TTFT_MS = 60_000.0
# More room than this many times the workload decides nothing.
_ROOM = 2


@dataclass(frozen=True)
class Row:
    """One way to carry the workload, with its price where one is known."""

    choice: Choice
    checkpoint: Checkpoint
    request: PlanRequest
    quote: Quote | None = None

    @property
    def gpu(self) -> Gpu:
        """The card."""
        return self.choice.hardware.gpu

    @property
    def cost(self) -> float | None:
        """What an hour costs, None where no price is known."""
        return None if self.quote is None else self.quote.per_hour

    @property
    def speed(self) -> Performance | None:
        """The estimate, where there is one."""
        return self.choice.speed if isinstance(self.choice.speed, Performance) else None


@dataclass(frozen=True)
class Miss:
    """Why up to `gpus` of a card do not do; `known` is false where nobody here can say."""

    gpu: str
    gpus: int
    reason: str
    known: bool = True


@dataclass(frozen=True)
class Comparison:
    """The best row of each card, the best card first, and why the others do not do."""

    rows: tuple[Row, ...]
    misses: tuple[Miss, ...]


@dataclass
class _Card:
    """What was found of one card."""

    rows: list[Row] = field(default_factory=list[Row])
    miss: Miss | None = None


def compare_cards(
    model: Model,
    cards: Sequence[Gpu],
    request: PlanRequest,
    *,
    max_gpus: int,
    objective: Objective,
    prices: Prices | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """The chooser's answer for each card: the fewest that carry `request`'s workload.

    Raises:
        PreflightError: the model is not understood, or the workload is none.
    """
    stored = sorted(
        checkpoints(model, request.quantization), key=lambda item: bool(item.model.assumed)
    )
    rows: list[Row] = []
    misses: list[Miss] = []
    for gpu in cards:
        check_stop()
        if progress is not None:
            progress(f"judging {gpu.name}")
        found = _Card()
        for checkpoint in stored:
            if checkpoint.model.assumed and not model.assumed and found.rows:
                # What is known by name alone is for cards that nothing else of it fits.
                continue
            for row in _carrying(checkpoint, gpu, request, max_gpus, objective, prices, found):
                found.rows.append(row)
        if found.rows:
            rows.append(min(found.rows, key=lambda row: _key(row, objective)))
        elif found.miss is not None:
            misses.append(found.miss)
    return Comparison(tuple(sorted(rows, key=lambda row: _key(row, objective))), tuple(misses))


def _carrying(
    checkpoint: Checkpoint,
    gpu: Gpu,
    request: PlanRequest,
    max_gpus: int,
    objective: Objective,
    prices: Prices | None,
    found: _Card,
) -> Iterator[Row]:
    """The first number of GPUs that carries the workload; all of them where more is better."""
    model = checkpoint.model
    asked = request.model_copy(
        update={"model": model.id, "gpu": gpu.name, "quantization": checkpoint.quantization}
    )
    best: Choice | None = None
    for count in (count for count in PRACTICAL_COUNTS if count <= max_gpus):
        hardware = with_gpus(_hardware(gpu), count)
        try:
            fitted = fit_workload(model, asked)
            choice = choose_on(model, hardware, fitted, demand_of(model, fitted))
        except PreflightError as error:
            found.miss = found.miss or Miss(gpu.name, count, error.message)
            return
        best = choice
        if choice.carries and choice.gpus == count and _is_quick(choice):
            yield Row(choice, checkpoint, fitted, quote_of(choice, prices))
            if objective in ("fewest_gpus", "cheapest"):
                return
    if best is not None and (found.miss is None or best.gpus > found.miss.gpus):
        found.miss = Miss(gpu.name, best.gpus, _why(best), best.outcome != "not_modelled")


def quote_of(choice: Choice, prices: Prices | None) -> Quote | None:
    """What the machines of a choice cost; None without prices, or where none is known."""
    if prices is None:
        return None
    there = choice.hardware
    return prices.quote(there.gpu.name, choice.machine_gpus, there.nodes, there.instance)


def _hardware(gpu: Gpu) -> Hardware:
    return Hardware(gpu, None, 1, "nvlink" if gpu.nvlink_gb_s else "unknown")


def _is_quick(choice: Choice) -> bool:
    """Whether a reader would wait for it; what cannot be estimated is not held against it."""
    if not isinstance(choice.speed, Performance):
        return True
    speed = choice.speed.speed
    return (
        speed.tpot_ms <= SLOWEST_TPOT_MS
        and speed.ttft_ms <= LONGEST_TTFT_MS
        and choice.reaches_target
    )


def _why(choice: Choice) -> str:
    if choice.carries:
        return "carries it, but slower than anyone would wait for"
    if choice.serves:
        return f"starts; {choice.held:,} of {choice.demand.concurrency:,} requests run at once"
    failure = choice.startup.failure
    if failure is not None:
        return failure.message
    return f"starts with a probability of {choice.startup.start_probability:.0%} only"


def _key(row: Row, objective: Objective) -> tuple[float, ...]:
    """What rows are sorted by, smaller first; near ties fall to how common the card is."""
    choice, speed = row.choice, row.speed
    latency = _bucket(speed.speed.latency_ms) if speed is not None else math.inf
    cost = _bucket(row.cost) if row.cost is not None else math.inf
    room = -_bucket(float(choice.held))
    length = -_bucket(float(choice.startup.launch.max_model_len))
    capped = -_bucket(float(min(choice.held, _ROOM * choice.demand.concurrency)))
    altered = float(row.checkpoint.altered)
    common: tuple[float, ...] = (
        float(choice.gpus),
        altered,
        capped,
        _place(row.gpu.name),
        _bucket(float(row.gpu.visible_bytes)),
        latency,
    )
    first: dict[Objective, tuple[float, ...]] = {
        "fewest_gpus": (),
        "cheapest": (cost, altered),
        "most_concurrency": (room, altered),
        "longest_context": (length, altered),
        "lowest_latency": (latency, altered),
    }
    return (*first[objective], *common)


def _bucket(value: float) -> float:
    """The value in steps of a near tie."""
    return math.floor(math.log(value) / math.log1p(NEAR)) if value > 0 else -math.inf


def _place(name: str) -> float:
    offered = offered_gpus()
    return float(offered.index(name)) if name in offered else math.inf
