"""The start-up of one engine: the checks vLLM makes, in its order, and what it prints.

Source: vLLM 0.33 v1/worker/gpu_worker.py (init_device, determine_available_memory),
v1/worker/utils.py (request_memory), v1/core/kv_cache_planning.py
(_check_enough_kv_cache_memory).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import NormalDist

from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.contract.explain import Calibration
from vllm_preflight.hardware.gpu import ComputeCapability, Gpu
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory import failures
from vllm_preflight.memory.failures import StartupFailure
from vllm_preflight.memory.kv.cache import KvPlan, kv_plan
from vllm_preflight.memory.late_failures import late_failure_warnings
from vllm_preflight.memory.runtime.calibration import calibrate, why_not_applied
from vllm_preflight.memory.runtime.coefficients import Coefficients
from vllm_preflight.memory.runtime.exchange import uncounted_exchange
from vllm_preflight.memory.runtime.runtime import RuntimeMemory, runtime_memory
from vllm_preflight.memory.start_probability import start_probability
from vllm_preflight.memory.weights.weights import RankWeights, weights_per_rank
from vllm_preflight.models.model import Model

# Since 0.14 (not yet in 0.11.2) the requested share is rounded up to a whole byte.
_CEILED_REQUEST = (0, 14, 0)
# What is open is mentioned where it moves this share of what the KV cache has.
_NOTABLE_SHARE = 0.02
# The check of free memory at start exists since 0.9 (not yet in 0.8.5).
_FREE_MEMORY_CHECK = (0, 9, 0)
# Fewer state blocks than sequences: up to 0.19 capture sizes were capped, later releases
# refuse (start-up logs of 2026-03 and 2026-08).
_MAMBA_BLOCK_CHECK = (0, 20, 0)
# Failures that no amount of memory changes.
_CERTAIN = frozenset(
    {"invalid_arguments", "unsupported", "not_modelled", "free_memory_below_request"}
)


@dataclass(frozen=True, eq=False)
class Startup:
    """A simulated start-up; bytes per GPU. Equal only to itself, so it can key caches.

    Attributes:
        launch: the launch, its length lowered where `--max-model-len auto` was asked.
        requested_bytes: utilisation × what CUDA shows.
        available_bytes: what is left for the KV cache on the emptiest rank.
        available_interval: its 80 % interval.
        kv: the cache that comes out of it.
        failure: the first check that fails, None when it starts.
        start_probability: probability that no check fails, from the spread of the
            predicted memory.
        available: what each pipeline stage leaves for the cache, in bytes per GPU.
        notes: what was said of the launch and could not be used.
        open_points: what the launch leaves open and how much that moves, a sentence each.
    """

    launch: Launch
    gpu: Gpu
    weights: RankWeights
    runtime: RuntimeMemory
    requested_bytes: int
    available_bytes: int
    available_interval: tuple[int, int]
    kv: KvPlan
    failure: StartupFailure | None
    start_probability: float
    model: Model = field(repr=False)
    capability: ComputeCapability
    available: tuple[int, ...]
    notes: tuple[str, ...] = ()
    open_points: tuple[str, ...] = ()

    # What only an answer needs is worked out when it is asked for.

    @cached_property
    def kv_low(self) -> KvPlan:
        """The cache at the low end of the interval, which is what may be promised."""
        return self._kv_at(self.available_interval[0])

    @cached_property
    def kv_high(self) -> KvPlan:
        """The cache at the high end of the interval."""
        return self._kv_at(self.available_interval[1])

    @cached_property
    def longest(self) -> int:
        """The longest max_model_len, up to the model's own, that would start."""
        return _longest(self.model, self.capability, self.launch, self.kv, self.available)

    @cached_property
    def late_warnings(self) -> tuple[str, ...]:
        """Failures seen after this check, with their rule."""
        late = _late_warnings(
            self.launch, self.gpu, self.runtime, self.weights, self.kv, self.failure
        )
        return (*self.notes, *late)

    def _kv_at(self, emptiest: int) -> KvPlan:
        shift = emptiest - min(self.available)
        available = tuple(left + shift for left in self.available)
        return _kv_plan(self.model, self.capability, self.launch, available)

    @cached_property
    def most(self) -> KvPlan | None:
        """The cache that no GPU exceeds where AMD's vLLM is all that is not modelled.

        What utilisation leaves beside the weights: everything else takes from it.
        """
        failure = self.failure
        if (
            failure is None
            or failure.kind != "not_modelled"
            or not _is_rocm_alone(self.launch, self.gpu)
        ):
            return None
        left = tuple(self.requested_bytes - stage.allocated for stage in self.weights.stages)
        given = self.launch.kv_cache_memory_bytes
        left = left if given is None else (given,) * len(left)
        return _kv_plan(self.model, self.capability, self.launch, left)

    @property
    def starts(self) -> bool:
        """Whether the engine reaches a serving state."""
        return self.failure is None

    @property
    def tokens_interval(self) -> tuple[int, int] | None:
        """The 80 % interval of the KV cache in tokens; None for a model that caches none."""
        low, high = self.kv_low.tokens, self.kv_high.tokens
        return None if low is None or high is None else (low, high)


