"""plan_deployment: from a question to a checked plan, step by step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.plan import PlanRequest, PlanResponse, Remedy, Tradeoff, VLLMConfig
from vllm_preflight.hardware.select import Hardware, select_hardware
from vllm_preflight.memory.runtime.calibration import parse_calibration
from vllm_preflight.memory.startup import Startup, simulate_startup
from vllm_preflight.models.model import Model
from vllm_preflight.models.overrides import override_parameters
from vllm_preflight.models.served import load_served
from vllm_preflight.performance.estimate import Performance
from vllm_preflight.performance.replica import Missing
from vllm_preflight.recommend.parallelism import choose_layout
from vllm_preflight.recommend.remedies import Change, larger_gpus, more_gpus, plan_changes
from vllm_preflight.recommend.settings import recommend_settings
from vllm_preflight.recommend.sizing import Sizing, resolve_for, startup_request
from vllm_preflight.recommend.tradeoffs import weigh_settings
from vllm_preflight.reports.performance import estimate_speed
from vllm_preflight.reports.plan import plan_response

Progress = Callable[[str], None]


def plan_deployment(
    request: PlanRequest,
    *,
    model: Model | None = None,
    hardware: Hardware | None = None,
    explain: bool = False,
    progress: Progress | None = None,
) -> PlanResponse:
    """Size the workload, recommend settings, and say what vLLM would do with them.

    `model` and `hardware` save reading them again when the caller has them. A workload
    that does not fit is an answer: by how much, and which changes were found to help.
    `explain` also weighs each setting against its neighbours, which takes as long again.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    hardware = hardware or select_hardware(request)
    model = model or load_served(request.model, revision=request.revision, progress=progress)
    model = override_parameters(model, request.params_b)
    sizing = choose_layout(model, hardware, request)
    config = recommend_settings(model, hardware, request, sizing)
    config, startup = start_with(model, hardware, request, config)
    fits = sizing.feasibility.fits and startup.starts
    remedies = [] if fits else find_remedies(model, hardware, request, sizing)
    speed = estimate_speed(model, hardware, request, startup)
    faster = find_faster(model, hardware, request, sizing, speed) if fits else None
    plan = plan_response(request, model, hardware, sizing, config, startup, remedies, speed, faster)
    if not explain:
        return plan
    weighed = explain_settings(model, hardware, request, config, startup)
    return plan.model_copy(update={"tradeoffs": weighed or None})


def explain_settings(
    model: Model, hardware: Hardware, request: PlanRequest, config: VLLMConfig, startup: Startup
) -> list[Tradeoff]:
    """What each setting of a plan that starts costs, and what better would need."""

    def attempt(changes: Mapping[str, Any]) -> Startup | None:
        check_stop()
        own = {key: changes[key] for key in changes if key in VLLMConfig.model_fields}
        try:
            return _simulate(
                model,
                hardware,
                request.model_copy(update=dict(changes)),
                config.model_copy(update=own),
            )
        except PreflightError:
            return None

    longest = model.architecture.max_position
    return weigh_settings(request, config, startup, longest, attempt)


def start_with(
    model: Model, hardware: Hardware, request: PlanRequest, config: VLLMConfig
) -> tuple[VLLMConfig, Startup]:
    """What vLLM does with the recommended arguments; a recommended length is cut to fit."""
    startup = _simulate(model, hardware, request, config)
    longest = startup.longest
    too_long = startup.failure is not None and startup.failure.kind == "kv_cache_too_small"
    needed = request.prompt_tokens + request.gen_tokens
    if too_long and request.max_model_len is None and longest >= needed:
        why = "the longest vLLM starts with"
        config = config.model_copy(
            update={
                "max_model_len": longest,
                "explanations": {**config.explanations, "max_model_len": why},
            }
        )
        startup = _simulate(model, hardware, request, config)
    return config, startup


def find_remedies(
    model: Model, hardware: Hardware, request: PlanRequest, sizing: Sizing
) -> list[Remedy]:
    """Changes after which the plan fits and starts; each was planned again."""
    quantized = model.quantization.method != "none"
    remedies = [
        remedy
        for change in plan_changes(request, hardware, sizing, quantized)
        if (remedy := _try(model, hardware, request, change))
    ]
    # Of more or larger GPUs the first that does is enough.
    for choices in (more_gpus(sizing), larger_gpus(sizing, hardware)):
        tried = (_try(model, hardware, request, change) for change in choices)
        remedies += itertools.islice(filter(None, tried), 1)
    return remedies


def find_faster(
    model: Model,
    hardware: Hardware,
    request: PlanRequest,
    sizing: Sizing,
    speed: Performance | Missing,
) -> str | None:
    """The fewest GPUs per replica that reach a target latency this plan misses, as a flag.

    None where no target is missed, the sizes are given, or no size of one machine helps.
    """
    if isinstance(speed, Missing) or speed.target is None or speed.target.reached:
        return None
    ranks = sizing.launch.tensor_parallel_size
    most = min(hardware.gpus_per_node, hardware.gpus or hardware.gpus_per_node)
    while request.tensor_parallel_size is None and (ranks := ranks * 2) <= most:
        check_stop()
        try:
            changed = request.model_copy(update={"tensor_parallel_size": ranks})
            layout = choose_layout(model, hardware, changed)
            config = recommend_settings(model, hardware, changed, layout)
            _, startup = start_with(model, hardware, changed, config)
            found = estimate_speed(model, hardware, changed, startup)
        except PreflightError:
            return None
        if isinstance(found, Performance) and found.target and found.target.reached:
            return f"--tensor-parallel-size {ranks} (about {found.speed.latency_ms:,.0f} ms)"
    return None


def _try(model: Model, hardware: Hardware, request: PlanRequest, change: Change) -> Remedy | None:
    check_stop()
    try:
        changed = request.model_copy(update=dict(change.fields))
        if "gpu" in change.fields or "gpus" in change.fields:
            hardware = select_hardware(changed)
        sizing = choose_layout(model, hardware, changed)
        if not sizing.feasibility.fits:
            return None
        config = recommend_settings(model, hardware, changed, sizing)
        config, startup = start_with(model, hardware, changed, config)
    except PreflightError:
        return None
    if not startup.starts:
        return None
    headroom = sizing.feasibility.headroom_bytes / 2**30
    return Remedy(
        change=change.text,
        effect=f"fits on {sizing.gpus} GPU{'s' * (sizing.gpus > 1)} with {headroom:.2f} GiB "
        f"left, {config.max_model_len:,} tokens per request",
    )


def _simulate(
    model: Model, hardware: Hardware, request: PlanRequest, config: VLLMConfig
) -> Startup:
    arguments = startup_request(
        request,
        tensor_parallel_size=config.tensor_parallel_size,
        pipeline_parallel_size=config.pipeline_parallel_size,
        data_parallel_size=config.data_parallel_size,
        max_model_len=config.max_model_len,
        max_num_seqs=config.max_num_seqs,
        max_num_batched_tokens=config.max_num_batched_tokens,
    )
    if arguments.free_vram_gb is None and hardware.free_bytes is not None:
        arguments = arguments.model_copy(update={"free_vram_gb": hardware.free_bytes / 2**30})
    launch = resolve_for(model, hardware, arguments)
    calibration = parse_calibration(request.calibration)
    return simulate_startup(
        model, hardware.gpu, hardware.capability, launch, calibration=calibration
    )
