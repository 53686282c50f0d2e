"""Bytes of files against the config's quantisation."""

from __future__ import annotations

import pytest

from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.quantization import read_quantization
from vllm_preflight.models.stored_bytes import contradiction


@pytest.mark.parametrize(
    ("model", "bytes_per_parameter", "words"),
    [
        ("Qwen/Qwen3-8B", 2.0, None),
        ("Qwen/Qwen3-8B", 4.0, None),
        ("Qwen/Qwen3-8B", 1.02, "names no quantisation"),
        ("Qwen/Qwen3-8B", 0.05, None),
        ("Qwen/Qwen3-8B-FP8", 1.1, None),
        ("Qwen/Qwen3-8B-FP8", 2.0, "says they are quantised"),
        ("openai/gpt-oss-20b", 0.66, None),
    ],
)
def test_bytes_that_cannot_be_are_a_warning(
    model: str, bytes_per_parameter: float, words: str | None
) -> None:
    entry = catalog_entry(model)
    assert entry is not None and entry.params_total is not None
    found = contradiction(
        read_architecture(entry.config),
        read_quantization(entry.config),
        round(bytes_per_parameter * entry.params_total),
    )
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_no_bytes_contradict_nothing() -> None:
    entry = catalog_entry("Qwen/Qwen3-8B")
    assert entry is not None
    architecture = read_architecture(entry.config)
    assert contradiction(architecture, read_quantization(entry.config), None) == ()
