"""One launch of a plan: the request's arguments with some of them chosen, simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.hardware.gpu import ComputeCapability, Gpu
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.launch.arguments import ParsedCommand
from vllm_preflight.launch.further import NOTHING_FURTHER, Further
from vllm_preflight.launch.launch import Launch, LaunchProblem
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.launch.speculation.drafting import find_drafting
from vllm_preflight.launch.surroundings import runs_own_image, surrounding_problems
from vllm_preflight.memory.readings import answered_startup
from vllm_preflight.memory.runtime.calibration import parse_calibration
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.constraints import precision_problems
from vllm_preflight.recommend.layouts import Layout

_SHARED = tuple(name for name in StartupRequest.model_fields if name in PlanRequest.model_fields)


def resolve_for(
    model: Model, gpu: Gpu, capability: ComputeCapability, request: StartupRequest, **given: Any
) -> Launch:
    """`request` resolved for the model and the GPU; `given` as resolve_launch takes it.

    Quantised weights that the GPU has no kernels for, or that do not divide over the ranks,
    are among the launch's problems.
    """
    launch = resolve_launch(
        request,
        model.architecture,
        gpu,
        config=model.config,
        checkpoint_kv_cache_dtype=model.quantization.kv_cache_dtype,
        drafting=find_drafting(model, request.speculative_config),
        **given,
    )
    found = precision_problems(model, launch, capability)
    return replace(launch, problems=(*launch.problems, *found)) if found else launch


def _resolve_parsed(
    model: Model,
    gpu: Gpu,
    capability: ComputeCapability,
    request: StartupRequest,
    parsed: ParsedCommand,
) -> Launch:
    launch = resolve_for(
        model,
        gpu,
        capability,
        request,
        extra=parsed.extra,
        environment=parsed.environment,
        batch_runner=parsed.batch_runner,
    )
    return replace(launch, own_image=True) if runs_own_image(parsed) else launch


def simulate_parsed(
    model: Model, hardware: Hardware, parsed: ParsedCommand, request: StartupRequest
) -> Startup:
    """The start-up of a request that holds the fields of a command that was read.

    Raises:
        PreflightError: a value that no launch has, or a model that is not understood.
    """
    if request.free_vram_gb is None and hardware.free_bytes is not None:
        request = request.model_copy(update={"free_vram_gb": hardware.free_bytes / 2**30})
    gpu, capability = hardware.gpu, hardware.capability
    launch = _resolve_parsed(model, gpu, capability, request, parsed)
    there = None if hardware.nodes > 1 else hardware.gpus
    around = tuple(surrounding_problems(parsed, launch, model.architecture, gpu, there))
    if around:
        launch = replace(launch, problems=(*launch.problems, *around))
    calibration = parse_calibration(request.calibration)
    return answered_startup(model, gpu, capability, launch, calibration=calibration)


@dataclass(frozen=True)
class Bench:
    """Where launches of one plan are tried: everything but layout and settings is fixed.

    `further` is what the request's `vllm_args` say; its fields are in `request` already.
    """

    model: Model
    hardware: Hardware
    request: PlanRequest
    further: Further = NOTHING_FURTHER

    def simulate(self, layout: Layout, fields: Mapping[str, Any]) -> Startup:
        """The start-up with these arguments beside what the request pins.

        Raises:
            PreflightError: a value that no launch has, or a model that is not understood.
        """
        free = self.request.free_vram_gb
        if free is None and self.hardware.free_bytes is not None:
            free = self.hardware.free_bytes / 2**30
        arguments: dict[str, Any] = {
            **self._pinned,
            "tensor_parallel_size": layout.tensor,
            "pipeline_parallel_size": layout.pipeline,
            "data_parallel_size": layout.replicas,
            "enable_expert_parallel": layout.expert_parallel or None,
            "free_vram_gb": free,
        }
        if layout.decode_context > 1:
            arguments["decode_context_parallel_size"] = layout.decode_context
        arguments |= fields
        gpu, capability = self.hardware.gpu, self.hardware.capability
        if self.further is NOTHING_FURTHER and self.request.speculative_config is None:
            return _kept_startup(self.model, gpu, capability, tuple(arguments.items()))
        return _startup(self.model, gpu, capability, arguments, self.further)

    @cached_property
    def _pinned(self) -> Mapping[str, Any]:
        """What the request says of vLLM's arguments."""
        shared = {name: getattr(self.request, name) for name in _SHARED}
        return {**shared, "command": None}


# A search comes back to the same launches, and so do questions about the same model. Not where
# a draft is looked for, which may be found later.
@lru_cache(maxsize=256)
def _kept_startup(
    model: Model,
    gpu: Gpu,
    capability: ComputeCapability,
    arguments: tuple[tuple[str, Any], ...],
) -> Startup:
    return _startup(model, gpu, capability, dict(arguments), NOTHING_FURTHER)


def _startup(
    model: Model,
    gpu: Gpu,
    capability: ComputeCapability,
    arguments: Mapping[str, Any],
    further: Further,
) -> Startup:
    # Arguments of a checked request: nothing is validated again.
    request = StartupRequest.model_construct(**arguments)
    parsed = further.parsed
    launch = _resolve_parsed(model, gpu, capability, request, parsed)
    if parsed.refusal is not None:
        problem = LaunchProblem(parsed.refusal.message, tuple(parsed.refusal.remedies))
        launch = replace(launch, problems=(problem, *launch.problems))
    calibration = parse_calibration(request.calibration)
    return answered_startup(model, gpu, capability, launch, calibration=calibration)
