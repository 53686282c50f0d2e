"""Texts per second: full steps, Little's law, and what falls behind."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.performance import PoolingEstimate
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment

EMBEDDERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("BAAI/bge-m3", "L4", {}),
    ("Qwen/Qwen3-Embedding-8B", "L4", {"runner": "pooling"}),
    ("Qwen/Qwen3-Embedding-0.6B", "H100", {"runner": "pooling"}),
)


def plan(model: str, gpu: str, **fields: Any) -> PlanResponse:
    return plan_deployment(
        validate_request(PlanRequest, {"model": model, "gpu": gpu, "gpus": 1, **fields})
    )


def texts(model: str, gpu: str, **fields: Any) -> PoolingEstimate:
    answer = plan(model, gpu, **fields)
    assert answer.performance is None and answer.pooling is not None
    return answer.pooling


@pytest.mark.parametrize(("model", "gpu", "fields"), EMBEDDERS)
def test_more_texts_in_flight_are_answered_no_slower_together(
    model: str, gpu: str, fields: dict[str, Any]
) -> None:
    found = [texts(model, gpu, concurrency=many, **fields) for many in (1, 4, 32, 256)]
    rates = [one.texts_per_s for one in found]
    assert rates == sorted(rates)
    for one in found:
        # Little's law.
        assert one.concurrency == pytest.approx(one.texts_per_s * one.latency_ms / 1e3, rel=0.02)
        low, high = one.interval["texts_per_s"]
        assert low < one.texts_per_s < high


def test_a_text_takes_the_arithmetic_of_its_tokens() -> None:
    found = texts("Qwen/Qwen3-Embedding-8B", "L4", runner="pooling", concurrency=256)
    # Twice 6.95 billion weights of the layers for each token; L4: 121 dense TFLOPS.
    most = 121e12 / (2 * 6.95e9 * found.prompt_tokens)
    assert 0.4 * most < found.texts_per_s < most


@pytest.mark.parametrize(("model", "gpu", "fields"), EMBEDDERS)
def test_a_rate_is_answered_or_said_to_be_too_much(
    model: str, gpu: str, fields: dict[str, Any]
) -> None:
    most = texts(model, gpu, concurrency=1024, **fields).texts_per_s
    served = plan(model, gpu, request_rate=0.8 * most, **fields)
    assert served.pooling is not None and served.verdict.outcome == "carries"
    assert served.pooling.texts_per_s == pytest.approx(0.8 * most, rel=0.02)
    behind = plan(model, gpu, request_rate=1.5 * most, **fields)
    assert behind.verdict.outcome == "queues"
    assert "without end" in behind.verdict.sentence
    more = plan(model, gpu, request_rate=1.5 * most, **{**fields, "gpus": 2})
    assert more.verdict.outcome == "carries" and more.config.data_parallel_size == 2


def test_the_runner_reaches_the_command_and_the_check() -> None:
    answer = plan("Qwen/Qwen3-8B", "L4", runner="pooling")
    command = answer.artifacts.serve_command or ""
    assert command.endswith("--runner pooling") and "parser" not in command
    # It generates nothing, so a request is its prompt.
    assert answer.feasibility.context_tokens == 512
    checked = predict_startup(StartupRequest(command=command, gpu="L4"))
    assert answer.startup is not None
    assert checked.startup.kv_cache_tokens == answer.startup.kv_cache_tokens
    chat, flagged = (
        predict_startup(
            validate_request(
                StartupRequest, {"model": "Qwen/Qwen3-8B", "runner": runner, "gpu": "L4"}
            )
        ).startup
        for runner in ("generate", "pooling")
    )
    # Without the head of logits there is less to load.
    assert (flagged.weights_gib or 0) < (chat.weights_gib or 0)
