"""The profile pass in its own terms: peak over what was allocated before, and growth.

What a release prints is made of these (see `releases`); comparing them with vLLM's own run
needs them before it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.runtime.coefficients import load_coefficients
from vllm_preflight.memory.runtime.phases import FIRST_START, ProfilePhases
from vllm_preflight.memory.runtime.workspaces import IN_LIBRARY
from vllm_preflight.models.model import Model


@dataclass(frozen=True, slots=True)
class ProfiledMemory:
    """One stage's profile pass, in bytes: peak, growth, and the runner's own buffers."""

    phase: str
    peak: float
    growth: float
    buffers: float


def profiled_memory(model: Model, launch: Launch, gpu: Gpu, *, last: bool) -> ProfiledMemory:
    """What the pass of one pipeline stage allocates; `last` is the stage that samples.

    Without the copy that a compiler's first launch makes and what FlashInfer allocates
    inside: a simulated pass launches nothing.
    """
    passes = ProfilePhases(model, launch, gpu, load_coefficients())
    passes.rules = replace(passes.rules, consumed=False)
    if passes.in_kernel is not None and passes.in_kernel.name == IN_LIBRARY:
        passes.in_kernel = None
    first = not last or launch.pipeline_parallel_size == 1
    phases = passes.phases(first=first, last=last, cold=launch.compile_cache == "cold")
    alike = {name: phase for name, phase in phases.items() if name != FIRST_START}
    name, phase = max(alike.items(), key=lambda item: sum(part.bytes for part in item[1]))
    growth = passes.growth if last else passes.grown
    return ProfiledMemory(
        name,
        sum(part.bytes for part in phase),
        sum(part.bytes for part in (*growth, *passes.stage_buffers(first=first))),
        sum(part.bytes for part in passes.buffers()),
    )
