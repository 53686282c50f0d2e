"""Predicted against measured start-ups: one `Grade` per case, and what they amount to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median
from typing import Literal

from benchmarks.inputs import Inputs

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.base.units import BYTES_TO_GIB, gib_to_bytes
from vllm_preflight.launch.launch import Version
from vllm_preflight.memory.kv.cache import kv_plan
from vllm_preflight.memory.overhead import compute_overhead
from vllm_preflight.memory.runtime.coefficients import Coefficients
from vllm_preflight.memory.startup import Startup, requested_bytes, simulate_startup

CLOSE = 0.05
LATE_FAILURES = ("out_of_memory_after_sizing", "mamba_blocks_too_few")
# The first three are right.
Verdict = Literal["starts", "refused", "warned", "refused wrongly", "missed"]
RIGHT: tuple[Verdict, ...] = ("starts", "refused", "warned")
Capability = tuple[int, int]


@dataclass(frozen=True)
class Grade:
    """One case predicted. Errors are predicted − measured; None where nothing was printed.

    `tokens` is relative, `activation` too; the others are GiB. `inside` says whether
    the measured available memory lies in the 80 % interval. `starts` is (predicted,
    measured); `warned` says that a start was predicted with a warning that it may run out
    of memory after the cache was sized. `phase` decides the activation peak.
    """

    inputs: Inputs
    tokens: float | None
    weights: float | None
    available: float | None
    activation: float | None
    non_torch: float | None
    inside: bool | None
    starts: tuple[bool, bool] | None
    warned: bool
    phase: str
    probability: float | None = None

    @property
    def verdict(self) -> Verdict | None:
        """How prediction and outcome compare; a warned death after sizing is foreseen."""
        if self.starts is None:
            return None
        predicted, measured = self.starts
        if predicted and measured:
            return "starts"
        if not predicted and not measured:
            return "refused"
        if not predicted:
            return "refused wrongly"
        return "warned" if self.warned else "missed"

    @property
    def source(self) -> str:
        """Repository or thread."""
        return self.inputs.case.source

    @property
    def version(self) -> Version:
        """The vLLM release."""
        return self.inputs.launch.version

    @property
    def family(self) -> str:
        """The config's model type."""
        return self.inputs.model.architecture.model_type


@dataclass(frozen=True)
class Summary:
    """What a set of grades amounts to; shares and relative errors as fractions.

    `coverage` counts cases, `source_coverage` sources, each by the share of its cases.
    """

    cases: int
    token_cases: int
    tokens_median: float | None
    tokens_mean: float | None
    tokens_max: float | None
    tokens_close: float | None
    over_promised: float | None
    verdicts: int
    verdicts_right: float | None
    available_median: float | None
    weights_median: float | None
    activation_median: float | None
    non_torch_median: float | None
    coverage: float | None
    source_coverage: float | None


def capability_of(inputs: Inputs) -> Capability:
    """The GPU's compute capability; Ampere's where the run does not name its GPU."""
    return inputs.gpu.compute_capability or (8, 0)


def grade(inputs: Inputs, coefficients: Coefficients) -> Grade | None:
    """The case under `coefficients`; None when the engine refuses its architecture."""
    try:
        startup = simulate_startup(
            inputs.model,
            inputs.gpu,
            capability_of(inputs),
            inputs.launch,
            coefficients=coefficients,
        )
    except UnsupportedArchitecture:
        return None
    seen = inputs.case.observed
    weights = startup.weights.fullest.allocated / BYTES_TO_GIB
    activation = startup.runtime.activation_bytes / BYTES_TO_GIB
    non_torch = startup.runtime.non_torch_bytes / BYTES_TO_GIB
    seen_non_torch = seen.non_torch_gib
    if seen_non_torch is None and seen.consumed_gib is not None and seen.weights_gib is not None:
        seen_non_torch = seen.consumed_gib - seen.weights_gib
    return Grade(
        inputs=inputs,
        tokens=_relative(startup.kv.tokens if startup.kv else None, seen.kv_cache_tokens),
        weights=None if seen.weights_gib is None else weights - seen.weights_gib,
        available=_available_error(startup, inputs),
        activation=_relative(activation, seen.activation_peak_gib),
        non_torch=None if seen_non_torch is None else non_torch - seen_non_torch,
        inside=_inside(startup, inputs),
        starts=None
        if inputs.case.starts is None
        else (startup.failure is None, inputs.case.starts),
        warned=any("out of memory" in text for text in startup.late_warnings),
        phase=startup.runtime.activation_phase,
        probability=startup.start_probability,
    )


def _relative(predicted: float | None, measured: float | None) -> float | None:
    if predicted is None or not measured:
        return None
    return predicted / measured - 1


def _available_error(startup: Startup, inputs: Inputs) -> float | None:
    measured = inputs.case.observed.available_kv_gib
    return None if measured is None else startup.available_bytes / BYTES_TO_GIB - measured


