"""What may be asked, and the sentence an impossible value is answered with."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.inspect import InspectRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request

MODEL = {"model": "Qwen/Qwen3-32B"}


def refusal(data: dict[str, Any], request: type[Any] = PlanRequest) -> str:
    with pytest.raises(InvalidRequest) as caught:
        validate_request(request, data)
    sentence = caught.value.message
    assert sentence.endswith((".", "?"))
    assert "pydantic" not in sentence and "Input should" not in sentence
    return sentence


def test_only_the_model_is_needed() -> None:
    request = validate_request(PlanRequest, MODEL)
    assert request.gpu == "auto" and request.concurrency == 1
    assert (request.prompt_tokens, request.gen_tokens) == (512, 256)
    assert request.fragmentation_factor is None and request.headroom_gb is None


def test_the_utilisation_is_the_versions_in_every_question() -> None:
    assert validate_request(PlanRequest, MODEL).gpu_memory_utilization is None
    assert validate_request(StartupRequest, MODEL).gpu_memory_utilization is None


@pytest.mark.parametrize("value", [math.nan, math.inf, "NaN", "inf"])
def test_numbers_are_finite(value: object) -> None:
    assert "headroom_gb" in refusal({**MODEL, "headroom_gb": value})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("concurrency", 0, "greater than or equal to 1"),
        ("concurrency", -3, "greater than or equal to 1"),
        ("concurrency", 10**30, "less than or equal to 1000000"),
        ("concurrency", "many", "whole number"),
        ("concurrency", 1.5, "whole number"),
        ("gpu_memory_utilization", 0, "greater than 0"),
        ("gpu_memory_utilization", 1.01, "less than or equal to 1"),
        ("gpus", 0, "greater than or equal to 1"),
        ("vram_gb", 0, "greater than 0"),
        ("overhead_gb", -1, "greater than or equal to 0"),
        ("max_lora_rank", 7, "1, 8, 16"),
        ("kv_cache_dtype", "fp7", "fp8_e4m3"),
        ("model", "", "at least 1 character"),
        ("model", "x" * 501, "at most 500 characters"),
        ("model", 7, "valid string"),
        ("streaming", "perhaps", "true or false"),
    ],
)
def test_a_value_outside_its_range_is_named_with_the_range(
    field: str, value: object, words: str
) -> None:
    sentence = refusal({**MODEL, field: value})
    assert sentence.startswith(f"{field} is ") and words in sentence
    assert len(sentence) < 450


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("conccurrency", "concurrency"),
        ("max_modle_len", "max_model_len"),
        ("tp", "tensor_parallel_size"),
        ("context_length", "max_model_len"),
        ("num_gpus", "gpus"),
        ("batch-size", "concurrency"),
    ],
)
def test_an_unknown_field_is_answered_with_the_one_meant(given: str, meant: str) -> None:
    assert refusal({**MODEL, given: 2}) == f"There is no field {given!r}; did you mean {meant!r}?"


def test_a_name_of_another_request_is_not_proposed() -> None:
    assert "did you mean" not in refusal({"model": "x", "tp": 2}, InspectRequest)


def test_every_problem_is_told_at_once() -> None:
    sentence = refusal({"concurrency": 0, "gpus": -1, "nonsense_field": 1})
    for field in ("model", "concurrency", "gpus", "nonsense_field"):
        assert field in sentence


def test_a_start_up_needs_a_model_or_a_command() -> None:
    assert refusal({}, StartupRequest) == "Either model or command is required."
    assert validate_request(StartupRequest, {"command": "vllm serve m"}).model == ""


@pytest.mark.parametrize("field", ["speculative_config", "limit_mm_per_prompt"])
def test_json_arguments_may_be_objects(field: str) -> None:
    request = validate_request(StartupRequest, {**MODEL, field: {"image": 0}})
    assert json.loads(getattr(request, field)) == {"image": 0}


@pytest.mark.parametrize("field", ["concurrency", "gpus", "gpu_memory_utilization", "vram_gb"])
def test_a_truth_value_is_no_number(field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{field} is True, but must be a number"):
        validate_request(PlanRequest, {"model": "m", field: True})
    assert validate_request(PlanRequest, {"model": "m", "trust_remote_code": True})


def test_requests_do_not_change() -> None:
    request = validate_request(PlanRequest, MODEL)
    with pytest.raises(ValueError, match="frozen"):
        request.concurrency = 2  # pyright: ignore[reportAttributeAccessIssue]
