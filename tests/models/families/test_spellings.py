"""Configs that transformers 5 writes again: other names of the same layers and text models."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from benchmarks.architectures import cases

from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.parameters import count_parameters

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    case.name: case.config for case in cases() if case.config is not None
}
LETTERS = {"M": "linear_attention", "-": "mlp", "*": "full_attention", "E": "moe"}


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    read, again = read_architecture(one), read_architecture(other)
    assert count_parameters(read).total == count_parameters(again).total
    assert [layer.caches for layer in read.layers] == [layer.caches for layer in again.layers]


@pytest.mark.parametrize("key", ["layers_block_type", "layer_types"])
def test_the_layers_of_nemotron_h(key: str) -> None:
    config = dict(CONFIGS["NemotronHForCausalLM"])
    pattern = config.pop("hybrid_override_pattern")
    kinds = [LETTERS[letter] for letter in pattern]
    same(CONFIGS["NemotronHForCausalLM"], {**config, key: kinds})


def test_the_layers_of_granite() -> None:
    config = dict(CONFIGS["GraniteMoeHybridForCausalLM"])
    count = config["num_hidden_layers"]
    old = ["attention" if index % 4 == 3 else "mamba" for index in range(count)]
    new = ["full_attention" if index % 4 == 3 else "linear_attention" for index in range(count)]
    same({**config, "layer_types": old}, {**config, "layer_types": new})


@pytest.mark.parametrize(
    ("name", "text_type"),
    [
        ("MiniMaxM3SparseForConditionalGeneration", "minimax_m3_vl_text"),
        ("PaddleOCRVLForConditionalGeneration", "paddleocr_vl_text"),
        ("UnlimitedOCRForCausalLM", "unlimited_ocr_text"),
    ],
)
def test_text_models_named_after_their_wrapper(name: str, text_type: str) -> None:
    config = copy.deepcopy(dict(CONFIGS[name]))
    key = next(key for key in ("text_config", "language_config") if key in config)
    config[key]["model_type"] = text_type
    same(CONFIGS[name], config)