def _inside(startup: Startup, inputs: Inputs) -> bool | None:
    measured = inputs.case.observed.available_kv_gib
    if measured is None:
        return None
    low, high = (edge / BYTES_TO_GIB for edge in startup.available_interval)
    # Printed to two decimals.
    return low - 0.005 <= measured <= high + 0.005


# A simpler rule: bytes per GPU set aside beside the weights.
Baseline = Callable[[Inputs], int]


def _overhead_formula(inputs: Inputs) -> int:
    ranks = inputs.launch.tensor_parallel_size
    return compute_overhead(inputs.gpu.visible_bytes * ranks, ranks) // ranks


BASELINES: dict[str, Baseline] = {
    "2 GiB": lambda inputs: gib_to_bytes(2),
    "10 % of the GPU": lambda inputs: inputs.gpu.visible_bytes // 10,
    "the sizing formula": _overhead_formula,
}


def baseline_grade(inputs: Inputs, coefficients: Coefficients, rule: Baseline) -> Grade | None:
    """The case with `rule` in place of the runtime model; weights and cache stay ours."""
    graded = grade(inputs, coefficients)
    if graded is None:
        return None
    startup = simulate_startup(
        inputs.model, inputs.gpu, capability_of(inputs), inputs.launch, coefficients=coefficients
    )
    requested = requested_bytes(inputs.launch, inputs.gpu)
    available = requested - startup.weights.fullest.allocated - rule(inputs)
    if inputs.launch.kv_cache_memory_bytes is not None:
        available = inputs.launch.kv_cache_memory_bytes
    plan = kv_plan(inputs.model.architecture, inputs.launch, capability_of(inputs), available)
    seen = inputs.case.observed
    starts = available > 0 and plan.fits and not inputs.launch.problems
    return Grade(
        inputs=inputs,
        tokens=_relative(plan.tokens, seen.kv_cache_tokens),
        weights=graded.weights,
        available=None
        if seen.available_kv_gib is None
        else available / BYTES_TO_GIB - seen.available_kv_gib,
        activation=None,
        non_torch=None,
        inside=None,
        starts=None if inputs.case.starts is None else (starts, inputs.case.starts),
        warned=False,
        phase="",
    )


@dataclass(frozen=True)
class Reliability:
    """Start-ups whose predicted probability lies in one range: how many, and what came."""

    low: float
    high: float
    cases: int
    predicted: float
    started: float


def reliability(
    grades: Sequence[Grade], edges: Sequence[float] = (0, 0.05, 0.5, 0.95, 0.99, 1)
) -> list[Reliability]:
    """Predicted against observed starts, by ranges of the predicted probability.

    A start that died after its cache was sized counts as one that passed the checks the
    probability is of.
    """
    known = [
        (item.probability, item.starts[1] or item.inputs.case.failure in LATE_FAILURES)
        for item in grades
        if item.starts is not None and item.probability is not None
    ]
    found: list[Reliability] = []
    for low, high in pairwise(edges):
        inside = [
            (probability, started)
            for probability, started in known
            if low <= probability < high or (high == 1 and probability == 1)
        ]
        if inside:
            predicted = mean(probability for probability, _ in inside)
            started = mean(started for _, started in inside)
            found.append(Reliability(low, high, len(inside), predicted, started))
    return found


def summarise(grades: Sequence[Grade]) -> Summary:
    """The figures of a set of grades; None where no case has them."""
    tokens = [item.tokens for item in grades if item.tokens is not None]
    sizes = [abs(value) for value in tokens]
    verdicts = [verdict for item in grades if (verdict := item.verdict) is not None]
    inside = [item.inside for item in grades if item.inside is not None]
    return Summary(
        cases=len(grades),
        token_cases=len(tokens),
        tokens_median=median(sizes) if sizes else None,
        tokens_mean=mean(sizes) if sizes else None,
        tokens_max=max(sizes, default=None),
        tokens_close=_share([value <= CLOSE for value in sizes]),
        over_promised=_share([value > CLOSE for value in tokens]),
        verdicts=len(verdicts),
        verdicts_right=_share([verdict in RIGHT for verdict in verdicts]),
        available_median=_median_size([item.available for item in grades]),
        weights_median=_median_size([item.weights for item in grades]),
        activation_median=_median_size([item.activation for item in grades]),
        non_torch_median=_median_size([item.non_torch for item in grades]),
        coverage=_share(inside),
        source_coverage=_by_source(grades),
    )


def _by_source(grades: Sequence[Grade]) -> float | None:
    found: dict[str, list[bool]] = {}
    for item in grades:
        if item.inside is not None:
            found.setdefault(item.source, []).append(item.inside)
    return mean(mean(flags) for flags in found.values()) if found else None


def _share(flags: Sequence[bool]) -> float | None:
    return mean(flags) if flags else None


def _median_size(values: Sequence[float | None]) -> float | None:
    sizes = [abs(value) for value in values if value is not None]
    return median(sizes) if sizes else None