def simulate_startup(
    model: Model,
    gpu: Gpu,
    capability: ComputeCapability,
    launch: Launch,
    *,
    coefficients: Coefficients | None = None,
    calibration: Calibration | None = None,
) -> Startup:
    """What vLLM does with `launch` on GPUs like `gpu`.

    `coefficients` replace the fitted ones, for grading a fit on runs it has not seen.
    `calibration` is what a log of the same launch measured; one of another is not applied.

    Raises:
        UnsupportedArchitecture: the model's scheme or layers are not understood.
    """
    weights = weights_per_rank(model, launch, capability)
    runtime = runtime_memory(model, launch, gpu, coefficients)
    ignored = calibration and why_not_applied(calibration, model.id, gpu, launch)
    if calibration and not ignored:
        weights, runtime = calibrate(calibration, weights, runtime)
    verdict = judge_startup(model, gpu, capability, launch, weights, runtime)
    launch, kv, available, failure = (
        verdict.launch,
        verdict.kv,
        verdict.available,
        verdict.failure,
    )
    emptiest = min(available)
    low, high = emptiest, emptiest
    if launch.kv_cache_memory_bytes is None:
        low, high = emptiest + runtime.low_bytes, emptiest + runtime.high_bytes
    return Startup(
        launch=launch,
        gpu=gpu,
        weights=weights,
        runtime=runtime,
        requested_bytes=verdict.requested_bytes,
        available_bytes=emptiest,
        available_interval=(low, high),
        kv=kv,
        failure=failure,
        start_probability=_start_probability(launch, gpu, failure, kv, emptiest, runtime),
        model=model,
        capability=capability,
        available=available,
        notes=(ignored,) if ignored else (),
        open_points=(*_open_points(runtime, emptiest), *_uncounted(model, launch)),
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checks' outcome alone: what a search over many launches asks for.

    `available` is what each pipeline stage leaves for the KV cache, in bytes per GPU.
    """

    launch: Launch
    requested_bytes: int
    available: tuple[int, ...]
    kv: KvPlan
    failure: StartupFailure | None


def judge_startup(
    model: Model,
    gpu: Gpu,
    capability: ComputeCapability,
    launch: Launch,
    weights: RankWeights,
    runtime: RuntimeMemory,
) -> Verdict:
    """The first failed check and the KV cache of a launch whose memory is known already."""
    requested = requested_bytes(launch, gpu)
    available = _available(launch, weights, runtime, requested)
    kv = _kv_plan(model, capability, launch, available)
    if launch.max_model_len_auto and kv.estimated_max_model_len:
        launch = replace(launch, max_model_len=kv.estimated_max_model_len)
        kv = _kv_plan(model, capability, launch, available)
    failure = _first_failure(model, launch, gpu, weights, runtime, requested, min(available), kv)
    return Verdict(launch, requested, available, kv, failure)


def _open_points(runtime: RuntimeMemory, available: int) -> tuple[str, ...]:
    found: list[str] = []
    if _notable(runtime.first_start_bytes, available) and available > 0:
        found.append(
            "A first start, which still compiles, leaves up to "
            f"{bytes_to_gib(runtime.first_start_bytes)} GiB less for the KV cache; the figures are "
            "of a later one (compile_cache)."
        )
    if _notable(runtime.leaner_bytes, available):
        found.append(
            "Where FlashInfer is installed, as in vLLM's own image, its sampler leaves "
            f"{bytes_to_gib(runtime.leaner_bytes)} GiB more for the KV cache: a command that "
            "starts the image says so, VLLM_USE_FLASHINFER_SAMPLER=0 that it is not."
        )
    return tuple(found)


def _uncounted(model: Model, launch: Launch) -> tuple[str, ...]:
    backend = uncounted_exchange(model.architecture, launch)
    if backend is None:
        return ()
    return (
        f"The buffers through which --all2all-backend {backend} exchanges tokens of experts are "
        "not counted: they take their room from the KV cache.",
    )


def _notable(more: int, available: int) -> bool:
    return more > 0 and more >= _NOTABLE_SHARE * available


def _late_warnings(
    launch: Launch,
    gpu: Gpu,
    runtime: RuntimeMemory,
    weights: RankWeights,
    kv: KvPlan,
    failure: StartupFailure | None,
) -> list[str]:
    """Warnings about a cache that was sized; none where vLLM stops before."""
    if failure is not None:
        return []
    kv_bytes = kv.num_blocks * kv.pool.bytes_per_block
    return late_failure_warnings(launch, gpu, runtime, kv_bytes, weights.fullest.allocated)


def requested_bytes(launch: Launch, gpu: Gpu) -> int:
    """The memory vLLM asks for: a share of all that CUDA shows, free or not."""
    share = gpu.visible_bytes * launch.gpu_memory_utilization
    return math.ceil(share) if launch.version >= _CEILED_REQUEST else int(share)


def _available(
    launch: Launch, weights: RankWeights, runtime: RuntimeMemory, requested: int
) -> tuple[int, ...]:
    """What each pipeline stage leaves for the KV cache; negative when short.

    --kv-cache-memory-bytes replaces it, whatever the utilisation.
    """
    if launch.kv_cache_memory_bytes is not None:
        return (launch.kv_cache_memory_bytes,) * len(weights.stages)
    outside = runtime.budget_bytes - runtime.activation_bytes
    return tuple(
        requested - stage.allocated - activation - outside
        for stage, activation in zip(weights.stages, runtime.stage_activation_bytes, strict=True)
    )


def _kv_plan(
    model: Model, capability: ComputeCapability, launch: Launch, available: tuple[int, ...]
) -> KvPlan:
    """The cache that the emptiest rank allows: every rank gets its number of blocks."""
    plan = kv_plan(model.architecture, launch, capability, min(available))
    costs = plan.pool.bytes_per_block_by_stage
    if len(costs) == 1 or min(available) <= 0 or not plan.pool.bytes_per_block:
        return plan
    blocks = min(left // cost for left, cost in zip(available, costs, strict=True) if cost)
    return kv_plan(model.architecture, launch, capability, blocks * plan.pool.bytes_per_block)


def _first_failure(
    model: Model,
    launch: Launch,
    gpu: Gpu,
    weights: RankWeights,
    runtime: RuntimeMemory,
    requested: int,
    available: int,
    kv: KvPlan,
) -> StartupFailure | None:
    """The first of vLLM's checks that fails, in the order it makes them."""
    total = gpu.visible_bytes
    free = total if launch.free_bytes is None else min(launch.free_bytes, total)
    if _is_rocm_alone(launch, gpu) and weights.fullest.allocated > free:
        return failures.weights_do_not_fit(weights.fullest.allocated, free, "HIP")
    if launch.problems:
        return failures.refused(launch.problems)
    if free < requested and launch.version >= _FREE_MEMORY_CHECK:
        return failures.free_memory_below_request(launch, free, total, requested)
    loaded = weights.fullest.allocated
    if loaded > free:
        return failures.weights_do_not_fit(loaded, free)
    profiled = runtime.activation_bytes + runtime.non_torch_bytes
    if loaded + profiled > free:
        return failures.no_room_for_profiling(loaded, profiled, free)
    if not kv.pool.bytes_per_block:
        return None
    if available <= 0:
        return failures.no_kv_cache_memory(available)
    if not kv.fits:
        return failures.kv_cache_too_small(launch, kv)
    kv_bytes = kv.num_blocks * kv.pool.bytes_per_block
    if loaded + kv_bytes > free:
        return failures.kv_cache_over_free(kv_bytes, free - loaded)
    if (
        model.architecture.is_hybrid
        and not launch.enforce_eager
        and launch.version >= _MAMBA_BLOCK_CHECK
        and kv.num_blocks < launch.max_num_seqs
    ):
        return failures.mamba_blocks_too_few(launch, kv)
    return None


def _is_rocm_alone(launch: Launch, gpu: Gpu) -> bool:
    """Whether AMD's vLLM is all that is not modelled: weights and cache are as on CUDA."""
    alone = [problem.kind for problem in launch.problems] == ["not_modelled"]
    return alone and platform_of(gpu).name == "rocm"


def _start_probability(
    launch: Launch,
    gpu: Gpu,
    failure: StartupFailure | None,
    kv: KvPlan,
    available: int,
    runtime: RuntimeMemory,
) -> float:
    """Probability that the KV cache holds one request, given the spread of the memory.

    A refusal that no amount of memory changes has probability 0, and so has what fails where
    only such failures are known.
    """
    if failure is not None and (failure.kind in _CERTAIN or not platform_of(gpu).modelled):
        return 0.0
    # A length that vLLM chooses itself is one that fits, if any does.
    least = kv.pool.bytes_per_block if launch.max_model_len_auto else kv.admission_bytes
    margin = available - max(least, 1)
    if failure is not None and margin > 0:
        return 0.0
    # A cache whose size is given does not hang on what is predicted.
    if launch.kv_cache_memory_bytes is not None:
        return round(NormalDist().cdf(margin), 3)
    return round(start_probability(margin, gpu.visible_bytes, runtime), 3)


def _longest(
    model: Model,
    capability: ComputeCapability,
    launch: Launch,
    kv: KvPlan,
    available: tuple[int, ...],
) -> int:
    """The longest length that would start, up to the model's own maximum."""
    longest = max(model.architecture.max_position, launch.max_model_len)
    if not kv.fits or longest == launch.max_model_len:
        return kv.estimated_max_model_len
    whole = replace(launch, max_model_len=longest)
    return _kv_plan(model, capability, whole, available).estimated_max_model_len
