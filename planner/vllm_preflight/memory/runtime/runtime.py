"""What vLLM sets aside beside weights and KV cache: activations, driver memory, graphs.

`available KV cache = requested − weights − activation − non-torch (− CUDA graphs, where the
release charges them)`. Tensors are derived from the model and the launch; what no tensor
explains is fitted on start-ups of many sources (`coefficients.json`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from vllm_preflight.base.terms import Term
from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.runtime.bearing import RuntimeLaunch
from vllm_preflight.memory.runtime.coefficients import Coefficients, load_coefficients
from vllm_preflight.memory.runtime.contributions import Contribution, Phase
from vllm_preflight.memory.runtime.phases import RuntimeParts, runtime_parts
from vllm_preflight.memory.runtime.rules import rule_sentence
from vllm_preflight.models.model import Model

__all__ = ["Coefficients", "RuntimeMemory", "load_coefficients", "runtime_memory"]

# Standard deviations that hold 80 % of a normal distribution on either side.
EIGHTY_PERCENT = 1.2816


@dataclass(frozen=True)
class RuntimeMemory:
    """Predicted runtime memory of one GPU, in bytes.

    Attributes:
        activation_bytes: "torch peak memory increase" (0.28 and later: peak above what
            stays allocated), on the last pipeline stage, which also samples.
        stage_activation_bytes: the same for each pipeline stage, first to last.
        activation_phase: which phase of the profile pass decides the peak.
        first_start_bytes: what a start with an empty compile cache takes more than one
            with a full one; 0 where the launch says which it is.
        leaner_bytes: what it takes less where FlashInfer is installed; 0 where that does not
            matter or is known.
        non_torch_bytes: "non-torch forward increase memory"; from 0.27 on "consumed" −
            weights, with the buffers and workspaces that stay allocated.
        cuda_graph_bytes: vLLM's estimate where it is charged, else what capture takes.
        cuda_graph_spread_bytes: standard deviation of the graphs alone.
        cuda_graph_charged: whether it is taken from the KV cache's budget.
        outside_bytes: what the release charges to nothing: it has to fit in the share of
            the GPU that was not asked for.
        low_bytes, high_bytes: 80 % interval of (actual − predicted) available KV memory.
        spread_bytes: standard deviation of that difference.
        surprise_share, surprise_size: share of start-ups that lie far outside, and the median
            of how far, as a share of the GPU's memory.
        worded: what gives `terms`.
    """

    activation_bytes: int
    stage_activation_bytes: tuple[int, ...]
    activation_phase: str
    first_start_bytes: int
    leaner_bytes: int
    non_torch_bytes: int
    cuda_graph_bytes: int
    cuda_graph_spread_bytes: int
    cuda_graph_charged: bool
    outside_bytes: int
    low_bytes: int
    high_bytes: int
    spread_bytes: int
    surprise_share: float
    surprise_size: float
    worded: Callable[[], tuple[Term, ...]] = field(repr=False, compare=False)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """Every contribution, with formula, basis and source."""
        return self.worded()

    @property
    def budget_bytes(self) -> int:
        """What is taken from the requested memory besides the weights."""
        charged = self.cuda_graph_bytes if self.cuda_graph_charged else 0
        return self.activation_bytes + self.non_torch_bytes + charged


def runtime_memory(
    model: Model, launch: Launch, gpu: Gpu, coefficients: Coefficients | None = None
) -> RuntimeMemory:
    """Predict activation, non-torch and CUDA graph memory of one GPU, with an interval.

    `coefficients` replaces the shipped ones, for refitting. Source of the formulas:
    `phases` (vLLM's profile pass) and `shapes` (the tensors' widths).
    """
    return _runtime_memory(
        model, RuntimeLaunch.of(launch, model), gpu, coefficients or load_coefficients()
    )


@lru_cache(maxsize=256)
def _runtime_memory(
    model: Model, sharing: RuntimeLaunch, gpu: Gpu, coefficients: Coefficients
) -> RuntimeMemory:
    launch = sharing.launch
    parts = runtime_parts(model, launch, gpu, coefficients)
    name, phase = peak_phase(parts.last)
    graphs = peak_phase(parts.graphs)[1] if parts.graphs else ()
    charged = bool(graphs) and launch.cudagraph_memory_charged
    spread = interval_spread(launch, parts, coefficients, phase=phase, charged=charged)
    width = round(EIGHTY_PERCENT * spread)
    stages = launch.pipeline_parallel_size
    activation, inner = _total(phase), _total(peak_phase(parts.inner)[1])
    first_start = _first_start(launch, parts, activation if stages == 1 else inner)
    leaner = max(0, activation - _total(peak_phase(parts.leaner)[1])) if parts.leaner else 0
    return RuntimeMemory(
        activation_bytes=activation,
        stage_activation_bytes=(*[inner] * (stages - 1), activation),
        activation_phase=name,
        first_start_bytes=first_start,
        leaner_bytes=leaner,
        non_torch_bytes=_total(parts.non_torch),
        cuda_graph_bytes=_total(graphs),
        cuda_graph_spread_bytes=round(sum(part.spread_bytes for part in graphs)),
        cuda_graph_charged=charged,
        outside_bytes=_total(parts.outside),
        low_bytes=-width - first_start,
        high_bytes=width + leaner,
        spread_bytes=round(spread),
        surprise_share=coefficients.find("surprise_share", launch.version, parts.traits).value,
        surprise_size=coefficients.find("surprise_size", launch.version, parts.traits).value,
        # A search asks for the figures of many launches, and for the words of one.
        worded=lambda: (
            *_terms(launch, "activation", phase, f"largest phase: {name}"),
            *_terms(launch, "non_torch", parts.non_torch),
            *_terms(launch, "cuda_graph", graphs, "" if charged else "outside the budget"),
            *_terms(launch, "outside_the_budget", parts.outside, "charged to nothing"),
            *_first_start_term(first_start),
            *_leaner_term(leaner),
        ),
    )


def _first_start(launch: Launch, parts: RuntimeParts, warm: int) -> int:
    """What an empty compile cache takes more, where the launch does not say which it is."""
    if launch.compile_cache != "unknown" or not parts.first_start:
        return 0
    return max(0, _total(peak_phase(parts.first_start)[1]) - warm)


def _first_start_term(first_start: int) -> list[Term]:
    if not first_start:
        return []
    return [
        Term(
            name="first_start",
            formula="peak with an empty compile cache − peak of a later start (not counted)",
            basis="derived",
            source="vLLM 0.8.0 on: logs of one command twice (0.27.1), of a first stage (0.19.0)",
            bytes=first_start,
        )
    ]


def _leaner_term(leaner: int) -> list[Term]:
    if not leaner:
        return []
    return [
        Term(
            name="sampler_without_sorting",
            formula="peak with a sorted vocabulary − peak with FlashInfer's sampler (not counted)",
            basis="derived",
            source="vLLM 0.8.0 to before 0.11.1: v1/sample/ops/topk_topp_sampler.py, as installed",
            bytes=leaner,
        )
    ]


def peak_phase(phases: Mapping[str, Phase]) -> tuple[str, Phase]:
    """The phase that needs most, with its name."""
    name = max(phases, key=lambda key: sum(part.bytes for part in phases[key]))
    return name, phases[name]


def interval_spread(
    launch: Launch,
    parts: RuntimeParts,
    coefficients: Coefficients,
    *,
    phase: Phase,
    charged: bool,
) -> float:
    """Standard deviation of the budget in bytes: each group's spread, and what is left.

    Within a group the spreads add up, because its coefficients err together; groups are
    independent. `residual` is what remains between equal launches of different sources.
    """
    graphs = peak_phase(parts.graphs)[1] if charged else ()
    groups = [phase, parts.non_torch, graphs]
    spreads = [sum(part.spread_bytes for part in group) for group in groups]
    left = coefficients.find("residual", launch.version, parts.traits)
    scale = coefficients.find("interval_scale", launch.version, parts.traits).value
    return scale * math.hypot(*spreads, left.value * BYTES_TO_GIB)


def _total(phase: Phase) -> int:
    return round(sum(part.bytes for part in phase))


def _terms(launch: Launch, group: str, phase: Phase, note: str = "") -> list[Term]:
    suffix = f" ({note})" if note else ""
    return [_term(launch, f"{group}_{part.name}", part, suffix) for part in phase]


def _term(launch: Launch, name: str, part: Contribution, suffix: str) -> Term:
    found = part.coefficient
    return Term(
        name=name.replace("non_torch_non_torch", "non_torch").replace("cuda_graph_cuda", "cuda"),
        formula=part.formula + suffix,
        basis=found.basis if found else "derived",
        source=found.evidence
        if found
        else rule_sentence(part.name, launch.version, launch.model_runner),
        bytes=round(part.bytes),
    )
