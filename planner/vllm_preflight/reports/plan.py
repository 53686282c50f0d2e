"""A plan as the answer people and tools read."""

from __future__ import annotations

from collections.abc import Sequence

from vllm_preflight.artifacts.arguments import serve_arguments
from vllm_preflight.base.terms import Term
from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.contract.answer import report_terms
from vllm_preflight.contract.plan import (
    Artifacts,
    FeasibilityReport,
    PlanRequest,
    PlanResponse,
    Remedy,
    VLLMConfig,
)
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.launch.render import render_command
from vllm_preflight.memory.runtime.runtime import runtime_memory
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.estimate import Performance
from vllm_preflight.performance.replica import Missing
from vllm_preflight.recommend.sizing import Sizing
from vllm_preflight.reports.model import hardware_report, model_report
from vllm_preflight.reports.performance import performance_report, target_sentence
from vllm_preflight.reports.startup import startup_report


def plan_response(
    request: PlanRequest,
    model: Model,
    hardware: Hardware,
    sizing: Sizing,
    config: VLLMConfig,
    startup: Startup,
    remedies: Sequence[Remedy],
    speed: Performance | Missing,
    faster: str | None,
) -> PlanResponse:
    """Everything the plan found, rounded for reading.

    `faster` is a change that reaches a target latency the plan misses, as a flag.
    """
    warnings = [*hardware.notes, *model.notes, *startup.launch.warnings]
    steps = _next_steps(hardware, sizing, startup, remedies)
    if isinstance(speed, Performance):
        where = f"{sizing.gpus} × {hardware.gpu.name}"
        if (sentence := target_sentence(speed, where)) and speed.target:
            (steps if speed.target.reached else warnings).append(sentence)
        if faster is not None:
            steps.append(f"For the target latency, plan again with {faster}.")
    elif startup.starts:
        warnings.append(speed.message)
    arguments = serve_arguments(request, config)
    command = render_command({"model": config.model, **arguments}, version=startup.launch.version)
    return PlanResponse(
        summary=_summary(request, hardware, sizing, startup),
        model=model_report(model, startup.launch, hardware.capability),
        hardware=hardware_report(hardware, startup.launch),
        feasibility=_feasibility(request, model, config, sizing),
        config=config,
        startup=startup_report(startup, model),
        performance=performance_report(speed, streaming=request.streaming, seed=request.simulate)
        if isinstance(speed, Performance)
        else None,
        artifacts=Artifacts(serve_command=command.text),
        remedies=list(remedies) or None,
        terms=report_terms(_terms(request, model, hardware, sizing)),
        warnings=warnings,
        next_steps=steps,
    )


def _summary(request: PlanRequest, hardware: Hardware, sizing: Sizing, startup: Startup) -> str:
    fit = sizing.feasibility
    demand = (
        f"{request.concurrency:,} request{'s' * (request.concurrency > 1)} of "
        f"{sizing.context:,} tokens"
    )
    where = f"{sizing.gpus} × {hardware.gpu.name}"
    budget = (
        f"need{'s' * (request.concurrency == 1)} "
        f"weights {bytes_to_gib(fit.weights_bytes)} + KV cache {bytes_to_gib(fit.kv_cache_bytes)} "
        f"+ overhead {bytes_to_gib(fit.overhead_bytes)} GiB of "
        f"{bytes_to_gib(fit.vram_target_alloc_bytes)} GiB usable"
    )
    if not fit.fits:
        short = (
            f"{bytes_to_gib(-fit.headroom_bytes)} GiB short"
            if fit.headroom_bytes < 0
            else f"only {bytes_to_gib(fit.headroom_bytes)} GiB left of the "
            f"{request.headroom_gb:g} GiB to keep free"
        )
        return f"Does not fit: {demand} on {where} {budget}; {short}."
    if startup.failure is not None:
        return f"Fits by the formula, but vLLM would not start: {startup.failure.message}"
    return f"Fits: {demand} on {where} {budget}; {bytes_to_gib(fit.headroom_bytes)} GiB left."


