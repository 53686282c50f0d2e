"""The sizing report: the workload against the memory of one tensor-parallel group."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from vllm_preflight.base.terms import Term
from vllm_preflight.base.units import bytes_to_gib, ceil_div
from vllm_preflight.contract.plan import FeasibilityReport, PlanRequest
from vllm_preflight.contract.verdict import oom_risk
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.memory.feasibility import Feasibility, GroupBudget
from vllm_preflight.memory.kv.cache import stage_caches
from vllm_preflight.memory.kv.capacity import longest_at_once, requests_at_once
from vllm_preflight.memory.overhead import overhead_terms
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.choose import Choice

# What hangs on the start of a launch, and on what it needs beside weights and KV cache.
_OF_A_START = (
    "oom_risk",
    "max_concurrency_at_context",
    "max_concurrency_at_full_length",
    "max_concurrency_at_typical_length",
    "max_context_at_concurrency",
)
_OF_THE_ENGINE = ("overhead_gib", "required_gib", "headroom_gib")
OverheadMethod = Literal["engine", "formula", "fixed"]

# The formula knows nothing of blocks or intervals, and keeps a margin for both.
_FORMULA_FRAGMENTATION = 1.15
_FORMULA_HEADROOM_GB = 1.0


def feasibility(
    request: PlanRequest, model: Model, choice: Choice
) -> tuple[FeasibilityReport, Callable[[], list[Term]]]:
    """The figures of the group's fullest pipeline stage, and what words the terms behind them.

    Whether it fits and the risk are views of the verdict; the overhead is the simulated
    launch's, the formula's or the value given (DESIGN section 3).
    """
    startup, demand = choice.startup, choice.demand
    launch = startup.launch
    replicas = launch.data_parallel_size
    each = ceil_div(demand.concurrency, replicas)
    budget, overhead = _fullest(request, model, choice.hardware, startup, demand.context, each)
    found = budget.assess(demand.context, each)
    formula = sum(
        term.bytes or 0
        for term in overhead_terms(budget.vram_total_bytes, launch.tensor_parallel_size)
    )
    architecture, low = model.architecture, startup.kv_low

    def at_once(length: int) -> int:
        if not startup.starts:
            return 0
        return requests_at_once(architecture, launch, low, length) * replicas

    longest = max(demand.context, architecture.max_position)
    warnings: list[str] = []
    if found.overhead_bytes >= found.vram_target_alloc_bytes:
        warnings.append(
            f"The overhead alone ({bytes_to_gib(found.overhead_bytes)} GiB) is more than vLLM may "
            f"use ({bytes_to_gib(found.vram_target_alloc_bytes)} GiB)."
        )
    report = FeasibilityReport(
        fits=choice.carries,
        oom_risk=oom_risk(startup.start_probability),
        vram_total_gib=bytes_to_gib(found.vram_total_bytes),
        vram_target_alloc_gib=bytes_to_gib(found.vram_target_alloc_bytes),
        weights_gib=bytes_to_gib(found.weights_bytes),
        kv_cache_gib=bytes_to_gib(found.kv_cache_bytes),
        overhead_gib=bytes_to_gib(found.overhead_bytes),
        overhead_method=_method(request),
        overhead_formula_gib=bytes_to_gib(formula),
        required_gib=bytes_to_gib(found.required_bytes),
        headroom_gib=bytes_to_gib(found.headroom_bytes),
        context_tokens=demand.context,
        concurrency=demand.concurrency,
        max_concurrency_at_context=at_once(demand.context),
        max_concurrency_at_full_length=at_once(launch.max_model_len),
        max_concurrency_at_typical_length=at_once(demand.typical),
        decided_by="typical_length" if demand.longest is None else "max_model_len",
        max_context_at_concurrency=longest_at_once(architecture, launch, low, each, longest)
        if startup.starts
        else 0,
        warnings=warnings,
    )
    report = _as_far_as_known(report, choice)
    # A sum with a part that is not known is none.
    overhead = overhead if report.overhead_gib is not None else ()
    return report, partial(_terms, model, choice, budget, found, each, overhead)


def _as_far_as_known(report: FeasibilityReport, choice: Choice) -> FeasibilityReport:
    """The report without what nobody can say of a launch that is not modelled."""
    if choice.outcome != "not_modelled":
        return report
    unknown = (*_OF_A_START, *(_OF_THE_ENGINE if report.overhead_method == "engine" else ()))
    return report.model_copy(update=dict.fromkeys(unknown))


def _method(request: PlanRequest) -> OverheadMethod:
    return "fixed" if request.overhead_gb is not None else request.overhead_method


def _fullest(
    request: PlanRequest,
    model: Model,
    hardware: Hardware,
    startup: Startup,
    context: int,
    concurrency: int,
) -> tuple[GroupBudget, tuple[Term, ...]]:
    """The budget of the stage that has the least left, and its overhead."""
    launch, method = startup.launch, _method(request)
    ranks = launch.tensor_parallel_size
    vram = hardware.gpu.visible_bytes * ranks
    plain = method == "engine"
    fragmentation = request.fragmentation_factor or (1.0 if plain else _FORMULA_FRAGMENTATION)
    headroom = request.headroom_gb
    if headroom is None:
        headroom = 0.0 if plain else _FORMULA_HEADROOM_GB
    kv = stage_caches(model.architecture, launch, hardware.capability)
    outside = startup.runtime.budget_bytes - startup.runtime.activation_bytes
    budgets: list[tuple[int, GroupBudget, tuple[Term, ...]]] = []
    for stage, activation, caches in zip(
        startup.weights.stages, startup.runtime.stage_activation_bytes, kv, strict=True
    ):
        overhead = (
            _simulated((activation + outside) * ranks, ranks)
            if plain
            else overhead_terms(vram, ranks, request.overhead_gb)
        )
        budget = GroupBudget(
            vram_total_bytes=vram,
            gpu_memory_utilization=launch.gpu_memory_utilization,
            weights_bytes=stage.allocated * ranks,
            overhead_bytes=sum(term.bytes or 0 for term in overhead),
            headroom_gb=headroom,
            fragmentation_factor=fragmentation,
            tensor_parallel_size=ranks,
            kv=caches,
        )
        budgets.append((budget.assess(context, concurrency).headroom_bytes, budget, overhead))
    _, budget, overhead = min(budgets, key=lambda item: item[0])
    return budget, overhead


def _simulated(size: int, ranks: int) -> tuple[Term, ...]:
    return (
        Term(
            name="overhead",
            bytes=size,
            formula=f"(activation + non-torch + charged CUDA graphs) × {ranks} ranks",
            basis="derived",
            source="the simulated launch; its terms are under startup",
        ),
    )


def _terms(
    model: Model,
    choice: Choice,
    budget: GroupBudget,
    found: Feasibility,
    concurrency: int,
    overhead: tuple[Term, ...],
) -> list[Term]:
    launch, gpu = choice.startup.launch, choice.hardware.gpu
    ranks, context = launch.tensor_parallel_size, choice.demand.context
    left = Term(
        name="headroom",
        bytes=found.headroom_bytes,
        formula="target − weights − KV cache − overhead",
        basis="derived",
        source="sizing formula",
    )
    return [
        Term(
            name="vram_target_alloc",
            bytes=found.vram_target_alloc_bytes,
            formula=f"{launch.gpu_memory_utilization:g} × {ranks} × "
            f"{bytes_to_gib(gpu.visible_bytes)} GiB",
            basis="derived",
            source=gpu.sources.get("visible_bytes", "GPU catalogue"),
        ),
        Term(
            name="weights",
            bytes=found.weights_bytes,
            formula=f"{ranks} ranks × {bytes_to_gib(found.weights_bytes // ranks)} GiB",
            basis="derived",
            source=f"shapes of {model.id} ({model.provenance})",
        ),
        Term(
            name="kv_cache",
            bytes=found.kv_cache_bytes,
            formula=f"{budget.request_bytes(context)} bytes per request of {context} tokens × "
            f"{concurrency} × {budget.fragmentation_factor:g}",
            basis="derived",
            source="layers' caches; fragmentation factor of the request",
        ),
        *((*overhead, left) if overhead else ()),
    ]
