"""The one chooser: which layout serves a workload best, and what a rate means for each."""

from __future__ import annotations

import math
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.find import FindRequest
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.find_models import find_models
from vllm_preflight.questions.plan import plan_deployment

_TIERS = {"carries": 3, "queues": 2, "borderline": 1, "does_not_start": 0}


def plan(model: str, gpu: str, **fields: Any) -> PlanResponse:
    return plan_deployment(validate_request(PlanRequest, {"model": model, "gpu": gpu, **fields}))


RATES = (
    ("Qwen/Qwen3-14B", "L40S", 2, 5.0),
    ("Qwen/Qwen3-14B", "L40S", 2, 40.0),
    ("Qwen/Qwen3-8B", "H100", 4, 20.0),
    ("Qwen/Qwen3-32B", "H100", 4, 2.0),
)


@pytest.mark.parametrize(("model", "gpu", "gpus", "rate"), RATES)
def test_an_open_layout_is_no_worse_than_any_pinned_one(
    model: str, gpu: str, gpus: int, rate: float
) -> None:
    question: dict[str, Any] = {
        "gpus": gpus, "request_rate": rate, "prompt_tokens": 1000, "gen_tokens": 300,
    }  # fmt: skip
    answer = plan(model, gpu, **question)
    same = 0
    for tensor in (1, 2, 4):
        if tensor > gpus:
            continue
        sizes = {"tensor_parallel_size": tensor, "data_parallel_size": gpus // tensor}
        pinned = plan(model, gpu, **question, **sizes)
        assert _TIERS[answer.verdict.outcome] >= _TIERS[pinned.verdict.outcome], sizes
        assert answer.performance is not None and pinned.performance is not None
        assert answer.performance.requests_per_s >= 0.95 * pinned.performance.requests_per_s
        if answer.config.tensor_parallel_size == tensor:
            same += 1
            assert pinned.verdict == answer.verdict
    assert same == 1


@pytest.mark.parametrize(("model", "gpu", "gpus", "rate"), RATES)
def test_each_layouts_requests_in_flight_follow_from_its_own_speed(
    model: str, gpu: str, gpus: int, rate: float
) -> None:
    for tensor in (1, gpus):
        answer = plan(
            model, gpu, gpus=gpus, request_rate=rate, prompt_tokens=1000, gen_tokens=300,
            tensor_parallel_size=tensor, data_parallel_size=gpus // tensor,
        )  # fmt: skip
        speed = answer.performance
        assert speed is not None
        assert answer.feasibility.concurrency == pytest.approx(math.ceil(speed.concurrency), abs=1)
        if "without end" in answer.verdict.sentence:
            assert answer.verdict.outcome == "queues"
            assert speed.requests_per_s < rate
        else:
            # Little's law.
            flight = rate * speed.latency_ms / 1e3
            assert speed.concurrency == pytest.approx(flight, rel=0.05)


def test_what_falls_behind_a_rate_is_not_said_to_carry_it() -> None:
    answer = plan("Qwen/Qwen3-14B", "L40S", gpus=1, request_rate=40)
    assert answer.verdict.outcome == "queues" and not answer.feasibility.fits
    assert "the queue grows without end" in answer.verdict.sentence
    assert "of the 40 requests" in answer.verdict.sentence
    pinned = plan("Qwen/Qwen3-14B", "L40S", gpus=1, request_rate=40, concurrency=8)
    assert pinned.verdict.outcome == "queues"


def test_a_remedy_for_a_rate_keeps_the_rate() -> None:
    asked: dict[str, Any] = {
        "model": "Qwen/Qwen3-14B", "gpu": "L40S", "gpus": 2,
        "request_rate": 5, "prompt_tokens": 1000, "gen_tokens": 300,
    }  # fmt: skip
    answer = plan(**asked)
    assert answer.remedies
    for remedy in answer.remedies:
        changed: dict[str, Any] = {**asked, **remedy.set}
        again = plan(**changed)
        assert again.verdict.outcome == "carries"
        assert again.artifacts.serve_command == remedy.command


def test_a_layout_that_holds_a_few_does_not_beat_one_that_holds_most() -> None:
    answer = plan(
        "meta-llama/Llama-3.3-70B-Instruct", "RTX 4090", gpus=8, quantization="fp8",
        concurrency=33, prompt_tokens=8000, gen_tokens=1000,
    )  # fmt: skip
    assert (answer.config.tensor_parallel_size, answer.config.data_parallel_size) == (8, 1)
    assert answer.feasibility.max_concurrency_at_context == 32


def test_replicas_serve_a_crowd_of_small_requests() -> None:
    config = plan("Qwen/Qwen3-8B", "H100", gpus=8, concurrency=1000).config
    assert (config.tensor_parallel_size, config.data_parallel_size) == (1, 8)


def test_longer_requests_are_worth_fewer_at_once_where_only_short_ones_start() -> None:
    answer = plan("Qwen/Qwen3-32B-AWQ", "RTX 3090", gpus=1)
    config = answer.config
    assert config.max_model_len >= 4096 and config.max_num_seqs < 256
    at_once = answer.feasibility.max_concurrency_at_context
    assert at_once is not None and at_once <= config.max_num_seqs
    checked = predict_startup(
        StartupRequest(command=answer.artifacts.serve_command, gpu="RTX 3090", gpus=1)
    )
    assert (checked.verdict.start_probability or 0) >= 0.95
    kept = plan("Qwen/Qwen3-32B-AWQ", "RTX 3090", gpus=1, max_num_seqs=256)
    assert kept.config.max_num_seqs == 256
    assert kept.config.max_model_len < config.max_model_len


@pytest.mark.parametrize("asked", ["auto", "-1", -1])
def test_the_longest_request_may_be_left_to_vllm(asked: object) -> None:
    answer = plan("Qwen/Qwen3-32B", "H100", gpus=1, max_model_len=asked)
    assert answer.verdict.outcome == "carries"
    assert "--max-model-len auto" in (answer.artifacts.serve_command or "")
    assert answer.config.explanations["max_model_len"] == "as asked"
    # vLLM lowers the length to what fits: that some length does is all it takes to start.
    checked = predict_startup(StartupRequest(command="vllm serve Qwen/Qwen3-32B "
                                             "--max-model-len auto", gpu="H100"))  # fmt: skip
    assert checked.verdict.outcome == "starts"
    long = plan(
        "Qwen/Qwen3-32B", "H100", gpus=1, max_model_len=asked, prompt_tokens=40_000,
        gen_tokens=900,
    )  # fmt: skip
    assert long.verdict.outcome == "does_not_start" and long.artifacts.serve_command is None
    assert "take no request of 40,900 tokens" in long.verdict.sentence


def test_what_vllm_args_override_is_planned_with() -> None:
    yarn = (
        '--hf-overrides \'{"rope_parameters": {"rope_theta": 1000000, "rope_type": "yarn", '
        '"factor": 4.0, "original_max_position_embeddings": 40960}, '
        '"max_position_embeddings": 163840}\''
    )
    answer = plan("Qwen/Qwen3-32B", "H100", gpus=2, max_model_len=100_000, vllm_args=yarn)
    assert answer.verdict.outcome == "carries" and answer.model.max_position == 163_840
    short = plan("Qwen/Qwen3-32B", "H100", gpus=1, vllm_args="--max-model-len 8192")
    assert short.feasibility.context_tokens == 8192


@pytest.mark.parametrize(("concurrency", "checkpoint"), [(4, "FP8"), (64, "AWQ")])
def test_of_two_checkpoints_the_finer_is_found_unless_it_holds_less(
    concurrency: int, checkpoint: str
) -> None:
    found = find_models(
        FindRequest(
            gpu="L40S",
            family="qwen3-32b",
            concurrency=concurrency,
            prompt_tokens=4000,
            gen_tokens=500,
        )
    )
    assert [row.model for row in found.models] == [f"Qwen/Qwen3-32B-{checkpoint}"]


def test_stages_that_a_release_does_not_describe_hide_no_answer() -> None:
    # Up to four cards are too few without stages, which ran in the engine before.
    question = {"vllm_version": "0.8.5", "concurrency": 8}
    few = plan("01-ai/Yi-34B-Chat", "RTX 3060 12GB", gpus=2, **question)
    assert few.verdict.outcome == "does_not_start" and few.remedies
    assert plan("01-ai/Yi-34B-Chat", "RTX 3060 12GB", gpus=8, **question).verdict.good
