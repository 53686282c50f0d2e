"""How fast a start-up serves a request's workload."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.inputs import WorkloadInput
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.estimate import Performance, estimate_performance
from vllm_preflight.performance.pooling import Pooling, estimate_pooling
from vllm_preflight.performance.replica import Missing
from vllm_preflight.performance.workload import Workload


def estimate_speed(
    model: Model, hardware: Hardware, request: WorkloadInput, startup: Startup
) -> Performance | Missing:
    """How fast what `startup` leaves running on `hardware` serves the request's workload.

    Raises:
        InvalidRequest: a benchmark that is none, or turns that leave no room for messages.
    """
    return estimate_performance(
        model,
        startup,
        workload_of(request),
        interconnect=hardware.interconnect,
        node_size=hardware.gpus_per_node if hardware.nodes > 1 else None,
    )


def estimate_texts(
    model: Model, hardware: Hardware, request: WorkloadInput, startup: Startup
) -> Pooling | Missing:
    """How many of the request's prompts a start-up that pools reads.

    Raises:
        InvalidRequest: as `estimate_speed`.
    """
    return estimate_pooling(
        model,
        startup,
        workload_of(request),
        interconnect=hardware.interconnect,
        node_size=hardware.gpus_per_node if hardware.nodes > 1 else None,
    )


def workload_of(request: WorkloadInput) -> Workload:
    """The request's workload as the performance model reads it.

    Raises:
        InvalidRequest: a benchmark that is none.
    """
    return Workload(
        prompt_tokens=request.prompt_tokens,
        gen_tokens=request.gen_tokens,
        concurrency=float(request.concurrency),
        request_rate=request.request_rate,
        prefix_hit_rate=request.prefix_cache_hit_rate or 0.0,
        acceptance=request.acceptance_rate,
        target_latency_ms=request.target_latency_ms,
        target_ttft_ms=request.target_ttft_ms,
        target_tpot_ms=request.target_tpot_ms,
        target_percentile=request.target_percentile,
        system_prompt_tokens=request.system_prompt_tokens or 0,
        turns=request.turns or 1,
        waves=_waves(request),
    )


def _waves(request: WorkloadInput) -> float | None:
    """How many times the requests in flight the request's benchmark sends."""
    if request.benchmark is None:
        return None
    try:
        given: object = json.loads(request.benchmark)
    except (ValueError, RecursionError):
        given = None
    members = cast(dict[str, Any], given) if isinstance(given, dict) else {}
    numbers = [v for v in members.values() if isinstance(v, int | float) and v >= 1]
    if len(members) != 1 or not numbers or members.keys() - {"prompts", "waves"}:
        raise InvalidRequest(
            f"benchmark is {request.benchmark[:60]!r}, but must be the number of prompts sent, or "
            "of waves, how many times the requests in flight: at least 1.",
            'Such as {"waves": 10} or {"prompts": 1000}.',
        )
    if request.request_rate is not None:
        raise InvalidRequest(
            "benchmark is a run with so many requests in flight, and request_rate one in which "
            "they arrive by chance.",
            "Leave one of them out.",
        )
    number = float(numbers[0])
    if "waves" in members:
        return number
    if number < request.concurrency:
        raise InvalidRequest(
            f"benchmark sends {number:,.0f} prompts, fewer than concurrency "
            f"{request.concurrency:,} has in flight.",
            f"Give concurrency={math.ceil(number)}, or more prompts.",
        )
    return number / request.concurrency
