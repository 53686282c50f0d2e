"""Recipes on their verified hardware: each exception has vLLM's own reason, or is one of ours."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from benchmarks.recipes import Case, arguments_of, cases, named_size, predicted

# The recipe leaves out a length its machine needs: vLLM refuses it with the same sentence.
TOO_LONG = {
    "google/gemma-4-31B-it",
    "MiniMaxAI/MiniMax-M3",
    "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
    "Qwen/Qwen3-VL-235B-A22B-Instruct",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct",
}
# Block size 1 is a rule of ROCm's MLA backends.
PLATFORM_RULE = {"deepseek-ai/DeepSeek-V3.2-Exp"}
# The recipe writes a flag or a key that the parser of 0.33 does not have.
MISSPELT = {
    "nvidia/NVIDIA-Nemotron-Nano-9B-v2",
    "deepseek-ai/DeepSeek-V4-Flash-0731",
    "deepseek-ai/DeepSeek-V4-Pro-0813",
    "inclusionAI/Ring-1T-FP8",
}


@pytest.fixture(scope="module")
def launches(shared_dir: Path) -> list[Case]:
    return list(cases(shared_dir / "data" / "recipes.jsonl", least=False))


def test_what_recipes_start_starts_here(launches: list[Case]) -> None:
    words: Counter[str] = Counter()
    failing: set[str] = set()
    for case in launches:
        outcome = predicted(case)
        words[outcome.word] += 1
        if outcome.word in ("does not start", "refused", "not understood"):
            failing.add(case.model)
    assert failing <= TOO_LONG | PLATFORM_RULE | MISSPELT
    # On other vendors' cards nothing is promised.
    assert words["starts"] >= 104 and words["starts"] + words["not modelled"] >= 215


def test_parts_of_a_recipe_are_joined_as_its_page_does() -> None:
    recipe = {
        "model": {"model_id": "a/b", "base_args": ["--max-model-len auto", "--trust-remote-code"]},
        "features": {"reasoning": {"args": ["--reasoning-parser", "qwen3"]}},
        "hardware_overrides": {"amd": {"extra_args": ["--tensor-parallel-size", "2"]}},
    }
    words = arguments_of(recipe, {"extra_args": ["--tensor-parallel-size", "4"]}, "mi300x")
    assert words[:3] == ["--max-model-len", "auto", "--trust-remote-code"]
    assert named_size(words) == 2
    assert named_size(arguments_of(recipe, {}, "h100")) is None
