"""predict_startup: what `vllm serve` with these arguments does on this hardware."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from vllm_preflight.base.errors import InvalidRequest, PreflightError, UnsupportedArchitecture
from vllm_preflight.contract.check import Failure, StartupReport, StartupRequest, StartupResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.select import Hardware, select_hardware
from vllm_preflight.launch.arguments import ParsedCommand, parse_command
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.render import render_command
from vllm_preflight.launch.versions import format_version, parse_version
from vllm_preflight.memory.runtime.calibration import parse_calibration
from vllm_preflight.memory.startup import Startup, simulate_startup
from vllm_preflight.models.model import Model
from vllm_preflight.models.overrides import override_config, override_parameters
from vllm_preflight.models.served import load_served
from vllm_preflight.recommend.remedies import startup_remedies
from vllm_preflight.recommend.sizing import resolve_for
from vllm_preflight.reports.model import hardware_report, model_report
from vllm_preflight.reports.startup import startup_report

Progress = Callable[[str], None]

# What the answer lists of a launch, in vLLM's names.
_ARGUMENTS = (
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "max_model_len",
    "gpu_memory_utilization",
    "max_num_seqs",
    "max_num_batched_tokens",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "data_parallel_size",
    "enable_expert_parallel",
    "enforce_eager",
    "enable_prefix_caching",
    "async_scheduling",
)


def predict_startup(
    request: StartupRequest,
    *,
    model: Model | None = None,
    hardware: Hardware | None = None,
    progress: Progress | None = None,
) -> StartupResponse:
    """Simulate the launch and say what vLLM would print, or how it would fail.

    `model` and `hardware` save reading them again when the caller has them. An
    architecture that is not understood is an answer (failure kind "unsupported").

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    parsed = ParsedCommand({}) if request.command is None else parse_command(request.command)
    request = with_command(request, parsed)
    hardware = hardware or select_hardware(request)
    try:
        model = model or load_served(request.model, revision=request.revision, progress=progress)
        model = override_parameters(model, request.params_b)
        model = override_config(model, parsed.config_overrides)
        simulate = functools.partial(_simulate, model, hardware, parsed)
        startup = simulate(request)
    except UnsupportedArchitecture as error:
        return _unsupported(request, parsed, hardware, error)
    attempt = functools.partial(_attempt, simulate, hardware, request)
    remedies = startup_remedies(request, startup, attempt)
    warnings = [*parsed.warnings, *hardware.notes, *model.notes, *startup.launch.warnings]
    if parsed.unknown:
        warnings.append(f"No effect on memory known of: {', '.join(parsed.unknown)}.")
    return StartupResponse(
        summary=_summary(model, hardware, startup),
        model=model_report(model, startup.launch, hardware.capability),
        hardware=hardware_report(hardware, startup.launch),
        arguments=_arguments(request, startup.launch),
        defaulted=[name for name in _ARGUMENTS if name in startup.launch.defaulted],
        startup=startup_report(startup, model, remedies),
        command=_command(request, parsed),
        warnings=warnings,
        next_steps=_next_steps(startup, remedies),
    )


def with_command(request: StartupRequest, parsed: ParsedCommand) -> StartupRequest:
    """`request` with the command's arguments as fields of it.

    Raises:
        InvalidRequest: a field and the command disagree, or neither names a model.
    """
    if request.command is None:
        return request
    given = _given(request)
    for name, value in parsed.fields.items():
        if name in given and given[name] != value:
            raise InvalidRequest(
                f"{name} is {given[name]!r} as a field and {value!r} in the command.",
                "Give it once.",
            )
    merged = validate_request(
        StartupRequest, {**parsed.fields, **given, "command": request.command}
    )
    if not merged.model:
        raise InvalidRequest("The command names no model.", "Write: vllm serve MODEL ….")
    return merged


def _given(request: StartupRequest) -> dict[str, Any]:
    """What the request says beside the command; a tool's own fields are not vLLM's."""
    names = request.model_fields_set & (StartupRequest.model_fields.keys() - {"command"})
    given = {name: getattr(request, name) for name in sorted(names)}
    # A field that is null is a field that is not given.
    return {name: value for name, value in given.items() if value is not None}


def _simulate(
    model: Model, hardware: Hardware, parsed: ParsedCommand, request: StartupRequest
) -> Startup:
    if request.free_vram_gb is None and hardware.free_bytes is not None:
        request = request.model_copy(update={"free_vram_gb": hardware.free_bytes / 2**30})
    launch = resolve_for(
        model, hardware, request, extra=parsed.extra, environment=parsed.environment
    )
    calibration = parse_calibration(request.calibration)
    return simulate_startup(
        model, hardware.gpu, hardware.capability, launch, calibration=calibration
    )


def _attempt(
    simulate: Callable[[StartupRequest], Startup],
    hardware: Hardware,
    request: StartupRequest,
    changes: Mapping[str, Any],
) -> Startup | None:
    """The launch with `changes`; None where that is no launch, or needs GPUs nobody has."""
    try:
        startup = simulate(request.model_copy(update=dict(changes)))
    except PreflightError:
        return None
    launch = startup.launch
    wanted = launch.world_size * launch.data_parallel_size
    return startup if hardware.gpus is None or wanted <= hardware.gpus else None


def _arguments(request: StartupRequest, launch: Launch) -> dict[str, Any]:
    values = {name: getattr(launch, name) for name in _ARGUMENTS}
    return {"model": request.model, **{k: v for k, v in values.items() if v is not None}}


def _command(request: StartupRequest, parsed: ParsedCommand) -> str:
    fields = _given(request)
    if request.quantization in {"auto", "none"}:
        # Words of this tool for "as the checkpoint says"; vLLM has no such value.
        fields.pop("quantization", None)
    return render_command(fields, parsed.extra, parsed.environment).text


def _summary(model: Model, hardware: Hardware, startup: Startup) -> str:
    launch, kv = startup.launch, startup.kv
    where = f"{launch.world_size * launch.data_parallel_size} × {hardware.gpu.name}"
    if startup.failure is not None:
        return f"Does not start on {where} ({startup.failure.kind}): {startup.failure.message}"
    if kv.tokens is None or kv.max_concurrency is None:
        return f"{model.id} starts on {where}; it keeps no KV cache."
    return (
        f"{model.id} starts on {where} with {kv.tokens:,} tokens of KV cache: "
        f"{kv.max_concurrency:.2f} requests of {launch.max_model_len:,} tokens at once."
    )


def _next_steps(startup: Startup, remedies: list[str]) -> list[str]:
    if startup.starts:
        return []
    if remedies:
        return [f"Start with {remedies[0]}."]
    return ["Ask plan_deployment which GPUs would do (vllm-preflight plan MODEL --gpu ...)."]


def _unsupported(
    request: StartupRequest,
    parsed: ParsedCommand,
    hardware: Hardware,
    error: UnsupportedArchitecture,
) -> StartupResponse:
    keys = f" The keys that matter: {', '.join(error.keys)}." if error.keys else ""
    return StartupResponse(
        summary=f"Unsupported: {error.message}",
        hardware=hardware_report(hardware, None),
        arguments={"model": request.model},
        startup=StartupReport(
            vllm_version=format_version(parse_version(request.vllm_version)),
            starts=False,
            failure=Failure(
                kind="unsupported",
                message=f"{error.message}{keys} Nothing is predicted rather than guessed.",
                remedies=[],
            ),
        ),
        command=_command(request, parsed),
        warnings=[*parsed.warnings],
        next_steps=[error.hint] if error.hint else [],
    )
