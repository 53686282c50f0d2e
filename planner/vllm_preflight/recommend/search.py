"""Which GPUs, how many, and which settings carry a workload: every choice judged, ranked.

The engine judges all candidates (`evaluate`); the options that carry the workload are
ranked by what the user wants (`frontier`), and the ones shown are simulated in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.hardware.catalog import load_catalog
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.memory.startup import Startup, simulate_startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.estimate import Performance, estimate_performance
from vllm_preflight.performance.workload import Workload as Demand
from vllm_preflight.recommend.candidates import Space, Workload, batches, lengths
from vllm_preflight.recommend.evaluate import Progress, evaluate
from vllm_preflight.recommend.frontier import (
    Objective,
    Ranked,
    mildest,
    pareto,
    rank_key,
    ranked_options,
    why_behind,
)
from vllm_preflight.recommend.options import Attempt, Choice, Found, startup_request_of
from vllm_preflight.recommend.prices import PriceList
from vllm_preflight.recommend.sizing import resolve_for
from vllm_preflight.recommend.variants import precisions

# The oldest generation with bfloat16, which nearly every checkpoint is stored in.
_USUAL_CAPABILITY = (8, 0)
_CONSUMER = ("GeForce", "TITAN")


@dataclass(frozen=True)
class Exclusion:
    """Why `gpus` GPUs of one kind do not carry the workload.

    `held` requests fit at once; 0 where nothing starts. `rule` names the constraint that
    decides, None where it is memory. `choice` is the best that was tried.
    """

    gpu: str
    gpus: int
    held: int
    reason: str
    rule: str | None
    choice: Choice


@dataclass(frozen=True)
class Shown:
    """An option with what the engine says of it in full.

    `speed` is None where the performance model lacks a fact of the GPU or the scheme.
    """

    ranked: Ranked
    startup: Startup
    speed: Performance | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may still go wrong after the KV cache was sized."""
        return self.startup.late_warnings


@dataclass(frozen=True)
class SearchResult:
    """A search's outcome.

    `candidates` were decided, `judged` of them one by one (see `evaluate.Found`).
    `best` and `runner_up` are None where nothing, or nothing else, carries the workload;
    `why` says in what the runner-up is behind. `frontier` holds the options no other
    beats, `by_gpu` the best of each GPU in the order of the ranking, and `excluded` for
    each GPU the largest number that does not do.
    """

    workload: Workload
    objective: Objective
    candidates: int
    judged: int
    best: Ranked | None
    runner_up: Ranked | None
    why: str
    frontier: tuple[Ranked, ...]
    by_gpu: tuple[Ranked, ...]
    excluded: tuple[Exclusion, ...]
    notes: tuple[str, ...]


def usual_gpus() -> tuple[Gpu, ...]:
    """NVIDIA's data-centre and workstation cards of the catalogue, of capability 8.0 or more."""
    return tuple(
        gpu
        for gpu in load_catalog()
        if gpu.vendor == "NVIDIA"
        and (gpu.compute_capability or (0, 0)) >= _USUAL_CAPABILITY
        and not gpu.name.startswith(_CONSUMER)
    )


def make_space(
    model: Model,
    workload: Workload,
    gpus: Sequence[Gpu],
    *,
    max_gpus: int,
    objective: Objective = "fewest_gpus",
    quantization: str = "auto",
    kv_cache_dtype: str = "auto",
    **pinned: Any,
) -> Space:
    """What to search for `workload`; a quantisation or KV dtype that is given is kept."""
    dtypes = ("auto", "fp8") if kv_cache_dtype == "auto" else (kv_cache_dtype,)
    return Space(
        gpus=tuple(gpus),
        precisions=precisions(model, quantization),
        max_gpus=max_gpus,
        lengths=lengths(workload, model.architecture),
        batches=batches(workload),
        kv_cache_dtypes=dtypes,
        exhaustive=objective == "most_concurrency",
        dominated=objective in {"most_concurrency", "lowest_latency"},
        pinned=pinned,
    )


