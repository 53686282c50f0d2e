"""From a simulated start-up and a workload to the replica whose steady state is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.launch.launch import Launch, Speculation
from vllm_preflight.memory.kv.launch import request_shape
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.coefficients import Coefficients
from vllm_preflight.performance.kernels.lenders import (
    MEASURED_ARCHITECTURE,
    Borrowed,
    kernels_of,
)
from vllm_preflight.performance.machine import Machine, link_between, machine_of, missing_facts
from vllm_preflight.performance.reuse import hit_rate
from vllm_preflight.performance.steady import Limits, Replica
from vllm_preflight.performance.step.attention import UNBOUNDED
from vllm_preflight.performance.step.times import StepTimes
from vllm_preflight.performance.step.work import Work, stage_work
from vllm_preflight.performance.workload import Workload

# A GPU of which only the memory is known counts as this capability, as for memory.
_ASSUMED_CAPABILITY: ComputeCapability = (8, 0)
# Probability that a drafted token is accepted, by method, where none is given: between
# what model makers publish for their own prediction layers and for small draft models.
_ACCEPTANCE = {"mtp": 0.8, "eagle3": 0.7, "eagle": 0.65, "medusa": 0.6, "ngram": 0.4}
_OTHER_ACCEPTANCE = 0.6
# Methods that draft by looking up text, at no cost on the GPU.
_LOOKUP_METHODS = ("ngram", "suffix")
# What a draft head of one layer costs of the model's own step, where its weights are not
# known here (EAGLE and the like: one layer and the output head).
_DRAFT_LAYERS = 1.0
# Share of the KV pool that running requests fill before some are preempted and computed
# again; the rest is lost to blocks that are partly filled.
_POOL_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no estimate: the facts that are not known, as a sentence."""

    message: str


def acceptance_of(speculation: Speculation | None, workload: Workload) -> float:
    """The probability that a drafted token is accepted; 0 without speculation."""
    if speculation is None:
        return 0.0
    if workload.acceptance is not None:
        return workload.acceptance
    known = (rate for name, rate in _ACCEPTANCE.items() if name in speculation.method)
    return next(known, _OTHER_ACCEPTANCE)


@dataclass(frozen=True)
class Facts:
    """What of a launch, its GPU and a workload bears on speed, before any coefficient.

    `cached_requests` of the workload's mean length fit the KV pool of one replica.
    """

    launch: Launch
    machine: Machine
    borrowed: Borrowed
    work: Work
    workload: Workload
    cached_requests: float


def facts_of(
    model: Model,
    startup: Startup,
    workload: Workload,
    *,
    interconnect: str = "unknown",
    node_size: int | None = None,
) -> Facts | Missing:
    """The facts behind the speed of what `startup` leaves running, or what is missing.

    `interconnect` is as in `link_between`; `node_size` the GPUs of one machine, None where
    all are in one.
    """
    launch, gpu = startup.launch, startup.gpu
    if missing := missing_facts(gpu):
        return Missing(
            f"No speed is estimated: the {' and the '.join(missing)} of {gpu.name} "
            f"{'is' if len(missing) == 1 else 'are'} not known."
        )
    if _only_unmodelled(startup):
        if unknown := _unknown_there(startup):
            return Missing(f"No speed is estimated: {unknown}")
    elif startup.failure is not None and startup.failure.kind == "not_modelled":
        return Missing("No speed is estimated: whether the engine starts is not modelled.")
    elif not startup.starts:
        return Missing("No speed is estimated: the engine would not start.")
    if workload.prompt_tokens + workload.gen_tokens > launch.max_model_len:
        return Missing(
            f"No speed is estimated: {workload.prompt_tokens} + {workload.gen_tokens} tokens "
            f"are more than max_model_len {launch.max_model_len}."
        )
    workload = _with_reuse(workload, startup)
    ranks = launch.tensor_parallel_size
    sharing = launch.data_parallel_size if model.architecture.moe else 1
    link = link_between(gpu, ranks, interconnect, node_size)
    exchange = link_between(gpu, ranks * sharing if sharing > 1 else 1, interconnect, node_size)
    return Facts(
        launch,
        machine_of(gpu, link, exchange),
        kernels_of(gpu),
        _work_of(model, startup),
        workload,
        _cached_requests(model, startup, workload),
    )


