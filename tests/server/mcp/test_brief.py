"""Concise answers: short in both channels over many questions, and without loss of what counts."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from mcp.types import CallToolResult, Tool
from tests.server.conftest import Ask, text_of

from vllm_preflight_server.mcp.tool import PAGE_META

# Counts what GPT-4o's tokeniser (o200k) does of such texts to 3 % on average, 13 % at worst.
_PIECES = re.compile(r"\d{1,3}|[A-Za-z]{1,6}|[^\sA-Za-z\d]+")
_LOG = """\
INFO 11-20 10:00:00 [api_server.py:1] vLLM API server version 0.19.0
INFO 11-20 10:00:00 [utils.py:233] non-default args: {'model': 'Qwen/Qwen3-8B'}
INFO 11-20 10:00:00 [gpu_model_runner.py:3000] Model loading took 15.27 GiB and 3 seconds
INFO 11-20 10:00:01 [gpu_worker.py:298] Available KV cache memory: 4.02 GiB
ValueError: To serve at least one request with the models's max seq len (40960), (5.62 GiB KV \
cache is needed, which is larger than the available KV cache memory (4.02 GiB). Based on the \
available memory, the estimated maximum model length is 29264.
"""
PLANS: dict[str, dict[str, Any]] = {
    "carries": {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 16},
    "one card": {"model": "meta-llama/Llama-3.1-8B-Instruct", "gpu": "RTX 4090", "concurrency": 8},
    "far too large": {"model": "openai/gpt-oss-120b", "gpu": "RTX 3090", "gpus": 2},
    "too large": {"model": "deepseek-ai/DeepSeek-R1", "gpu": "H100", "gpus": 4, "concurrency": 64},
    "machines": {"model": "deepseek-ai/DeepSeek-V3.2", "gpu": "H200", "gpus": 32, "nodes": 4},
    "queues": {
        "model": "Qwen/Qwen3-32B",
        "gpu": "H100",
        "gpus": 1,
        "concurrency": 8,
        "max_model_len": 32_768,
    },
    "latency": {
        "model": "meta-llama/Llama-3.3-70B-Instruct",
        "gpu": "H100",
        "concurrency": 32,
        "target_latency_ms": 10_000,
    },
    "rate": {
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "gpu": "L40S",
        "request_rate": 5,
        "target_ttft_ms": 500,
        "target_tpot_ms": 50,
    },
    "priced": {
        "model": "Qwen/Qwen3-32B",
        "gpu": "H100",
        "concurrency": 16,
        "prices": "list",
        "daily_load": "9h@2,15h@0.2",
        "api_price": "0.2/0.6",
    },
    "encoder": {"model": "BAAI/bge-m3", "gpu": "L4", "concurrency": 32},
    "experts": {"model": "Qwen/Qwen3-30B-A3B", "gpu": "A100-80GB", "gpus": 8, "concurrency": 500},
    "shared card": {"model": "Qwen/Qwen3-8B", "gpu": "RTX 4090", "free_vram_gb": 19.5},
}
CHECKS: dict[str, dict[str, Any]] = {
    "command": {"command": "vllm serve Qwen/Qwen3-32B -tp 2 --max-model-len 32k", "gpu": "H100"},
    "out of memory": {"model": "Qwen/Qwen3-32B", "gpu": "RTX 4090", "tensor_parallel_size": 2},
    "refused": {"command": "vllm serve Qwen/Qwen3-14B --quantization awq", "gpu": "RTX 4090"},
    "heads": {"model": "Qwen/Qwen3-32B", "gpu": "L40S", "gpus": 3, "tensor_parallel_size": 3},
    "old release": {"model": "google/gemma-3-27b-it", "gpu": "H100", "vllm_version": "0.19.0"},
    "TPU": {"model": "Qwen/Qwen3-8B", "gpu": "TPU v6e"},
}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "cards": (
        "compare_hardware",
        {"model": "Qwen/Qwen3-32B", "gpus": "H100,L40S,A100-80GB,L4", "concurrency": 8},
    ),
    "models": ("find_models", {"gpu": "L4", "family": "qwen"}),
    "files": ("generate_artifacts", {"model": "Qwen/Qwen3-8B", "gpu": "H100"}),
    "log": ("explain_startup_log", {"log": _LOG, "gpu": "RTX 4090"}),
    "make-up": ("inspect_model", {"model": "Qwen/Qwen3-Next-80B-A3B-Instruct"}),
    "formula": ("compute_overhead", {"vram_total_gib": 320, "tensor_parallel_size": 4}),
}
QUESTIONS = {
    **{f"plan {name}": ("plan_deployment", question) for name, question in PLANS.items()},
    **{f"check {name}": ("predict_startup", question) for name, question in CHECKS.items()},
    **OTHERS,
}
# Of one answer, in each channel.
LONGEST = {"plan_deployment": 500, "predict_startup": 350}
LONGEST_OF_OTHERS = 520


def tokens(text: str) -> int:
    """About how many tokens a model reads."""
    return len(_PIECES.findall(text))


def lengths(result: CallToolResult) -> tuple[int, int]:
    """Tokens of the text and of the structured answer."""
    structured = json.dumps(result.structured_content, separators=(",", ":"), ensure_ascii=False)
    return tokens(text_of(result)), tokens(structured)


@pytest.mark.design("5: a concise answer is under 500 tokens")
@pytest.mark.parametrize("case", QUESTIONS)
def test_a_concise_answer_is_short_in_both_channels(
    ask: Ask, tools: Mapping[str, Tool], case: str
) -> None:
    tool, question = QUESTIONS[case]
    result = ask(tool, question)
    assert not result.is_error, text_of(result)
    assert max(lengths(result)) <= LONGEST.get(tool, LONGEST_OF_OTHERS), lengths(result)
    schema = tools[tool].output_schema
    assert schema is not None
    jsonschema.validate(result.structured_content, schema)


@pytest.mark.design("5: a concise answer is under 500 tokens")
@pytest.mark.parametrize(
    ("tool", "questions", "most"),
    [("plan_deployment", PLANS, 500), ("predict_startup", CHECKS, 350)],
)
def test_answers_are_usually_shorter(
    ask: Ask, tool: str, questions: Mapping[str, dict[str, Any]], most: int
) -> None:
    found = [max(lengths(ask(tool, question))) for question in questions.values()]
    assert statistics.median(found) <= most, sorted(found)


@pytest.mark.parametrize("case", QUESTIONS)
def test_brief_answers_say_what_the_whole_one_says(ask: Ask, case: str) -> None:
    tool, question = QUESTIONS[case]
    if tool not in ("plan_deployment", "predict_startup"):
        return
    brief: Any = ask(tool, question).structured_content
    whole: Any = ask(tool, {**question, "detail": "full"}).structured_content
    assert brief["verdict"] == whole["verdict"]
    assert brief.get("command") == whole.get("command")
    for section in ("startup", "feasibility"):
        for name, value in brief.get(section, {}).items():
            if name != "failure":
                assert whole[section][name] == value, (section, name)
    inner = [*whole["startup"]["warnings"], *whole.get("performance", {}).get("warnings", [])]
    said = [text for text in brief.get("warnings", []) if "detail=full" not in text]
    everything = {*whole["warnings"], *inner}
    left_out = everything.difference(said)
    assert everything.issuperset(said)
    assert not left_out or brief["warnings"][-1] == f"{len(left_out)} more: detail=full"


def test_the_second_machine_differs_by_its_rank_alone(ask: Ask) -> None:
    question = {**PLANS["machines"], "concurrency": 256}
    brief: Any = ask("plan_deployment", question).structured_content
    whole: Any = ask("plan_deployment", {**question, "detail": "full"}).structured_content
    head, *further = whole["artifacts"]["node_commands"]
    assert brief["artifacts"]["serve_command"] == head
    told = brief["artifacts"]["further_nodes"]
    assert told.startswith("the same with --headless")
    assert all(line.rpartition(" ")[2] in told for line in further)


def test_remedies_are_calls_of_a_tool(ask: Ask) -> None:
    answer: Any = ask("plan_deployment", PLANS["queues"]).structured_content
    assert answer["remedies"]
    for remedy in answer["remedies"]:
        again = ask(remedy["tool"], {**PLANS["queues"], **remedy["set"]}).structured_content
        assert again is not None and again["verdict"]["outcome"] == "carries"


def test_limit_shows_the_rows_that_a_brief_table_leaves_out(ask: Ask) -> None:
    tool, question = OTHERS["models"]
    brief: Any = ask(tool, question).structured_content
    longer: Any = ask(tool, {**question, "limit": 12}).structured_content
    assert len(brief["models"]) < len(longer["models"]) == 12
    assert "limit" in brief["has_more"][0]
    assert brief["carried"] == longer["carried"]


def test_the_page_gets_what_it_draws_beside_a_brief_answer(ask: Ask) -> None:
    result = ask("plan_deployment", PLANS["carries"])
    assert result.meta is not None
    drawn = result.meta[PAGE_META]
    assert len(drawn["startup"]["requests_by_length"]) > 3
    assert "output_tokens_per_s_per_request" in drawn["performance"]
    whole = ask("plan_deployment", {**PLANS["carries"], "detail": "full"})
    assert PAGE_META not in (whole.meta or {})


@pytest.mark.parametrize("case", QUESTIONS)
def test_tools_answer_without_words_of_the_command_line(ask: Ask, case: str) -> None:
    tool, question = QUESTIONS[case]
    for detail in ({}, {"detail": "full"} if tool in LONGEST else {}):
        shown = text_of(ask(tool, {**question, **detail}))
        assert "vllm-preflight " not in shown
        assert not re.search(
            r"--(gpus?|concurrency|prompt-tokens|explain|report|limit)(?![\w-])", shown
        )


def test_a_brief_plan_says_its_cost_in_sentences(ask: Ask) -> None:
    brief: Any = ask("plan_deployment", PLANS["priced"]).structured_content
    whole: Any = ask("plan_deployment", {**PLANS["priced"], "detail": "full"}).structured_content
    assert brief["cost"]["sentences"] == whole["cost"]["sentences"]
    assert len(brief["cost"]["sentences"]) == 3 and "days old)" in brief["cost"]["sentences"][0]
    assert whole["cost"]["by_load"] and "by_load" not in brief["cost"]
    plain: Any = ask("plan_deployment", PLANS["latency"]).structured_content
    assert "cost" not in plain
