"""Text encoders: no cache, positions, heads and what vLLM leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.models.architecture import Architecture, AttentionCache
from vllm_preflight.models.config_reader import read_architecture

BASE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 1000,
    "max_position_embeddings": 514,
    "torch_dtype": "float32",
}


def read(model_type: str, **keys: Any) -> Architecture:
    return read_architecture({**BASE, "model_type": model_type, **keys})


@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta", "modernbert"])
def test_encoders_embed_and_cache_nothing(model_type: str) -> None:
    found = read(model_type)
    assert found.task == "embed"
    kept = [cache for layer in found.layers for cache in layer.caches]
    assert len(kept) == 2
    assert all(isinstance(cache, AttentionCache) and cache.kind == "encoder_only" for cache in kept)


@pytest.mark.parametrize(("model_type", "longest"), [("bert", 514), ("roberta", 512)])
def test_the_longest_length_leaves_the_rows_of_padding_out(model_type: str, longest: int) -> None:
    assert read(model_type).max_position == longest


def test_rotary_encoders_have_no_position_table() -> None:
    rotary, learned = read("modernbert"), read("bert")
    assert [(rope.positions, rope.dim) for rope in rotary.ropes] == [(514, 16)] * 2
    assert not any("position" in weight.name for weight in rotary.embeddings)
    assert learned.ropes == ()
    assert any("position_embeddings" in weight.name for weight in learned.embeddings)


def test_the_pooler_is_stored_but_not_loaded() -> None:
    assert sum(weight.elements for weight in read("bert").unloaded) == 64 * 64 + 64


def test_a_classifier_replaces_the_pooler() -> None:
    found = read("xlm-roberta", architectures=["XLMRobertaForSequenceClassification"])
    assert found.unloaded == ()
    assert sum(weight.elements for weight in found.head) == 64 * 64 + 64 + 2 * 64 + 2
    three = read(
        "xlm-roberta",
        architectures=["XLMRobertaForSequenceClassification"],
        id2label={"0": "a", "1": "b", "2": "c"},
    )
    assert sum(weight.elements for weight in three.head) == 64 * 64 + 64 + 3 * 64 + 3
