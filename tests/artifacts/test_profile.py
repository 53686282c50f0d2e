"""Profiles: saved, loaded and planned again, the answer is the same to the byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vllm_preflight.artifacts.profile import (
    PROFILE_VERSION,
    Profile,
    changed_plan,
    plan_of,
    read_profile,
    write_profile,
)
from vllm_preflight.artifacts.request import GenerateRequest
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.questions.plan import plan_deployment

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=40)


def request(**fields: Any) -> PlanRequest:
    return validate_request(PlanRequest, {"model": "Qwen/Qwen3-8B", "gpu": "H100", **fields})


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {"model": TEXTS},
        optional={
            "revision": TEXTS | st.sampled_from(["2024-01-01", "0o17", "1_000", "yes", "1e5", "~"]),
            "tokenizer": TEXTS,
            "fragmentation_factor": st.floats(1.0, 4.0),
            "headroom_gb": st.floats(0, 1e6),
            "concurrency": st.integers(1, 10**6),
            "streaming": st.booleans(),
            "speculative_config": st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=2).map(
                json.dumps
            ),
            "enforce_eager": st.none() | st.booleans(),
        },
    ),
    TEXTS,
)
@example({"model": "a\x85b"}, "x")
@example({"model": "a\u2028b\n c\n"}, "x")
@example({"model": " a \n\n"}, "\x85")
def test_any_request_comes_back(fields: dict[str, Any], head: str) -> None:
    asked = validate_request(PlanRequest, fields)
    found = read_profile(write_profile(Profile(asked), head)).request
    assert found == asked and found.model_fields_set == asked.model_fields_set


@pytest.mark.parametrize("gpu", load_catalog(), ids=lambda gpu: gpu.name)
def test_any_hardware_comes_back(gpu: Any) -> None:
    hardware = Hardware(gpu, 4, 2, "pcie", free_bytes=7 * 2**30 + 1, notes=("A note: 'x'\n",))
    saved = Profile(request(gpu="auto"), hardware)
    assert read_profile(write_profile(saved, "x")) == saved


@pytest.mark.parametrize(
    "fields",
    [
        {"concurrency": 16, "prompt_tokens": 4096},
        {"gpus": 16, "nodes": 2, "model": "deepseek-ai/DeepSeek-R1", "kv_cache_dtype": "fp8"},
        {"gpu": "L4", "gpus": 1, "model": "Qwen/Qwen3-32B"},
        {
            "vllm_version": "0.11.0",
            "limit_mm_per_prompt": {"image": 2},
            "gpu_memory_utilization": 0.85,
        },
    ],
)
def test_planning_again_gives_the_same_bytes(fields: dict[str, Any]) -> None:
    asked = request(**fields)
    again = read_profile(write_profile(Profile(asked), "plan"))
    first, second = plan_deployment(asked), plan_deployment(again.request, hardware=again.hardware)
    assert json.dumps(first.to_json_dict()) == json.dumps(second.to_json_dict())


def test_planning_again_on_detected_gpus_gives_the_same_bytes_anywhere() -> None:
    gpu = find_gpu("H100")
    hardware = Hardware(gpu, 2, 1, "nvlink", free_bytes=gpu.visible_bytes - 2**30)
    asked = request(gpu="auto")
    again = read_profile(write_profile(Profile(asked, hardware), "plan"))
    first = plan_deployment(asked, hardware=hardware)
    second = plan_deployment(again.request, hardware=again.hardware)
    assert json.dumps(first.to_json_dict()) == json.dumps(second.to_json_dict())


def test_a_profile_says_what_was_asked_and_no_defaults() -> None:
    document = yaml.safe_load(write_profile(Profile(request(concurrency=4)), "x"))
    assert document == {
        "vllm_preflight_profile": PROFILE_VERSION,
        "request": {"model": "Qwen/Qwen3-8B", "gpu": "H100", "concurrency": 4},
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"model": "Qwen/Qwen3-8B", "gpu": "H100", "concurrency": 4}',
        "model: Qwen/Qwen3-8B\ngpu: H100\nconcurrency: 4\n",
        "vllm_preflight_profile: 1\nrequest: {model: Qwen/Qwen3-8B, gpu: H100, concurrency: 4}\n",
    ],
)
def test_older_profiles_are_migrated(text: str) -> None:
    assert read_profile(text) == Profile(request(concurrency=4))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vllm_preflight_profile: 3\nrequest: {model: m}", "version 3; this release reads up to 2"),
        ("vllm_preflight_profile: yes\nrequest: {model: m}", "no version"),
        ("vllm_preflight_profile: 2", "request is no mapping"),
        ("vllm_preflight_profile: 2\nrequest: {model: m}\nrequets: {}", "no requets"),
        ("- a\n- b", "no mapping"),
        ("a: [", "no YAML or JSON near line"),
        ("model: &x m\ntokenizer: *x", "alias"),
        ("model: m\nconcurency: 3", "did you mean 'concurrency'"),
        ("model: m\nrevision: 2024-01-01", "revision"),
        ("vllm_preflight_profile: 2\nrequest: {model: m}\nhardware: {gpu: {name: x}}", "gpu"),
        ("x" * 1_000_001, "1,000,000"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
    ],
)  # fmt: skip
def test_what_is_no_profile_is_refused_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        read_profile(text)


def test_fields_go_over_arguments_and_those_over_the_profile() -> None:
    saved = write_profile(Profile(request(concurrency=4, gen_tokens=8, gpus=2)), "x")
    asked = GenerateRequest(
        profile=saved, arguments='{"gen_tokens": 16, "concurrency": 5}', concurrency=6
    )
    found = plan_of(asked).request
    assert (found.concurrency, found.gen_tokens, found.gpus) == (6, 16, 2)


def test_other_gpus_drop_the_hardware_that_was_found() -> None:
    saved = Profile(request(gpu="auto"), Hardware(load_catalog()[0], 2, 1, "pcie"))
    assert changed_plan(saved, {"concurrency": 9}).hardware == saved.hardware
    assert changed_plan(saved, {"gpu": "L4"}).hardware is None


def test_without_a_model_nothing_is_planned() -> None:
    with pytest.raises(InvalidRequest, match="No model is named"):
        plan_of(GenerateRequest(gpu="H100"))
