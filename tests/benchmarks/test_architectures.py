"""The registry's classes: each measured one has the weights and caches of vLLM's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.architectures import CASES, TARGETS, Case, cases, shares, verdict
from scripts.build_architectures import document

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.config_reader import read_architecture

SIZE_LIMIT = 600_000
# Measured, and still refused.
REFUSED = {
    "DiffusionGemmaForBlockDiffusion",
    "EmbeddingGemma2Model",
    "InklingForCausalLM",
    "InklingForConditionalGeneration",
    "VibeVoiceAsrForConditionalGeneration",
}
MEASURED = [case for case in cases() if case.weights and case.name not in REFUSED]


def test_set_is_small_and_covers_the_registry() -> None:
    assert CASES.stat().st_size <= SIZE_LIMIT
    assert len(cases()) >= 340
    assert len(MEASURED) >= 260
    assert {case.category for case in cases()} == {*TARGETS, "run by transformers"}


@pytest.mark.parametrize("case", MEASURED, ids=lambda case: f"{case.category}-{case.name}")
def test_class_holds_what_vllm_allocates(case: Case) -> None:
    found = verdict(case)
    assert not found.refused
    assert found.agrees, (found.errors, found.caches)


def test_enough_classes_are_understood() -> None:
    found = shares([verdict(case) for case in cases()])
    for category, target in TARGETS.items():
        good, total = found[category]
        assert good / total >= target, category


def test_a_refused_class_says_why() -> None:
    refused = [found for case in cases() if (found := verdict(case)).refused]
    silent = ("is not supported.", "no config of the class is at hand")
    assert not [found.case.name for found in refused if found.refused.endswith(silent)]


def test_a_class_that_needs_other_files_is_refused_with_its_reason() -> None:
    config = {"model_type": "qwen3_5", "architectures": ["ClefFlashForJointSchema"]}
    with pytest.raises(UnsupportedArchitecture, match="beside the checkpoint"):
        read_architecture(config)


def test_page_is_what_the_script_writes(repository: Path) -> None:
    assert (repository / "docs" / "architectures.md").read_text(encoding="utf-8") == document()
