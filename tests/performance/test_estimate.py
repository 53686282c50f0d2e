"""Speed behaves as physics and queues do, and is not guessed where facts are missing."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.estimate import Performance, Speed, estimate_performance
from vllm_preflight.performance.replica import Missing
from vllm_preflight.performance.workload import Workload

from .conftest import Started

# Dense, windowed experts, latent attention with fine-grained experts, recurrent states,
# 8-bit and 4-bit weights, an older card, and one linked by PCIe.
LAUNCHES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Qwen/Qwen3-14B", {}),
    ("openai/gpt-oss-120b", {"tensor_parallel_size": 2}),
    ("deepseek-ai/DeepSeek-V3.2", {"gpu": "H200", "tensor_parallel_size": 8}),
    ("Qwen/Qwen3.5-35B-A3B", {"gpu": "H200"}),
    ("Qwen/Qwen3-32B-FP8", {"gpu": "RTX 4090", "tensor_parallel_size": 4}),
    ("Qwen/Qwen3-32B-AWQ", {"gpu": "A100 80GB", "vllm_version": "0.11.0"}),
    ("meta-llama/Llama-3.1-70B-Instruct", {"gpu": "H200", "pipeline_parallel_size": 2}),
)
# Rounding of floats, not of answers.
EVEN = 1 + 1e-6

lengths = st.sampled_from([(16, 16), (128, 2048), (512, 256), (2048, 128), (4000, 4000), (7000, 4)])
counts = st.integers(1, 2000)
launches = st.sampled_from(LAUNCHES)


@pytest.fixture(scope="module")
def start(started: Started) -> Started:
    return started


def speed(found: tuple[Model, Startup], prompt: int, generated: int, **rest: Any) -> Performance:
    estimate = estimate_performance(
        *found,
        Workload(prompt, generated, **{k: v for k, v in rest.items() if k not in {"interconnect"}}),
        interconnect=rest.get("interconnect", "unknown"),
    )
    assert isinstance(estimate, Performance), estimate
    return estimate


@settings(max_examples=150, deadline=None)
@given(launch=launches, shape=lengths, one=counts, other=counts)
def test_more_requests_slow_each_and_never_the_whole(
    start: Started, launch: tuple[str, dict[str, Any]], shape: tuple[int, int], one: int, other: int
) -> None:
    name, arguments = launch
    estimate = speed(start(name, **arguments), *shape)
    few, many = (estimate.at(float(count)) for count in sorted((one, other)))
    assert many.output_tokens_per_s * EVEN >= few.output_tokens_per_s
    assert many.tpot_ms * EVEN >= few.tpot_ms
    assert many.latency_ms * EVEN >= few.latency_ms


@settings(max_examples=150, deadline=None)
@given(
    launch=launches,
    count=counts,
    one=st.integers(1, 7000),
    other=st.integers(1, 7000),
    generated=st.sampled_from([1, 16, 256, 1000]),
)
def test_longer_prompts_never_come_sooner(
    start: Started,
    launch: tuple[str, dict[str, Any]],
    count: int,
    one: int,
    other: int,
    generated: int,
) -> None:
    name, arguments = launch
    found = start(name, **arguments)
    short, long = (
        speed(found, prompt, generated, concurrency=float(count)).speed
        for prompt in sorted((one, other))
    )
    assert long.ttft_ms * EVEN >= short.ttft_ms


@settings(max_examples=100, deadline=None)
@given(launch=launches, shape=lengths, count=counts, factor=st.floats(1.01, 8))
def test_faster_cards_are_never_slower(
    start: Started,
    launch: tuple[str, dict[str, Any]],
    shape: tuple[int, int],
    count: int,
    factor: float,
) -> None:
    name, arguments = launch
    model, startup = start(name, **arguments)
    gpu = startup.gpu
    wider = replace(gpu, memory_bandwidth_gb_s=(gpu.memory_bandwidth_gb_s or 0) * factor)
    stronger = replace(gpu, dense_tflops={k: v * factor for k, v in gpu.dense_tflops.items()})
    plain = speed((model, startup), *shape, concurrency=float(count)).speed
    for card in (wider, stronger):
        fast = speed((model, replace(startup, gpu=card)), *shape, concurrency=float(count)).speed
        assert fast.output_tokens_per_s * EVEN >= plain.output_tokens_per_s
        assert fast.tpot_ms <= plain.tpot_ms * EVEN
        assert fast.latency_ms <= plain.latency_ms * EVEN


@settings(max_examples=60, deadline=None)
@given(shape=lengths, count=counts, gpu=st.sampled_from(["H100", "A100 80GB", "B200", "RTX A6000"]))
def test_nvlink_is_never_slower_than_pcie(
    start: Started, shape: tuple[int, int], count: int, gpu: str
) -> None:
    found = start("Qwen/Qwen3-14B", gpu=gpu, tensor_parallel_size=2)
    linked, plain = (
        speed(found, *shape, concurrency=float(count), interconnect=link).speed
        for link in ("nvlink", "pcie")
    )
    assert linked.tpot_ms <= plain.tpot_ms * EVEN
    assert linked.output_tokens_per_s * EVEN >= plain.output_tokens_per_s


@settings(max_examples=80, deadline=None)
@given(launch=launches, shape=lengths, count=counts)
def test_requests_in_flight_are_throughput_times_latency(
    start: Started, launch: tuple[str, dict[str, Any]], shape: tuple[int, int], count: int
) -> None:
    name, arguments = launch
    found = speed(start(name, **arguments), *shape, concurrency=float(count)).speed
    assert found.requests_per_s * found.latency_ms / 1e3 == pytest.approx(count, rel=1e-6)


def test_the_fewest_experts_are_read_for_one_token_and_all_for_many(started: Started) -> None:
    # 4 of 128 experts a token: a batch of one reads 1/32 of them.
    estimate = speed(started("openai/gpt-oss-120b", gpu="H200"), 512, 256)
    one, many = (estimate.replica.times.parts(count).experts for count in (1.0, 4096.0))
    assert many > 20 * one


def test_a_window_bounds_what_is_read(started: Started) -> None:
    # Half of gpt-oss's layers see 128 tokens; those of a dense model see all.
    def growth(name: str) -> float:
        work = speed(started(name, gpu="H200"), 512, 256).facts.work
        long, short = (
            sum(item.decode_bytes(context) for item in work.attention) for context in (8000, 4000)
        )
        return long / short

    assert growth("Qwen/Qwen3-14B") == pytest.approx(2)
    assert 1.9 < growth("openai/gpt-oss-120b") < 1.99


def test_chunks_of_a_small_budget_read_the_weights_again(started: Started) -> None:
    whole, chunked = (
        speed(started("Qwen/Qwen3-14B", max_num_batched_tokens=budget), 7000, 16).speed.ttft_ms
        for budget in (8192, 256)
    )
    assert chunked > whole * 1.2


def test_a_prefix_in_the_cache_saves_its_prefill(started: Started) -> None:
    found = started("Qwen/Qwen3-14B")
    cold = speed(found, 7000, 16).speed.ttft_ms
    warm = speed(found, 7000, 16, prefix_hit_rate=0.9).speed.ttft_ms
    assert 0.05 < warm / cold < 0.3


def test_accepted_drafts_save_steps_and_rejected_ones_cost(started: Started) -> None:
    drafting = '{"method": "ngram", "num_speculative_tokens": 3}'
    plain = speed(started("Qwen/Qwen3-14B"), 512, 256).speed.tpot_ms
    found = started("Qwen/Qwen3-14B", speculative_config=drafting)
    none, usual, all_of = (
        speed(found, 512, 256, acceptance=rate).speed.tpot_ms for rate in (0.0, None, 1.0)
    )
    assert all_of < usual < plain <= none
    assert all_of == pytest.approx(none / 4, rel=0.02)
    stream = speed(found, 512, 256, acceptance=1.0).speed
    assert stream.itl_ms == pytest.approx(4 * stream.tpot_ms)


def test_replicas_that_share_experts_exchange_tokens(started: Started) -> None:
    def communication(name: str, **sizes: Any) -> float:
        found = started(name, gpu="H200", data_parallel_size=2, **sizes)
        return speed(found, 512, 256, concurrency=32.0).decode.communication

    assert communication("openai/gpt-oss-120b", enable_expert_parallel=True) > 0
    # Replicas of a dense model have nothing to tell each other.
    assert communication("Qwen/Qwen3-14B") == 0


def test_a_full_cache_makes_requests_wait_and_says_so(started: Started) -> None:
    found = speed(started("Qwen/Qwen3-32B"), 4000, 1000, concurrency=64.0)
    assert found.speed.running < 10 < found.speed.concurrency
    assert found.speed.saturated
    assert "the KV cache" in found.warnings[0]


def test_more_sequences_than_allowed_wait_and_says_so(started: Started) -> None:
    found = speed(started("Qwen/Qwen3-14B", max_num_seqs=8), 128, 256, concurrency=64.0)
    assert found.speed.running == pytest.approx(8)
    assert "max_num_seqs" in found.warnings[0]


def test_replicas_share_the_load(started: Started) -> None:
    one = speed(started("Qwen/Qwen3-14B"), 512, 256, concurrency=16.0).speed
    two = speed(started("Qwen/Qwen3-14B", data_parallel_size=2), 512, 256, concurrency=32.0).speed
    assert two.output_tokens_per_s == pytest.approx(2 * one.output_tokens_per_s)
    assert two.tpot_ms == pytest.approx(one.tpot_ms)
    eight = started("Qwen/Qwen3-14B", data_parallel_size=8)
    few = speed(eight, 512, 256, concurrency=2.0).speed
    single = speed(started("Qwen/Qwen3-14B"), 512, 256).speed
    assert few.output_tokens_per_s == pytest.approx(2 * single.output_tokens_per_s)
    assert few.latency_ms == pytest.approx(single.latency_ms)


def test_a_rate_is_served_until_it_is_too_high(started: Started) -> None:
    found = started("Qwen/Qwen3-14B")
    served = speed(found, 512, 256, request_rate=4.0).speed
    assert served.requests_per_s == pytest.approx(4)
    again = speed(found, 512, 256, concurrency=served.concurrency).speed
    # Arrivals by chance see a little more than as many that follow each other.
    assert again.requests_per_s == pytest.approx(4, rel=0.05)
    beyond = speed(found, 512, 256, request_rate=1e4)
    assert beyond.speed.saturated
    assert "queue grows" in beyond.warnings[0]


def test_a_target_is_held_up_to_a_concurrency(started: Started) -> None:
    found = started("Qwen/Qwen3-14B")
    estimate = speed(found, 512, 256, concurrency=500.0, target_latency_ms=5000.0)
    target = estimate.target
    assert target is not None and not target.reached and target.at_most is not None
    assert (
        estimate.at(target.at_most).latency_ms <= 5000 < estimate.at(target.at_most + 1).latency_ms
    )
    hopeless = speed(found, 512, 256, target_latency_ms=10.0).target
    assert hopeless is not None and hopeless.at_most is None and hopeless.fastest_ms > 10


def test_intervals_hold_the_estimate(started: Started) -> None:
    estimate = speed(started("Qwen/Qwen3-14B"), 512, 256, concurrency=8.0)
    for metric, (low, high) in estimate.intervals.items():
        assert low < getattr(estimate.speed, metric) < high


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"memory_bandwidth_gb_s": None}, "memory bandwidth of"),
        ({"dense_tflops": {}}, "dense 16-bit FLOPS of"),
    ],
)
def test_nothing_is_guessed_of_an_unknown_card(
    started: Started, changes: dict[str, Any], missing: str
) -> None:
    found = started("Qwen/Qwen3-14B", gpu_changes=changes)
    answer = estimate_performance(*found, Workload(512, 256))
    assert isinstance(answer, Missing)
    assert missing in answer.message


def test_lengths_beyond_the_model_are_not_estimated(started: Started) -> None:
    answer = estimate_performance(*started("Qwen/Qwen3-14B"), Workload(8000, 1000))
    assert isinstance(answer, Missing) and "max_model_len" in answer.message


def test_a_card_without_measured_runs_is_marked(started: Started) -> None:
    found = speed(started("Qwen/Qwen3-4B", gpu="T4", dtype="float16"), 512, 256)
    assert any("No measured run" in text for text in found.warnings)


def test_an_estimate_is_quick(started: Started) -> None:
    model, startup = started("openai/gpt-oss-120b", tensor_parallel_size=2)
    work = Workload(512, 256, concurrency=64.0)

    def milliseconds(calls: int) -> tuple[float, float]:
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(calls):
            began = time.process_time()
            estimate = estimate_performance(model, startup, work)
            middle = time.process_time()
            assert isinstance(estimate, Performance)
            points: tuple[Speed, ...] = estimate.curve(40)
            times[0].append(middle - began)
            times[1].append(time.process_time() - middle)
            assert len(points) == 40
        return statistics.median(times[0]) * 1e3, statistics.median(times[1]) * 1e3

    # Many times the limits of the benchmark: tests share their processor.
    one, curve = min(milliseconds(30) for _ in range(3))
    assert one < 5
    assert curve < 60
