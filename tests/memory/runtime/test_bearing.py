"""What launches may share: only what would come out the same for each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.launch import Launch, LaunchProblem, Lora
from vllm_preflight.memory.runtime.bearing import (
    WITHOUT_BEARING,
    RuntimeLaunch,
    sized_by_length,
)
from vllm_preflight.memory.runtime.coefficients import load_coefficients
from vllm_preflight.memory.runtime.phases import RuntimeParts, runtime_parts
from vllm_preflight.memory.runtime.runtime import runtime_memory
from vllm_preflight.models.sources import load_model

LaunchOf = Callable[..., Launch]
# Dense, windowed, mixtures, latent, hybrid, with towers, embedding.
MODELS = (
    "Qwen/Qwen3-32B",
    "google/gemma-3-27b-it",
    "openai/gpt-oss-120b",
    "deepseek-ai/DeepSeek-V3.2",
    "deepseek-ai/DeepSeek-V2-Lite",
    "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "Qwen/Qwen3-VL-32B-Instruct",
    "BAAI/bge-m3",
)
RELEASES = ((0, 9, 2), (0, 19, 0), (0, 26, 0), (0, 33, 0))
OTHER: dict[str, Any] = {
    "gpu_memory_utilization": 0.5,
    "kv_cache_memory_bytes": 2**30,
    "num_gpu_blocks_override": 77,
    "free_bytes": 2**33,
    "max_model_len_auto": True,
    "version_assumed": True,
    "defaulted": frozenset({"max_num_seqs"}),
    "problems": (LaunchProblem("no"),),
    "warnings": ("mind",),
    "reasons": {"dtype": "given"},
}


def parts(name: str, launch: Launch, gpu: str = "H100") -> RuntimeParts:
    model = load_model(name, source="catalog")
    return runtime_parts(model, launch, find_gpu(gpu), load_coefficients())


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_left_out_of_the_key_moves_nothing(
    launch_of: LaunchOf, name: str, version: tuple[int, int, int]
) -> None:
    assert OTHER.keys() == WITHOUT_BEARING
    model = load_model(name, source="catalog")
    for runner in ("v1", "v2"):
        launch = launch_of(version=version, model_runner=runner)
        changes = dict(OTHER)
        if not sized_by_length(launch, model):
            changes["max_model_len"] = launch.max_model_len * 3
        other = replace(launch, **changes)
        assert RuntimeLaunch.of(other, model) == RuntimeLaunch.of(launch, model)
        for gpu in ("H100", "L4", "B200"):
            assert parts(name, other, gpu) == parts(name, launch, gpu)


def test_the_length_bears_on_latent_attention_and_on_the_first_runner(launch_of: LaunchOf) -> None:
    for name, runner in (("deepseek-ai/DeepSeek-V2-Lite", "v2"), ("Qwen/Qwen3-32B", "v1")):
        launch = launch_of(model_runner=runner, max_model_len=2048, max_num_seqs=16)
        longer = replace(launch, max_model_len=launch.max_model_len + 4096)
        assert parts(name, longer) != parts(name, launch)
        model = load_model(name, source="catalog")
        assert RuntimeLaunch.of(longer, model) != RuntimeLaunch.of(launch, model)


def test_every_other_argument_is_in_the_key(launch_of: LaunchOf) -> None:
    model = load_model("Qwen/Qwen3-32B", source="catalog")
    launch = launch_of(model_runner="v1")
    changed: dict[str, Any] = {
        "limit_mm_per_prompt": {"image": 1},
        "environment": {"VLLM_USE_FLASHINFER_SAMPLER": "0"},
        "lora": Lora(4, 64),
    }
    for each in fields(Launch):
        if each.name in WITHOUT_BEARING:
            continue
        value = changed.get(each.name, "another")
        other = replace(launch, **{each.name: value})
        assert RuntimeLaunch.of(other, model) != RuntimeLaunch.of(launch, model), each.name


def test_launches_that_differ_in_length_alone_share_what_was_reckoned(
    launch_of: LaunchOf,
) -> None:
    model, gpu = load_model("Qwen/Qwen3-32B", source="catalog"), find_gpu("H100")
    launch = launch_of(model_runner="v2", version=(0, 33, 0))
    shorter = replace(launch, max_model_len=4096, gpu_memory_utilization=0.8)
    assert runtime_memory(model, shorter, gpu) is runtime_memory(model, launch, gpu)
    fewer = replace(launch, max_num_seqs=16)
    assert runtime_memory(model, fewer, gpu) is not runtime_memory(model, launch, gpu)
