"""What a plan's request says of its traffic reaches the estimate."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.performance import PerfEstimate
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.questions.plan import plan_deployment


def speed(**fields: Any) -> PerfEstimate:
    given: dict[str, Any] = {"concurrency": 32, "prompt_tokens": 4000, **fields}
    request = PlanRequest(model="Qwen/Qwen3-8B", gpu="H100", **given)
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


def test_a_rate_shows_what_single_requests_see() -> None:
    found = speed(request_rate=2)
    assert speed().tails is None and found.tails is not None
    for seen in (found.tails.ttft_ms, found.tails.tpot_ms, found.tails.latency_ms):
        assert seen.p50 <= seen.p95 <= seen.p99
    assert found.load and [point.requests_per_s for point in found.load] == sorted(
        point.requests_per_s for point in found.load
    )
    hours = [point.gpu_hours_per_million_tokens for point in found.load]
    assert hours == sorted(hours, reverse=True)
    assert found.concise().load is None


def test_targets_of_tokens_and_percentiles_say_what_is_served_in_time() -> None:
    found = speed(target_ttft_ms=1000, target_tpot_ms=30, target_percentile=95)
    assert found.goodput is not None and found.goodput.percentile == 95
    assert found.goodput.max_requests_per_s and found.goodput.max_concurrency
    strict = speed(target_tpot_ms=0.5).goodput
    assert strict is not None and not strict.reached
    assert strict.missed == ["target_tpot_ms"] and strict.max_requests_per_s is None


def test_stricter_targets_and_higher_percentiles_serve_less() -> None:
    rates = [
        (speed(gpus=1, target_tpot_ms=wanted, target_percentile=share).goodput or pytest.fail())
        for wanted, share in ((60, 50), (60, 99), (12, 99))
    ]
    served = [goodput.max_requests_per_s or 0.0 for goodput in rates]
    assert served[0] >= served[1] > served[2]


def test_a_benchmark_prints_its_first_wave_too() -> None:
    found = speed(benchmark='{"waves": 2}').benchmark
    assert found is not None and found.ttft_ms > speed().ttft_ms
    assert speed(benchmark={"prompts": 64}).benchmark == found


def test_no_benchmark_serves_more_than_lasts() -> None:
    for concurrency, waves in ((64, 1), (64, 2.5), (5000, 2.5), (5000, 10)):
        found = speed(concurrency=concurrency, benchmark=f'{{"waves": {waves}}}')
        assert found.benchmark is not None
        assert found.benchmark.output_tokens_per_s <= found.output_tokens_per_s * 1.01


def test_fewer_prompts_than_are_in_flight_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="fewer than concurrency 64"):
        speed(concurrency=64, benchmark={"prompts": 63})


def test_a_simulated_benchmark_sees_about_what_is_printed() -> None:
    found = speed(concurrency=64, benchmark='{"waves": 4}', simulate=3)
    assert found.benchmark is not None and found.simulation is not None
    tokens = found.simulation.requests_per_s * found.gen_tokens
    assert tokens == pytest.approx(found.benchmark.output_tokens_per_s, rel=0.1)
    assert found.simulation.ttft_ms == pytest.approx(found.benchmark.ttft_ms, rel=0.25)


def test_replicas_simulate_all_requests_of_a_rate() -> None:
    found = speed(gpus=2, data_parallel_size=2, request_rate=10, simulate=2)
    assert found.simulation is not None
    assert found.simulation.requests_per_s == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("text", ["", "10", '{"waves": 0}', '{"rounds": 3}', '{"waves": "x"}'])
def test_a_benchmark_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="number of prompts"):
        speed(benchmark=text)


def test_a_benchmark_and_a_rate_exclude_each_other() -> None:
    with pytest.raises(InvalidRequest, match="request_rate"):
        speed(benchmark='{"waves": 2}', request_rate=2)


def test_a_conversation_finds_its_history_cached() -> None:
    alone, turns = speed(gen_tokens=100), speed(gen_tokens=100, turns=5)
    assert turns.ttft_ms < alone.ttft_ms
    assert speed(system_prompt_tokens=3000).ttft_ms < speed().ttft_ms
    off = speed(turns=5, gen_tokens=100, enable_prefix_caching=False)
    assert any("Prefix caching is off" in warning for warning in off.warnings)


def test_a_simulation_is_asked_for_by_its_seed() -> None:
    assert speed().simulation is None
    found = speed(request_rate=2, simulate=7).simulation
    assert found is not None and found.seed == 7 and found.requests > 1000
    again = speed(request_rate=2, simulate=7).simulation
    assert again == found
