"""How a start-up fails: which of vLLM's checks, and what it says, with our numbers.

The sentences follow vLLM's, so that a prediction and a real log can be laid side by side
(vLLM 0.33 v1/worker/utils.py, v1/core/kv_cache_planning.py, v1/worker/gpu/model_runner.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.contract.check import FailureKind
from vllm_preflight.launch.launch import Launch, LaunchProblem
from vllm_preflight.memory.kv.cache import KvPlan


@dataclass(frozen=True, slots=True)
class StartupFailure:
    """The check that fails and the sentence that says so.

    `remedies` are what vLLM's own refusal proposes; more are found by trying.
    """

    kind: FailureKind
    message: str
    remedies: tuple[str, ...] = ()


def refused(problems: tuple[LaunchProblem, ...]) -> StartupFailure:
    """What vLLM refuses before it loads, of the first kind; else what is not modelled here.

    What nobody here can say does not matter once vLLM refuses.
    """
    refusals = [problem for problem in problems if problem.kind != "not_modelled"] or problems
    return StartupFailure(
        refusals[0].kind,
        " ".join(problem.message for problem in refusals),
        tuple(remedy for problem in refusals for remedy in problem.remedies),
    )


def free_memory_below_request(
    launch: Launch, free: int, total: int, requested: int
) -> StartupFailure:
    """Other processes hold so much that the requested share is not free."""
    return StartupFailure(
        "free_memory_below_request",
        f"Free memory on device ({bytes_to_gib(free)}/{bytes_to_gib(total)} GiB) on startup is "
        f"less than desired GPU memory utilization ({launch.gpu_memory_utilization:g}, "
        f"{bytes_to_gib(requested)} GiB). Decrease GPU memory utilization or reduce GPU memory "
        "used by other processes.",
    )


def weights_do_not_fit(weights: int, free: int, runtime: str = "CUDA") -> StartupFailure:
    """The GPU runs out of memory while the weights are loaded; HIP says so on AMD's."""
    return StartupFailure(
        "weights_do_not_fit",
        f"{runtime} out of memory while loading: one GPU has {bytes_to_gib(free)} GiB free and the "
        f"weights take {bytes_to_gib(weights)} GiB of it.",
    )


def no_room_for_profiling(weights: int, runtime: int, free: int) -> StartupFailure:
    """The weights load, but the profiling run has no memory left."""
    return StartupFailure(
        "weights_do_not_fit",
        f"CUDA out of memory in the profiling run: the weights take {bytes_to_gib(weights)} GiB "
        f"of the {bytes_to_gib(free)} GiB free, and one batch needs {bytes_to_gib(runtime)} GiB "
        "more.",
    )


def no_kv_cache_memory(available: int) -> StartupFailure:
    """Weights and runtime memory leave nothing of the requested share."""
    return StartupFailure(
        "no_kv_cache_memory",
        "No available memory for the cache blocks "
        f"(available KV cache memory {bytes_to_gib(available)} GiB). Try increasing "
        "gpu_memory_utilization when initializing the engine.",
    )


def kv_cache_too_small(launch: Launch, kv: KvPlan) -> StartupFailure:
    """One request of max_model_len does not fit."""
    length = kv.estimated_max_model_len
    estimate = (
        f" Based on the available memory, the estimated maximum model length is {length}."
        if length
        else ""
    )
    return StartupFailure(
        "kv_cache_too_small",
        f"To serve at least one request with the model's max seq len ({launch.max_model_len}), "
        f"{bytes_to_gib(kv.needed_bytes)} GiB KV cache is needed, which is larger than the "
        f"available KV cache memory ({bytes_to_gib(kv.admissible_bytes)} GiB).{estimate} Try "
        "increasing gpu_memory_utilization or decreasing max_model_len when initializing the "
        "engine.",
    )


def mamba_blocks_too_few(launch: Launch, kv: KvPlan) -> StartupFailure:
    """Fewer state blocks than sequences: graphs for a full batch cannot be captured."""
    return StartupFailure(
        "mamba_blocks_too_few",
        f"max_num_seqs ({launch.max_num_seqs}) exceeds available Mamba cache blocks "
        f"({kv.num_blocks}). Each decode sequence requires one Mamba cache block, so CUDA graph "
        "capture cannot proceed.",
    )


def kv_cache_over_free(kv_cache: int, left: int) -> StartupFailure:
    """A size of the KV cache that was asked for is more than the GPU has beside the weights."""
    return StartupFailure(
        "out_of_memory_after_sizing",
        f"CUDA out of memory while the KV cache is allocated: it takes {bytes_to_gib(kv_cache)} "
        f"GiB, and {bytes_to_gib(left)} GiB are free beside the weights.",
    )
