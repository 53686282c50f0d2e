"""One launch of a plan: the request's arguments with some of them chosen, simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.launch.arguments import ParsedCommand
from vllm_preflight.launch.further import NOTHING_FURTHER, Further
from vllm_preflight.launch.launch import Launch, LaunchProblem
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.launch.speculation.drafting import find_drafting
from vllm_preflight.launch.surroundings import surrounding_problems
from vllm_preflight.memory.readings import answered_startup
from vllm_preflight.memory.runtime.calibration import parse_calibration
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.constraints import precision_problems
from vllm_preflight.recommend.layouts import Layout

_SHARED = tuple(name for name in StartupRequest.model_fields if name in PlanRequest.model_fields)


def startup_request(request: PlanRequest, **changes: Any) -> StartupRequest:
    """The plan's request as vLLM arguments, with `changes`; nothing is re-validated."""
    shared = {name: getattr(request, name) for name in _SHARED}
    return StartupRequest.model_construct(**{**shared, "command": None, **changes})


def resolve_for(model: Model, hardware: Hardware, request: StartupRequest, **given: Any) -> Launch:
    """`request` resolved for the model and the GPU; `given` as resolve_launch takes it.

    Quantised weights that the GPU has no kernels for, or that do not divide over the ranks,
    are among the launch's problems.
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
    found = precision_problems(model, launch, hardware.capability)
    return replace(launch, problems=(*launch.problems, *found)) if found else launch


def simulate_parsed(
    model: Model, hardware: Hardware, parsed: ParsedCommand, request: StartupRequest
) -> Startup:
    """The start-up of a request that holds the fields of a command that was read.

    Raises:
        PreflightError: a value that no launch has, or a model that is not understood.
    """
    if request.free_vram_gb is None and hardware.free_bytes is not None:
        request = request.model_copy(update={"free_vram_gb": hardware.free_bytes / 2**30})
    launch = resolve_for(
        model, hardware, request, extra=parsed.extra, environment=parsed.environment
    )
    there = None if hardware.nodes > 1 else hardware.gpus
    around = surrounding_problems(parsed, launch, model.architecture, hardware.gpu, there)
    launch = replace(launch, problems=(*launch.problems, *around))
    calibration = parse_calibration(request.calibration)
    return answered_startup(
        model, hardware.gpu, hardware.capability, launch, calibration=calibration
    )


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
        sizes = {
            "tensor_parallel_size": layout.tensor,
            "pipeline_parallel_size": layout.pipeline,
            "data_parallel_size": layout.replicas,
            "enable_expert_parallel": layout.expert_parallel or None,
        }
        if layout.decode_context > 1:
            sizes["decode_context_parallel_size"] = layout.decode_context
        free = self.request.free_vram_gb
        if free is None and self.hardware.free_bytes is not None:
            free = self.hardware.free_bytes / 2**30
        arguments = startup_request(self.request, **{**sizes, "free_vram_gb": free, **fields})
        launch = resolve_for(
            self.model,
            self.hardware,
            arguments,
            extra=self.further.parsed.extra,
            environment=self.further.parsed.environment,
        )
        if (refusal := self.further.parsed.refusal) is not None:
            problem = LaunchProblem(refusal.message, tuple(refusal.remedies))
            launch = replace(launch, problems=(problem, *launch.problems))
        return answered_startup(
            self.model,
            self.hardware.gpu,
            self.hardware.capability,
            launch,
            calibration=parse_calibration(self.request.calibration),
        )
