"""What pictures show: parts that add up, and marks that are the answer's."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.conftest import Ask

from vllm_preflight_server.pages.figures import capacity, chart, memory, speed

PLANS = [
    {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 16},
    {"model": "deepseek-ai/DeepSeek-V3", "gpu": "H200", "gpus": 8, "concurrency": 64},
    {"model": "meta-llama/Llama-3.1-70B-Instruct", "gpu": "RTX 4090", "gpus": 2},
]
STARTS = [
    {"model": "Qwen/Qwen3-8B", "gpu": "A100 80GB"},
    # CUDA graphs are not charged to the budget before 0.21.
    {"model": "google/gemma-3-27b-it", "gpu": "H100", "vllm_version": "0.15.0"},
    {"model": "Qwen/Qwen3-8B", "gpu": "H100", "kv_cache_memory_bytes": 10 * 2**30},
    {"model": "Qwen/Qwen3-30B-A3B", "gpu": "L40S", "tensor_parallel_size": 4},
]
# Keeps no KV cache.
ENCODER = {"model": "BAAI/bge-large-en-v1.5", "gpu": "H100"}
QUESTIONS = [
    *(("plan_deployment", arguments) for arguments in PLANS),
    *(("predict_startup", arguments) for arguments in [*STARTS, ENCODER]),
]


def answer_of(ask: Ask, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    result = ask(tool, {"detail": "full", **arguments})
    assert result.structured_content is not None
    return result.structured_content


@pytest.mark.parametrize(("tool", "arguments"), QUESTIONS)
def test_parts_fill_the_gpu(ask: Ask, tool: str, arguments: dict[str, Any]) -> None:
    answer = answer_of(ask, tool, arguments)
    bar = memory(answer)
    assert bar is not None
    assert bar.visible_gib == answer["hardware"]["visible_gib_per_gpu"]
    total = sum(part.gib for part in bar.parts)
    startup = answer["startup"]
    if startup["available_kv_cache_gib"] > 0:
        assert total == pytest.approx(bar.visible_gib, abs=0.06)
    shown = {part.key: part.gib for part in bar.parts}
    for part in chart()["parts"]:
        if part["field"] != "available_kv_cache_gib" or "kv_cache_tokens" in startup:
            assert shown.get(part["field"], 0) == max(startup[part["field"]], 0)


def test_uncharged_graphs_stand_outside_the_budget(ask: Ask) -> None:
    answer = answer_of(ask, "predict_startup", STARTS[1])
    bar = memory(answer)
    assert bar is not None and not answer["startup"]["cuda_graph_charged"]
    place = [part.key for part in bar.parts].index("cuda_graph_gib")
    assert "outside the budget" in bar.parts[place].label
    inside = sum(part.gib for part in bar.parts[:place])
    assert inside == pytest.approx(bar.budget_gib, abs=0.06)


def test_a_cache_of_a_given_size_leaves_the_rest_unused(ask: Ask) -> None:
    bar = memory(answer_of(ask, "predict_startup", STARTS[2]))
    assert bar is not None
    parts = {part.key: part.gib for part in bar.parts}
    assert parts["available_kv_cache_gib"] == 10
    assert parts["unused"] > 30


def test_memory_that_no_cache_takes_is_unused(ask: Ask) -> None:
    answer = answer_of(ask, "predict_startup", ENCODER)
    bar = memory(answer)
    assert bar is not None and capacity(answer) is None
    parts = {part.key: part.gib for part in bar.parts}
    assert "available_kv_cache_gib" not in parts and parts["unused"] > 60


def test_marks_are_the_question_and_the_most_that_fits(ask: Ask) -> None:
    answer = answer_of(ask, "plan_deployment", PLANS[0])
    held = capacity(answer)
    assert held is not None
    asked, most = held.marks
    assert (asked.tokens, asked.requests) == (768, 16)
    assert most.requests == answer["feasibility"]["max_concurrency_at_context"]


def test_marks_of_replicas_are_of_one_engine(ask: Ask) -> None:
    question = {"model": "Qwen/Qwen3-8B", "gpu": "H100", "gpus": 2, "data_parallel_size": 2}
    answer = answer_of(ask, "plan_deployment", {**question, "concurrency": 64})
    held = capacity(answer)
    assert held is not None
    assert held.marks[0].requests == 32
    assert held.marks[1].requests == answer["feasibility"]["max_concurrency_at_context"] // 2


def test_nothing_is_drawn_of_a_cache_that_is_not_there(ask: Ask) -> None:
    assert capacity(answer_of(ask, "plan_deployment", PLANS[2])) is None


def test_nothing_is_drawn_of_refused_arguments(ask: Ask) -> None:
    question = {"model": "Qwen/Qwen3-8B", "gpu": "H100", "max_model_len": 10_000_000}
    answer = answer_of(ask, "predict_startup", question)
    assert answer["startup"]["failure"]["kind"] == "invalid_arguments"
    assert memory(answer) is None and capacity(answer) is None


def test_estimates_come_with_their_intervals(ask: Ask) -> None:
    told = answer_of(ask, "plan_deployment", PLANS[0])
    pace = speed(told)
    assert pace is not None
    for line, estimate in zip(chart()["speed"]["figures"], pace.estimates, strict=True):
        assert estimate.value == told["performance"][line["field"]]
        assert [estimate.low, estimate.high] == list(told["performance"]["interval"][line["field"]])
        assert estimate.low <= estimate.value <= estimate.high


@pytest.mark.parametrize("concurrency", [16, 21])
def test_the_curve_goes_through_what_was_asked(ask: Ask, concurrency: int) -> None:
    question = {**PLANS[0], "concurrency": concurrency, "detail": "full"}
    told = answer_of(ask, "plan_deployment", question)
    pace = speed(told)
    assert pace is not None
    flights = [at.concurrency for at in pace.curve]
    assert flights == sorted(
        {concurrency, *(at["concurrency"] for at in told["performance"]["curve"])}
    )
    (asked,) = (at for at in pace.curve if at.concurrency == concurrency)
    assert asked == pace.asked
    low, high = pace.between
    assert low <= asked.tokens_per_s <= high


@pytest.mark.parametrize(
    ("tool", "arguments"), [("plan_deployment", PLANS[2]), ("predict_startup", STARTS[0])]
)
def test_no_speed_is_shown_where_none_is_estimated(
    ask: Ask, tool: str, arguments: dict[str, Any]
) -> None:
    assert speed(answer_of(ask, tool, arguments)) is None