def search(
    space: Space,
    workload: Workload,
    *,
    objective: Objective = "fewest_gpus",
    prices: PriceList | None = None,
    progress: Progress | None = None,
) -> SearchResult:
    """Judge every candidate of `space` and rank those that carry `workload`.

    A best option that may still run out of memory after sizing gives way to the next
    that does not, if there is one. With `lowest_latency` the latency of a whole request
    is estimated for every option; one that cannot be estimated comes last.

    Raises:
        UnsupportedArchitecture: the model is not understood.
        InvalidRequest: a pinned value is none.
        Stopped: the question was given up.
    """
    found = evaluate(space, workload, progress)
    ranked = ranked_options(found.options, objective, prices)
    if objective != "most_concurrency":
        ranked = mildest(ranked, layouts=objective == "lowest_latency")
    if objective == "lowest_latency":
        timed = (replace(item, latency_ms=_latency(item, space, workload)) for item in ranked)
        ranked = mildest(sorted(timed, key=lambda item: rank_key(item, objective)))
    best = _first_sound(ranked, space)
    rest = [item for item in ranked if best is not None and _differs(item, best)]
    runner_up = rest[0] if rest else None
    why = ""
    if best is not None and runner_up is not None:
        why = why_behind(runner_up, best, objective)
    by_gpu: dict[str, Ranked] = {} if best is None else {best.option.choice.gpu.name: best}
    for item in ranked:
        by_gpu.setdefault(item.option.choice.gpu.name, item)
    return SearchResult(
        workload=workload,
        objective=objective,
        candidates=found.candidates,
        judged=found.judged,
        best=best,
        runner_up=runner_up,
        why=why,
        frontier=tuple(pareto(mildest(ranked), workload.concurrency)),
        by_gpu=tuple(by_gpu.values()),
        excluded=tuple(_exclusions(space, found)),
        notes=tuple(found.notes),
    )


def confirm(ranked: Ranked, space: Space, workload: Workload) -> Shown:
    """The option simulated in full, as predict_startup would, with its estimated speed."""
    startup = simulate(ranked.option.choice, space)
    demand = Demand(workload.prompt_tokens, workload.gen_tokens, workload.concurrency)
    model = ranked.option.choice.precision.model
    speed = estimate_performance(model, startup, demand, node_size=space.gpus_per_node)
    return Shown(ranked, startup, speed if isinstance(speed, Performance) else None)


def simulate(choice: Choice, space: Space) -> Startup:
    """What vLLM does with a choice, as predict_startup says it."""
    model, hardware = choice.precision.model, Hardware(choice.gpu, None, 1, "unknown")
    launch = resolve_for(model, hardware, startup_request_of(choice, space))
    return simulate_startup(model, choice.gpu, hardware.capability, launch)


def why_not(found: Found, gpu: str, gpus: int, workload: Workload) -> Exclusion | None:
    """The best that `gpus` of a kind did, and why that is not enough; None if not tried."""
    tried: list[tuple[int, int, int, Attempt]] = []
    for (name, size), attempt in found.attempts.items():
        if name == gpu and size <= gpus:
            replicas = gpus // size if attempt.scales else 1
            tried.append((attempt.held * replicas, attempt.closeness, size, attempt))
    if not tried:
        return None
    held, _, size, attempt = max(tried, key=lambda item: item[:3])
    reason = attempt.reason
    if held:
        replicas = gpus // size if attempt.scales else attempt.choice.layout.replicas
        across = f"{replicas} replicas of {size} GPUs hold" if replicas > 1 else "it holds"
        reason = (
            f"starts, but {across} {held:,} of the {workload.concurrency:,} requests of "
            f"{workload.context:,} tokens at once"
        )
    return Exclusion(gpu, gpus, held, reason, attempt.rule, attempt.choice)


def _exclusions(space: Space, found: Found) -> Iterator[Exclusion]:
    """For each GPU the largest number that does not do."""
    fewest: dict[str, int] = {}
    for option in found.options:
        name, gpus = option.choice.gpu.name, option.choice.gpus
        fewest[name] = min(fewest.get(name, gpus), gpus)
    for gpu in space.gpus:
        gpus = fewest.get(gpu.name, space.max_gpus + 1) - 1
        exclusion = why_not(found, gpu.name, gpus, found.workload) if gpus else None
        if exclusion is not None:
            yield exclusion


def _first_sound(ranked: Iterable[Ranked], space: Space) -> Ranked | None:
    first: Ranked | None = None
    for item in ranked:
        first = first or item
        if not simulate(item.option.choice, space).late_warnings:
            return item
    return first


def _differs(item: Ranked, best: Ranked) -> bool:
    mine, its = item.option.choice, best.option.choice
    return (mine.gpu.name, mine.gpus) != (its.gpu.name, its.gpus)


def _latency(item: Ranked, space: Space, workload: Workload) -> float | None:
    check_stop()
    speed = confirm(item, space, workload).speed
    return None if speed is None else round(speed.speed.latency_ms, 1)
