"""One candidate layout sized for a workload: weights, KV cache and overhead of a group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from vllm_preflight.base.terms import Term
from vllm_preflight.base.units import ceil_div
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.launch.speculation.drafting import find_drafting
from vllm_preflight.memory.feasibility import Feasibility, GroupBudget
from vllm_preflight.memory.kv.cache import stage_layers
from vllm_preflight.memory.kv.sizing import StageKv
from vllm_preflight.memory.overhead import overhead_terms
from vllm_preflight.memory.runtime.runtime import runtime_memory
from vllm_preflight.memory.weights.weights import StageWeights, weights_per_rank
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.constraints import refused_precision


@dataclass(frozen=True)
class Sizing:
    """A layout with its verdict. `concurrency` is per data-parallel replica."""

    launch: Launch
    stage: int
    weights: StageWeights
    budget: GroupBudget
    context: int
    concurrency: int
    feasibility: Feasibility
    overhead: tuple[Term, ...]

    @property
    def gpus(self) -> int:
        """GPUs the layout uses."""
        return self.launch.world_size * self.launch.data_parallel_size


def context_tokens(request: PlanRequest) -> int:
    """The length sizing reckons with: max_model_len when given, else the workload's."""
    return request.max_model_len or request.prompt_tokens + request.gen_tokens


def startup_request(request: PlanRequest, **changes: Any) -> StartupRequest:
    """The plan's request as vLLM arguments, with `changes`; nothing is re-validated."""
    shared = {
        name: getattr(request, name)
        for name in StartupRequest.model_fields
        if name in PlanRequest.model_fields
    }
    return StartupRequest.model_construct(**{**shared, "command": None, **changes})


def resolve_for(model: Model, hardware: Hardware, request: StartupRequest, **given: Any) -> Launch:
    """`request` resolved for the model and the GPU; `given` as resolve_launch takes it.

    Quantised weights that the GPU has no kernels for are among the launch's problems.
    """
    launch = resolve_launch(
        request,
        model.architecture,
        hardware.gpu,
        config=model.config,
        checkpoint_kv_cache_dtype=model.quantization.kv_cache_dtype,
        drafting=find_drafting(model, request.speculative_config),
        **given,
    )
    problem = refused_precision(model, launch.quantization, hardware.capability)
    return launch if problem is None else replace(launch, problems=(*launch.problems, problem))


def size(
    model: Model,
    hardware: Hardware,
    request: PlanRequest,
    tensor_parallel_size: int,
    pipeline_parallel_size: int,
) -> Sizing:
    """The workload on one layout, judged by its fullest pipeline stage."""
    context = context_tokens(request)
    launch = resolve_for(
        model,
        hardware,
        startup_request(
            request,
            tensor_parallel_size=tensor_parallel_size,
            pipeline_parallel_size=pipeline_parallel_size,
            max_model_len=context,
        ),
    )
    concurrency = ceil_div(request.concurrency, launch.data_parallel_size)
    weights = weights_per_rank(model, launch, hardware.capability)
    kv = stage_layers(model.architecture, launch, hardware.capability)
    vram = hardware.gpu.visible_bytes * tensor_parallel_size
    overhead = _overhead(model, hardware, request, launch, vram)
    budgets = [
        GroupBudget(
            vram_total_bytes=vram,
            gpu_memory_utilization=request.gpu_memory_utilization,
            weights_bytes=stage.allocated * tensor_parallel_size,
            overhead_bytes=sum(term.bytes or 0 for term in overhead),
            headroom_gb=request.headroom_gb,
            fragmentation_factor=request.fragmentation_factor,
            tensor_parallel_size=tensor_parallel_size,
            kv=StageKv.of(layers),
        )
        for stage, layers in zip(weights.stages, kv, strict=True)
    ]
    verdicts = [budget.assess(context, concurrency) for budget in budgets]
    fullest = min(range(len(verdicts)), key=lambda stage: verdicts[stage].headroom_bytes)
    return Sizing(
        launch=launch,
        stage=fullest,
        weights=weights.stages[fullest],
        budget=budgets[fullest],
        context=context,
        concurrency=concurrency,
        feasibility=verdicts[fullest],
        overhead=overhead,
    )


def _overhead(
    model: Model, hardware: Hardware, request: PlanRequest, launch: Launch, vram: int
) -> tuple[Term, ...]:
    tensor_parallel_size = launch.tensor_parallel_size
    if request.overhead_gb is None and request.overhead_method == "fitted":
        runtime = runtime_memory(model, launch, hardware.gpu)
        return (
            Term(
                name="overhead",
                bytes=runtime.budget_bytes * tensor_parallel_size,
                formula=f"predicted runtime memory × {tensor_parallel_size} ranks",
                basis="fitted",
                source="activation, non-torch and CUDA-graph terms fitted on start-up logs",
            ),
        )
    return overhead_terms(vram, tensor_parallel_size, request.overhead_gb)
