"""Which releases run which models in the second model runner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.sources import load_model

H100 = find_gpu("H100 SXM5 80GB")


def launch(name: str, version: str, **arguments: Any) -> Launch:
    model = load_model(name, source="catalog")
    extra = arguments.pop("extra", {})
    environment = arguments.pop("environment", {})
    architecture: Architecture = arguments.pop("architecture", model.architecture)
    request = StartupRequest(model=name, vllm_version=version, **arguments)
    return resolve_launch(
        request, architecture, H100, extra=extra, environment=environment, config=model.config
    )


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Qwen/Qwen3-8B", "0.22.0"),
        ("meta-llama/Llama-3.1-8B-Instruct", "0.23.0"),
        ("Qwen/Qwen3-8B-FP8", "0.24.0"),
        ("Qwen/Qwen1.5-MoE-A2.7B", "0.24.0"),
        ("google/gemma-2-9b-it", "0.25.0"),
        ("Qwen/Qwen2.5-7B-Instruct", "0.25.0"),
        ("Qwen/Qwen3-30B-A3B", "0.29.0"),
        ("openai/gpt-oss-20b", "0.29.0"),
        ("LiquidAI/LFM2-1.2B", "0.29.0"),
    ],
)
def test_the_second_runner_came_model_by_model(name: str, first: str) -> None:
    releases = [f"0.{minor}.0" for minor in range(19, 34)]
    second = [release for release in releases if launch(name, release).model_runner == "v2"]
    assert second == releases[releases.index(first) :]


def test_pooling_follows_with_the_last_models() -> None:
    pooling = {"extra": {"runner": "pooling"}}
    assert launch("Qwen/Qwen3-8B", "0.28.0", **pooling).model_runner == "v1"
    assert launch("Qwen/Qwen3-8B", "0.29.0", **pooling).model_runner == "v2"


def test_drafts_the_second_runner_lacks_keep_the_first() -> None:
    ngram = '{"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 3}'
    runners = {
        version: launch("Qwen/Qwen3-8B", version, speculative_config=ngram).model_runner
        for version in ("0.25.0", "0.30.0", "0.32.0", "0.33.0")
    }
    assert runners == {"0.25.0": "v1", "0.30.0": "v1", "0.32.0": "v2", "0.33.0": "v2"}


def test_the_variable_and_missing_features_decide_first() -> None:
    variable = "VLLM_USE_V2_MODEL_RUNNER"
    name = "Qwen/Qwen3-8B"
    assert launch(name, "0.33.0", environment={variable: "0"}).model_runner == "v1"
    assert launch(name, "0.21.0", environment={variable: "1"}).model_runner == "v2"
    assert launch(name, "0.26.0", extra={"enable_dbo": True}).model_runner == "v1"


def test_an_unlisted_class_of_a_listed_shape_stays_in_the_first() -> None:
    llama = load_model("meta-llama/Llama-3.1-8B-Instruct", source="catalog").architecture
    other = replace(llama, architecture="ArceeForCausalLM")
    name = "meta-llama/Llama-3.1-8B-Instruct"
    assert launch(name, "0.24.0", architecture=other).model_runner == "v1"
    assert launch(name, "0.25.0", architecture=other).model_runner == "v2"


def test_dspark_drafts_run_in_the_second_runner_alone() -> None:
    dspark = '{"method": "dspark", "num_speculative_tokens": 5}'
    name = "deepseek-ai/DeepSeek-V4-Flash-0731"
    drafting = launch(name, "0.27.1", speculative_config=dspark)
    assert drafting.model_runner == "v2" and drafting.async_scheduling
    assert launch(name, "0.27.1").model_runner == "v1"


def test_some_classes_stay_in_the_first_runner_on_amd() -> None:
    model = load_model("deepseek-ai/DeepSeek-V3.2", source="catalog")
    request = StartupRequest(model=model.id, vllm_version="0.29.0")
    runners = {
        card: resolve_launch(
            request, model.architecture, find_gpu(card), config=model.config
        ).model_runner
        for card in ("H100 SXM5 80GB", "Instinct MI300X")
    }
    assert runners == {"H100 SXM5 80GB": "v2", "Instinct MI300X": "v1"}
