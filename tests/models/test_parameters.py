"""Parameter counts against published totals, and the parts they are made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.parameters import ParameterCount, count_parameters

# Published totals (safetensors headers on the Hub), one per kind of architecture.
PUBLISHED = {
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "google/gemma-2-9b-it": 9_241_705_984,
    "microsoft/phi-4": 14_659_507_200,
    "allenai/OLMo-2-1124-7B-Instruct": 7_298_617_344,
    "openai-community/gpt2": 137_022_720,
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1": 49_867_145_216,
    "mistralai/Mixtral-8x7B-Instruct-v0.1": 46_702_792_704,
    "Qwen/Qwen3-30B-A3B": 30_532_122_624,
    "zai-org/GLM-4.5": 358_337_791_296,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "google/gemma-4-26B-A4B-it": 25_805_936_206,
    "meta-llama/Llama-3.2-11B-Vision-Instruct": 10_670_220_835,
    "microsoft/Phi-3.5-vision-instruct": 4_146_621_440,
    "BAAI/bge-large-en": 335_141_888,
    "nomic-ai/nomic-embed-text-v1.5": 136_731_648,
}


def count(model: str) -> ParameterCount:
    entry = catalog_entry(model)
    assert entry is not None
    return count_parameters(read_architecture(entry.config))


@pytest.mark.parametrize("model", PUBLISHED)
def test_total_is_the_published_one(model: str) -> None:
    assert count(model).total == PUBLISHED[model]


@pytest.mark.parametrize("model", PUBLISHED)
def test_parts_add_up(model: str) -> None:
    found = count(model)
    parts = (
        found.embeddings,
        found.attention,
        found.mlp,
        found.experts,
        found.norms,
        found.head,
        found.vision,
        found.audio,
        found.predictor,
    )
    assert sum(parts) == found.total


def test_parts_of_a_dense_model() -> None:
    found = count("meta-llama/Llama-3.1-8B-Instruct")
    hidden, layers, vocabulary = 4096, 32, 128256
    assert found.embeddings == found.head == vocabulary * hidden
    assert found.attention == layers * 2 * (hidden * hidden + hidden * 1024)
    assert found.mlp == layers * 3 * hidden * 14336
    assert found.norms == (2 * layers + 1) * hidden
    assert found.active == found.total
    assert found.tied_head == 0


def test_active_counts_visited_experts_only() -> None:
    found = count("Qwen/Qwen3-30B-A3B")
    assert found.active == found.total - found.experts + found.experts * 8 // 128


@pytest.mark.parametrize(
    ("model", "published"),
    [
        # "Total minus inactive experts", published with the models.
        ("allenai/OLMoE-1B-7B-0125-Instruct", 1_282_017_280),
        ("Qwen/Qwen3-Coder-Next", 3_874_929_408),
    ],
)
def test_active_is_the_published_one(model: str, published: int) -> None:
    assert count(model).active == published


def test_towers_and_predictors_are_not_active() -> None:
    seeing = count("Qwen/Qwen2.5-VL-7B-Instruct")
    assert seeing.vision > 0
    assert seeing.active == seeing.total - seeing.vision
    predicting = count("zai-org/GLM-4.5")
    assert predicting.predictor > 0
    assert predicting.active < predicting.total - predicting.predictor


def test_a_tied_head_may_be_stored() -> None:
    # The checkpoint of Qwen3-0.6B holds the copy, that of Qwen3-4B does not.
    small = count("Qwen/Qwen3-0.6B")
    assert small.tied_head == 151936 * 1024
    assert 751_632_384 in small.published
    assert small.head == 0


def test_predictor_copies_may_be_left_out() -> None:
    # GLM-4.6 has the config of GLM-4.5 and stores no copies in its prediction layer.
    found = count("zai-org/GLM-4.5")
    assert found.predictor_copies == 2 * 151552 * 5120
    assert 356_785_898_816 in found.published


def test_benchmark_passes_without_shared_data(repository: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "benchmarks/parameters.py", "--shared", str(tmp_path)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "embedded catalogue" in run.stdout
