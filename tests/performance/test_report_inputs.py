"""What a plan's request says of its traffic reaches the estimate."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.contract.performance import PerfEstimate
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.questions.plan import plan_deployment


def speed(**fields: Any) -> PerfEstimate:
    request = PlanRequest(
        model="Qwen/Qwen3-8B", gpu="H100", concurrency=32, prompt_tokens=4000, **fields
    )
    performance = plan_deployment(request).performance
    assert performance is not None
    return performance


def test_an_arrival_rate_replaces_the_concurrency() -> None:
    assert speed().concurrency == 32
    slow = speed(request_rate=2)
    assert slow.requests_per_s == pytest.approx(2, rel=0.01)
    assert slow.concurrency < 32


def test_more_arrivals_than_served_are_warned_of() -> None:
    assert any("queue" in warning for warning in speed(request_rate=1000).warnings)


def test_cached_prompts_start_sooner() -> None:
    assert speed(prefix_cache_hit_rate=0.9).ttft_ms < speed().ttft_ms


def test_accepted_drafts_come_faster() -> None:
    draft = '{"method": "ngram", "num_speculative_tokens": 2}'
    often = speed(speculative_config=draft, acceptance_rate=0.9)
    rarely = speed(speculative_config=draft, acceptance_rate=0.1)
    assert often.output_tokens_per_s > rarely.output_tokens_per_s


def test_without_streaming_the_whole_answer_is_waited_for() -> None:
    assert any("whole answer" in warning for warning in speed(streaming=False).warnings)
    assert not any("whole answer" in warning for warning in speed().warnings)