def _feasibility(
    request: PlanRequest, model: Model, config: VLLMConfig, sizing: Sizing
) -> FeasibilityReport:
    fit, budget = sizing.feasibility, sizing.budget
    replicas = sizing.launch.data_parallel_size
    typical = request.prompt_tokens + request.gen_tokens
    warnings: list[str] = []
    if fit.overhead_bytes >= fit.vram_target_alloc_bytes:
        warnings.append(
            f"The overhead alone ({bytes_to_gib(fit.overhead_bytes)} GiB) is more than vLLM may "
            f"use ({bytes_to_gib(fit.vram_target_alloc_bytes)} GiB)."
        )
    if fit.oom_risk == "medium" and fit.fits:
        warnings.append("Less than 2 GiB are left; a larger batch or context may not start.")
    longest = max(sizing.context, model.architecture.max_position)
    return FeasibilityReport(
        fits=fit.fits,
        oom_risk=fit.oom_risk,
        vram_total_gib=bytes_to_gib(fit.vram_total_bytes),
        vram_target_alloc_gib=bytes_to_gib(fit.vram_target_alloc_bytes),
        weights_gib=bytes_to_gib(fit.weights_bytes),
        kv_cache_gib=bytes_to_gib(fit.kv_cache_bytes),
        overhead_gib=bytes_to_gib(fit.overhead_bytes),
        required_gib=bytes_to_gib(fit.required_bytes),
        headroom_gib=bytes_to_gib(fit.headroom_bytes),
        context_tokens=sizing.context,
        concurrency=request.concurrency,
        max_concurrency_at_context=budget.max_concurrency(sizing.context) * replicas,
        max_concurrency_at_full_length=budget.max_concurrency(config.max_model_len) * replicas,
        max_concurrency_at_typical_length=budget.max_concurrency(typical) * replicas,
        decided_by="typical_length" if request.max_model_len is None else "max_model_len",
        max_context_at_concurrency=budget.max_context(sizing.concurrency, longest),
        warnings=warnings,
    )


def _terms(request: PlanRequest, model: Model, hardware: Hardware, sizing: Sizing) -> list[Term]:
    fit, launch = sizing.feasibility, sizing.launch
    tp = launch.tensor_parallel_size
    runtime = runtime_memory(model, launch, hardware.gpu).budget_bytes * tp
    return [
        Term(
            name="vram_target_alloc",
            bytes=fit.vram_target_alloc_bytes,
            formula=f"{request.gpu_memory_utilization:g} × {tp} × "
            f"{bytes_to_gib(hardware.gpu.visible_bytes)} GiB",
            basis="derived",
            source=hardware.gpu.sources.get("visible_bytes", "GPU catalogue"),
        ),
        Term(
            name="weights",
            bytes=fit.weights_bytes,
            formula=f"{tp} ranks × {bytes_to_gib(sizing.weights.allocated)} GiB on the fullest",
            basis="derived",
            source=f"shapes of {model.id} ({model.provenance})",
        ),
        Term(
            name="kv_cache",
            bytes=fit.kv_cache_bytes,
            formula=f"{sizing.budget.request_bytes(sizing.context)} bytes per request of "
            f"{sizing.context} tokens × {sizing.concurrency} × {request.fragmentation_factor:g}",
            basis="derived",
            source="layers' caches; fragmentation factor of the request",
        ),
        *sizing.overhead,
        Term(
            name="overhead_fitted",
            bytes=runtime,
            formula=f"predicted runtime memory × {tp} ranks, beside the overhead above",
            basis="fitted",
            source="activation, non-torch and CUDA-graph terms fitted on start-up logs",
        ),
        Term(
            name="headroom",
            bytes=fit.headroom_bytes,
            formula="target − weights − KV cache − overhead",
            basis="derived",
            source="sizing formula",
        ),
    ]


def _next_steps(
    hardware: Hardware, sizing: Sizing, startup: Startup, remedies: Sequence[Remedy]
) -> list[str]:
    if not (sizing.feasibility.fits and startup.starts):
        if remedies:
            return [f"Plan again with {remedies[0].change}."]
        if startup.failure and startup.failure.kind == "free_memory_below_request":
            return ["Free the GPUs of other processes, or lower gpu_memory_utilization."]
        return ["Nothing that was tried makes it fit; take a smaller or a quantised model."]
    steps: list[str] = []
    spare = (hardware.gpus or sizing.gpus) // sizing.gpus
    if spare > 1:
        steps.append(
            f"{hardware.gpus} GPUs are there and {sizing.gpus} used: "
            f"--data-parallel-size {spare * sizing.launch.data_parallel_size} serves as many "
            "requests on each replica."
        )
    steps.append("Compare vLLM's start-up log with this answer's startup figures.")
    return steps
