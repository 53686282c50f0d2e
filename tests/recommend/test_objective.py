"""With wanted times the chooser looks for what is served within them."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.questions.plan import plan_deployment


def plan(**fields: Any) -> PlanResponse:
    base: dict[str, Any] = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 32}
    return plan_deployment(PlanRequest(**base, **fields))


def served_in_time(answer: PlanResponse) -> float:
    assert answer.performance is not None
    goodput = answer.performance.goodput
    assert goodput is not None
    return goodput.max_requests_per_s or 0.0


@pytest.mark.parametrize(
    "targets",
    [
        {"target_ttft_ms": 200, "target_percentile": 95},
        {"target_tpot_ms": 20, "target_percentile": 50},
        {"target_latency_ms": 4000, "target_percentile": 99, "request_rate": 2},
    ],
)
def test_no_other_layout_serves_more_within_the_times(targets: dict[str, Any]) -> None:
    chosen = served_in_time(plan(gpus=4, **targets))
    for tensor, data in ((1, 4), (2, 2), (4, 1)):
        other = plan(gpus=4, tensor_parallel_size=tensor, data_parallel_size=data, **targets)
        # Values within 5 % count as equal.
        assert chosen >= 0.95 * served_in_time(other), (tensor, data)


def test_times_that_few_gpus_miss_take_more_of_them() -> None:
    free, fast = plan(), plan(target_tpot_ms=12)
    assert fast.hardware.gpus > free.hardware.gpus
    assert fast.performance is not None and fast.performance.goodput is not None
    assert fast.performance.goodput.reached
