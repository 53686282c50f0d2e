"""How fast a start-up serves a request's workload."""

from __future__ import annotations

from vllm_preflight.contract.inputs import WorkloadInput
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.estimate import Performance, estimate_performance
from vllm_preflight.performance.replica import Missing
from vllm_preflight.performance.workload import Workload


def estimate_speed(
    model: Model, hardware: Hardware, request: WorkloadInput, startup: Startup
) -> Performance | Missing:
    """How fast what `startup` leaves running on `hardware` serves the request's workload."""
    return estimate_performance(
        model,
        startup,
        Workload(
            prompt_tokens=request.prompt_tokens,
            gen_tokens=request.gen_tokens,
            concurrency=float(request.concurrency),
            request_rate=request.request_rate,
            prefix_hit_rate=request.prefix_cache_hit_rate or 0.0,
            acceptance=request.acceptance_rate,
            target_latency_ms=request.target_latency_ms,
        ),
        interconnect=hardware.interconnect,
        node_size=hardware.gpus_per_node if hardware.nodes > 1 else None,
    )
