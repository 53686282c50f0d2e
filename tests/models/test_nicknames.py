"""What people call models, resolved against the catalogue or listed."""

from __future__ import annotations

import pytest

from vllm_preflight.models.nicknames import Meaning, meant_by


@pytest.mark.parametrize(
    ("nickname", "model"),
    [
        ("llama 3.1 8b", "meta-llama/Llama-3.1-8B-Instruct"),
        ("llama3.1:70b", "meta-llama/Llama-3.1-70B-Instruct"),
        ("llama 3.3 70b", "meta-llama/Llama-3.3-70B-Instruct"),
        ("deepseek r1", "deepseek-ai/DeepSeek-R1"),
        ("deepseek-r1", "deepseek-ai/DeepSeek-R1"),
        ("deepseek v3", "deepseek-ai/DeepSeek-V3"),
        ("qwen3:32b", "Qwen/Qwen3-32B"),
        ("qwen 2.5 7b instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B"),
        ("gpt oss 120b", "openai/gpt-oss-120b"),
        ("gemma 3 27b", "google/gemma-3-27b-it"),
        ("glm 4.6", "zai-org/GLM-4.6"),
        ("bge-m3", "BAAI/bge-m3"),
        ("Qwen3-8B", "Qwen/Qwen3-8B"),
    ],
)
def test_a_clear_nickname_means_one_model(nickname: str, model: str) -> None:
    assert meant_by(nickname) == Meaning((model,), clear=True)


def test_an_open_nickname_means_several() -> None:
    found = meant_by("mistral 7b")
    assert not found.clear
    assert "mistralai/Mistral-7B-Instruct-v0.3" in found.models


def test_a_name_with_words_left_is_near_and_not_meant() -> None:
    found = meant_by("llama 4 scout")
    assert not found.clear
    assert "meta-llama/Llama-4-Scout-17B-16E-Instruct" in found.models


@pytest.mark.parametrize(
    "text",
    ["", "llama", "8b", "no such model", "Qwen/Qwen3-8B", "a/b", "../x y", "x" * 200, "é 8b"],
)
def test_what_is_no_nickname_means_nothing(text: str) -> None:
    assert meant_by(text) == Meaning()
