"""From a measured serving run to the start-up and workload whose speed is estimated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from benchmarks.serving_cases import ServingCase

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.launch.speculation.drafting import find_drafting
from vllm_preflight.memory.startup import Startup, simulate_startup
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization_requests import requested
from vllm_preflight.models.sources import load_model
from vllm_preflight.performance.coefficients import Coefficients, Metric
from vllm_preflight.performance.estimate import Performance, performance_of
from vllm_preflight.performance.harness import printed
from vllm_preflight.performance.machine import GpuClass, gpu_class
from vllm_preflight.performance.replica import Facts, Missing, facts_of
from vllm_preflight.performance.workload import Workload

# The longest conversation of a sample generates about this many times the mean, so the
# last requests run nearly alone for the rest. Equal lengths end together, but their
# prompts started one after another.
_LONGEST = {"sampled": 8.0, "fixed": 1.5}
# Requests that are left on average while a burst of conversations ends.
_LAST = 10
# What harnesses send by default, as a multiple of what is in flight.
_USUAL_WAVES = 10.0
_CAPABILITY = (9, 0)
# Tokens beyond the workload's, and shares of memory, of launches that must have set both.
_MARGIN = 512
_UTILISATIONS = (0.95, 0.98)


@dataclass(frozen=True)
class Run:
    """A case with the start-up that served it and its workload."""

    case: ServingCase
    model: Model
    startup: Startup
    facts: Facts

    @property
    def gpu_class(self) -> GpuClass:
        """The class of its GPU."""
        return gpu_class(self.startup.gpu)

    @property
    def family(self) -> str:
        """The config's model type."""
        return self.model.architecture.model_type

    @property
    def measured(self) -> Mapping[Metric, float]:
        """The figures that are compared: no time in a queue, no rate that was given."""
        found: dict[Metric, float] = {}
        for metric, value in self.case.observed.items():
            queueing = metric == "ttft_ms" and self.case.ttft_queueing
            given = metric == "output_tokens_per_s" and self.case.arrival == "rate"
            if not queueing and not given:
                found[metric] = value  # type: ignore[index]
        return found


def run_of(case: ServingCase) -> Run:
    """The run of a case that is not excluded.

    Raises:
        PreflightError: the engine refuses the model or an argument.
        ValueError: it would not start, or a fact is missing.
    """
    assert case.gpu and case.input_len and case.output_len
    model = _model(case.model or "", case.quantization)
    gpu = find_gpu(case.gpu)
    fields: dict[str, Any] = {
        "model": case.model,
        "gpu": gpu.name,
        "vllm_version": case.version,
    }
    startup = _started(model, gpu, case, fields)
    workload = Workload(
        prompt_tokens=round(case.input_len),
        gen_tokens=round(case.output_len),
        concurrency=float(case.concurrency or 1),
        request_rate=case.request_rate,
        prefix_hit_rate=case.prefix_hit_rate,
    )
    facts = facts_of(model, startup, workload)
    if isinstance(facts, Missing):
        raise ValueError(facts.message)
    return Run(case, model, startup, facts)


def _started(model: Model, gpu: Gpu, case: ServingCase, fields: Mapping[str, Any]) -> Startup:
    """The start-up of the case; with settings it does not show where the defaults fail."""
    assert case.input_len and case.output_len
    request_fields = StartupRequest.model_fields
    known = {name: value for name, value in case.args.items() if name in request_fields}
    extra = {name: value for name, value in case.args.items() if name not in known}
    shorter = {"max_model_len": math.ceil(case.input_len + case.output_len) + _MARGIN}
    attempts: tuple[Mapping[str, Any], ...] = (
        {},
        shorter,
        *({**shorter, "gpu_memory_utilization": share} for share in _UTILISATIONS),
    )
    startup: Startup | None = None
    for changes in attempts:
        given: dict[str, Any] = {**changes, **known, **fields}
        request = StartupRequest(**given)
        launch = resolve_launch(
            request,
            model.architecture,
            gpu,
            extra=extra,
            config=model.config,
            checkpoint_kv_cache_dtype=model.quantization.kv_cache_dtype,
            drafting=find_drafting(model, request.speculative_config),
        )
        # What was measured was accepted: builds, vendors and checkpoints are its own.
        launch = replace(launch, problems=())
        capability = gpu.compute_capability or _CAPABILITY
        startup = simulate_startup(model, gpu, capability, launch)
        if startup.starts:
            break
    assert startup is not None
    return startup


@cache
def _model(name: str, quantization: str | None) -> Model:
    """The model of the catalogue in the precision that was served, whoever quantised it."""
    model = load_model(name, source="catalog")
    return replace(model, quantization=requested(model.quantization, quantization))


def comparable(cases: list[ServingCase]) -> tuple[list[Run], dict[str, str]]:
    """The runs an estimate can be compared with, and why the others cannot."""
    found: list[Run] = []
    left_out: dict[str, str] = {}
    for case in cases:
        if case.excluded:
            left_out[case.id] = case.excluded
            continue
        try:
            run = run_of(case)
        except (PreflightError, ValueError) as error:
            left_out[case.id] = str(error)
            continue
        if run.measured:
            found.append(run)
        else:
            left_out[case.id] = "no figure that is compared"
    return found, left_out


def estimated(run: Run, coefficients: Coefficients) -> dict[Metric, float]:
    """The estimate of each metric under `coefficients`, for the run as it was measured."""
    performance = performance_of(run.facts, coefficients)
    speed, case = performance.speed, run.case
    if case.arrival == "closed":
        waves, replicas = waves_of(case), performance.replicas
        state = performance.replica.at_concurrency(performance.workload.concurrency / replicas)
        found = printed(performance.replica, state, waves, median=case.ttft_statistic == "median")
        return {
            "ttft_ms": found.ttft * 1e3,
            "tpot_ms": found.tpot * 1e3,
            "output_tokens_per_s": found.requests_per_s * replicas * run.facts.workload.gen_tokens,
        }
    return {
        "ttft_ms": speed.ttft_ms,
        "tpot_ms": speed.tpot_ms,
        "output_tokens_per_s": speed.output_tokens_per_s * _share_of_run(run, performance),
    }


def waves_of(case: ServingCase) -> float:
    """How many times the requests in flight a closed run sent; what is usual where not shown."""
    if not case.requests or not case.concurrency:
        return _USUAL_WAVES
    return case.requests / case.concurrency


def _share_of_run(run: Run, performance: Performance) -> float:
    """How much of the stationary throughput a run that starts and ends reaches.

    All requests of a burst arrive at once; when the queue is empty, those that run
    end one by one and the GPUs idle more and more.
    """
    case = run.case
    if not case.requests:
        return 1.0
    if case.arrival != "burst":
        return 1.0
    if case.lengths == "fixed" and case.requests <= performance.most_running:
        return 1.0
    steady = case.requests / performance.speed.requests_per_s
    alone = performance.at(_LAST).tpot_ms / 1e3 * performance.workload.gen_tokens
    return steady / (steady + (_LONGEST[case.lengths] - 1) * alone)


def without_prefix_hits(run: Run) -> Run:
    """The run as if no prompt had been in the prefix cache."""
    workload = replace(run.facts.workload, prefix_hit_rate=0.0)
    return replace(run, facts=replace(run.facts, workload=workload))
