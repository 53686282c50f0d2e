from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.model import Model
from vllm_preflight.models.overrides import override_config
from vllm_preflight.models.quantization import read_quantization

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "vocab_size": 256,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
    "text_config": {"a": 1, "b": 2},
}


@pytest.fixture
def model() -> Model:
    return Model("m", "local", "", CONFIG, read_architecture(CONFIG), read_quantization(CONFIG))


def test_overridden_keys_change_the_facts(model: Model) -> None:
    changed = override_config(model, {"num_hidden_layers": 1, "max_position_embeddings": 8192})
    assert len(changed.architecture.layers) == 1
    assert changed.architecture.max_position == 8192
    assert changed.notes == ("The config's max_position_embeddings, num_hidden_layers are "
                             "overridden.",)  # fmt: skip
    assert len(model.architecture.layers) == 2


def test_nested_configs_are_overridden_key_by_key(model: Model) -> None:
    changed = override_config(model, {"text_config": {"b": 3}})
    assert changed.config["text_config"] == {"a": 1, "b": 3}


def test_nothing_to_override_is_the_model_itself(model: Model) -> None:
    assert override_config(model, {}) is model


def test_an_override_can_make_a_config_unreadable(model: Model) -> None:
    with pytest.raises(UnsupportedArchitecture):
        override_config(model, {"model_type": "nothing_like_it"})
