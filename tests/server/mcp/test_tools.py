"""Every tool over MCP: its answer in both channels, short by default, as published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import jsonschema
import pytest
from mcp.types import Tool
from tests.server.conftest import Ask, text_of

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.contract.text import scalar

PLAN = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 16}
TOO_LARGE = {"model": "deepseek-ai/DeepSeek-R1", "gpu": "H100", "gpus": 4, "concurrency": 64}
STARTUP = {"command": "vllm serve Qwen/Qwen3-32B -tp 2 --max-model-len 32k", "gpu": "H100"}
CRASH = {"model": "Qwen/Qwen3-32B", "gpu": "RTX 4090", "tensor_parallel_size": 2}

HAPPY: dict[str, tuple[str, dict[str, Any]]] = {
    "plan": ("plan_deployment", PLAN),
    "plan that does not fit": ("plan_deployment", TOO_LARGE),
    "start-up": ("predict_startup", STARTUP),
    "start-up that fails": ("predict_startup", CRASH),
    "inspect": ("inspect_model", {"model": "Qwen/Qwen3-Next-80B-A3B-Instruct"}),
    "overhead": ("compute_overhead", {"vram_total_gib": 320, "tensor_parallel_size": 4}),
    "detect": ("detect_gpus", {}),
}
WITH_DETAIL = [
    name for name, (tool, _) in HAPPY.items() if tool not in {"compute_overhead", "detect_gpus"}
]
# 1,500 tokens at the four characters a token has in such text.
CONCISE_CHARACTERS = 6_000


@pytest.mark.design("5: structured content and text are both complete")
@pytest.mark.parametrize("case", HAPPY)
@pytest.mark.parametrize("detail", ["concise", "full"])
def test_an_answer_is_what_the_tool_publishes_in_both_channels(
    ask: Ask, tools: Mapping[str, Tool], case: str, detail: str
) -> None:
    name, arguments = HAPPY[case]
    if case in WITH_DETAIL:
        arguments = {**arguments, "detail": detail}
    result = ask(name, arguments)
    assert not result.is_error
    structured = result.structured_content
    schema = tools[name].output_schema
    assert structured is not None and schema is not None
    jsonschema.validate(structured, schema)
    text = text_of(result)
    for key, value in _facts(structured):
        assert key in text, key
        assert (
            scalar(value).replace("\n", " ").replace("|", "\\|") in text
            or scalar(value).replace("\n", " ") in text
        ), (key, value)


@pytest.mark.design("2: optional fields are left out, not null")
@pytest.mark.parametrize("case", HAPPY)
def test_an_answer_has_no_nulls(ask: Ask, case: str) -> None:
    name, arguments = HAPPY[case]
    structured = ask(name, arguments).structured_content
    assert "null" not in json.dumps(structured)


@pytest.mark.parametrize("case", HAPPY)
def test_both_eras_give_the_same_answer(ask: Ask, case: str) -> None:
    name, arguments = HAPPY[case]
    modern, handshake = ask(name, arguments, "auto"), ask(name, arguments, "legacy")
    assert modern.structured_content == handshake.structured_content
    assert text_of(modern) == text_of(handshake)


@pytest.mark.parametrize("case", WITH_DETAIL)
def test_concise_answers_are_short_and_full_ones_explain(ask: Ask, case: str) -> None:
    name, arguments = HAPPY[case]
    concise = ask(name, arguments)
    full = ask(name, {**arguments, "detail": "full"})
    assert ask(name, {**arguments, "detail": "concise"}).content == concise.content
    assert len(text_of(concise)) < CONCISE_CHARACTERS
    assert len(json.dumps(concise.structured_content)) < CONCISE_CHARACTERS
    assert '"formula"' not in json.dumps(concise.structured_content)
    terms = list(_terms(full.structured_content))
    assert terms
    for term in terms:
        assert term["basis"] in {"exact", "derived", "fitted", "measured", "assumed"}
        assert term["formula"] and term["source"]


def test_a_plan_that_does_not_fit_is_an_answer(ask: Ask) -> None:
    result = ask("plan_deployment", TOO_LARGE)
    assert not result.is_error
    plan = cast(dict[str, Any], result.structured_content)
    assert plan["feasibility"]["fits"] is False
    assert plan["feasibility"]["headroom_gib"] < 0
    assert plan["remedies"], "a plan that does not fit says what would"
    assert all({"tool", "set"} <= set(remedy) for remedy in plan["remedies"])


def test_a_start_up_that_fails_is_an_answer_with_vllms_sentence(ask: Ask) -> None:
    result = ask("predict_startup", CRASH)
    assert not result.is_error
    answer = cast(dict[str, Any], result.structured_content)
    assert answer["startup"]["failure"]["kind"] == "weights_do_not_fit"
    assert "out of memory" in answer["verdict"]["sentence"]
    assert answer["remedies"][0].keys() == {"tool", "set"}


@pytest.mark.parametrize(
    ("arguments", "gib"),
    [
        ({"vram_total_gib": 24}, 1.0),
        ({"vram_total_gib": 80}, 1.6),
        ({"vram_total_gib": 24, "tensor_parallel_size": 2}, 1.25),
        ({"vram_total_gib": 80, "tensor_parallel_size": 4}, 2.35),
        ({"vram_total_gib": 80, "tensor_parallel_size": 4, "overhead_gb": 2.5}, 2.5),
        ({"vram_total_gib": 24, "overhead_gb": 2.5}, 2.5),
    ],
)
def test_overheads_known_answers(ask: Ask, arguments: dict[str, Any], gib: float) -> None:
    answer = ask("compute_overhead", arguments).structured_content
    assert answer is not None
    assert answer["overhead_bytes"] == round(gib * BYTES_TO_GIB)
    assert answer["overhead_gib"] == gib


@pytest.mark.parametrize(
    "arguments",
    [
        {**PLAN, "revision": None, "gpus": None, "max_model_len": None},
        {**PLAN, "concurrency": "16"},
        {**PLAN, "trust_remote_code": "false"},
        {**PLAN, "limit_mm_per_prompt": {"image": 0}},
        {**PLAN, "limit_mm_per_prompt": '{"image": 0}'},
    ],
    ids=["nulls", "numeric string", "boolean string", "object", "JSON string"],
)
def test_arguments_as_models_really_send_them(ask: Ask, arguments: dict[str, Any]) -> None:
    given, plain = ask("plan_deployment", arguments), ask("plan_deployment", PLAN)
    assert not given.is_error, text_of(given)
    given_plan, plain_plan = given.structured_content, plain.structured_content
    assert given_plan is not None and plain_plan is not None
    assert given_plan["feasibility"] == plain_plan["feasibility"]


def test_a_speculative_config_may_be_an_object(ask: Ask) -> None:
    draft = {"method": "ngram", "num_speculative_tokens": 4}
    arguments = {"model": "Qwen/Qwen3-32B", "gpu": "H200"}
    as_object = ask("predict_startup", {**arguments, "speculative_config": draft})
    as_text = ask("predict_startup", {**arguments, "speculative_config": json.dumps(draft)})
    assert not as_object.is_error, text_of(as_object)
    assert as_object.structured_content == as_text.structured_content


def _facts(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Every scalar of an answer with the name it stands under."""
    if isinstance(value, Mapping):
        for name, item in cast(Mapping[str, object], value).items():
            yield from _facts(item, name)
    elif isinstance(value, list):
        for item in cast(list[object], value):
            yield from _facts(item, key)
    else:
        yield key, value


def _terms(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        members = cast(Mapping[str, Any], value)
        for name, item in members.items():
            if name == "terms":
                yield from cast(list[Mapping[str, Any]], item)
            else:
                yield from _terms(item)