def _only_unmodelled(startup: Startup) -> bool:
    """Whether nothing speaks against the launch but that its platform's rules are not known."""
    failure, problems = startup.failure, startup.launch.problems
    if platform_of(startup.gpu).modelled or failure is None:
        return False
    return failure.kind == "not_modelled" and len(problems) == 1


def _unknown_there(startup: Startup) -> str | None:
    """Why not even a rough speed is known on a platform whose memory is not modelled."""
    gpu = startup.gpu
    if gpu.architecture != MEASURED_ARCHITECTURE:
        return (
            f"no measured serving run shows how kernels of {gpu.name} do; of GPUs that are not "
            "NVIDIA's, only runs of the MI300X are known."
        )
    return None


# A start-up is asked for its speed under one workload after another.
@lru_cache(maxsize=64)
def _work_of(model: Model, startup: Startup) -> Work:
    gpu = startup.gpu
    capability = gpu.compute_capability or _ASSUMED_CAPABILITY
    amd = gpu.vendor == "AMD"
    return stage_work(model, startup.launch, capability, startup.weights.fullest, amd=amd)


def _with_reuse(workload: Workload, startup: Startup) -> Workload:
    """The workload with the share of its prompts that its own shape finds cached."""
    reuses = workload.system_prompt_tokens or workload.turns > 1
    if not reuses or workload.prefix_hit_rate or not startup.launch.enable_prefix_caching:
        return workload
    found = hit_rate(
        workload.prompt_tokens,
        workload.gen_tokens,
        system_prompt_tokens=workload.system_prompt_tokens,
        turns=workload.turns,
        block_size=startup.kv.pool.block_size,
    )
    return replace(workload, prefix_hit_rate=found)


def replica_of(facts: Facts, coefficients: Coefficients) -> Replica:
    """The replica that `facts` describe, at the speeds of `coefficients`."""
    launch, machine, workload = facts.launch, facts.machine, facts.workload
    drafted = launch.speculative_tokens
    prompt = workload.computed_tokens
    times = StepTimes.of(
        facts.work,
        launch,
        machine,
        facts.borrowed,
        coefficients,
        decoded=1.0 + drafted,
        context=workload.mean_context,
        prompt=prompt,
        cached=workload.prompt_tokens - prompt,
    )
    accepted = acceptance_of(launch.speculation, workload)
    yielded = (1 - accepted ** (drafted + 1)) / (1 - accepted) if accepted < 1 else drafted + 1.0

    def value(name: str) -> float:
        return coefficients.value(name, machine.gpu_class)

    return Replica(
        times=times,
        workload=workload,
        limits=Limits(
            sequences=float(launch.max_num_seqs),
            token_budget=float(launch.max_num_batched_tokens),
            cached_requests=facts.cached_requests,
        ),
        stages=launch.pipeline_parallel_size,
        decoded=1.0 + drafted,
        tokens_per_step=yielded if drafted else 1.0,
        draft_seconds=_draft_seconds(launch, facts.work, times, value("draft") * 1e-3),
        request_seconds=value("request") * 1e-3,
        server_seconds=value("server") * 1e-3,
        steps_ahead=value("steps_ahead") if launch.async_scheduling else 0.0,
    )


def _draft_seconds(launch: Launch, work: Work, times: StepTimes, each: float) -> float:
    """Seconds of drafting before each step: its layers, the head and `each`, once a token."""
    speculation = launch.speculation
    if speculation is None or speculation.method.startswith(_LOOKUP_METHODS):
        return 0.0
    layer = work.dense_bytes / work.layers * _DRAFT_LAYERS
    read = (work.draft_bytes or layer) + work.head_bytes
    return speculation.num_speculative_tokens * (read * times.draft_byte + each)


def _cached_requests(model: Model, startup: Startup, workload: Workload) -> float:
    """Requests of the mean length the workload's have while they run that the pool holds."""
    pool = startup.kv.pool
    # A decoding request has one token in flight; windows keep no more than themselves.
    shape = replace(
        request_shape(startup.launch, model.architecture),
        max_model_len=max(1, round(workload.mean_context)),
        in_flight_tokens=1,
    )
    blocks = pool.blocks_per_request(shape)
    if not blocks:
        return UNBOUNDED
    return max(1.0, startup.kv.num_blocks * _POOL_SHARE / blocks)
