"""Dispatch by model type and class, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import AttentionCache
from vllm_preflight.models.catalog.entries import catalog_entry, catalog_ids
from vllm_preflight.models.config_reader import READERS, read_architecture
from vllm_preflight.models.parameters import count_parameters

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def refusal(config: dict[str, Any]) -> UnsupportedArchitecture:
    with pytest.raises(UnsupportedArchitecture) as caught:
        read_architecture(config)
    assert caught.value.keys
    assert caught.value.message.endswith(".")
    return caught.value


def test_reads_a_plain_config() -> None:
    found = read_architecture(LLAMA)
    assert (found.model_type, found.architecture) == ("llama", "LlamaForCausalLM")
    assert (found.hidden_size, found.vocab_size, found.max_position) == (64, 100, 512)
    assert len(found.layers) == 2
    assert not found.tied_embeddings


@pytest.mark.design(
    "4: an architecture that is not understood is refused with the config keys that matter"
)
def test_an_unknown_type_is_refused_however_plain_it_looks() -> None:
    error = refusal({**LLAMA, "model_type": "mystery"})
    assert "'mystery'" in error.message
    assert "model_type" in error.keys


def test_an_unknown_wrapper_is_refused_though_its_text_model_is_known() -> None:
    error = refusal({"model_type": "mystery_vl", "text_config": LLAMA, "vision_config": {}})
    assert {"model_type", "text_config", "vision_config"} <= set(error.keys)


def test_a_known_wrapper_needs_a_known_text_model() -> None:
    error = refusal({"model_type": "gemma3", "text_config": {**LLAMA, "model_type": "mystery"}})
    assert error.keys == ("text_config.model_type",)


@pytest.mark.parametrize(
    ("name", "model_type"),
    [
        ("LlamaForCausalLM", "llama"),
        ("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl"),
        ("Gemma3ForCausalLM", "gemma3_text"),
        ("Gemma3ForConditionalGeneration", "gemma3"),
        ("DeciLMForCausalLM", "nemotron-nas"),
        ("XLMRobertaModel", "xlm-roberta"),
        ("GPT2LMHeadModel", "gpt2"),
    ],
)
def test_without_a_model_type_the_class_decides(name: str, model_type: str) -> None:
    for model in catalog_ids():
        entry = catalog_entry(model)
        assert entry is not None
        if name in (entry.config.get("architectures") or ()):
            config = {key: entry.config[key] for key in entry.config if key != "model_type"}
            whole = read_architecture(entry.config)
            assert read_architecture(config).layers == whole.layers
            return
    pytest.fail(f"no catalogued model has class {name}")


@pytest.mark.parametrize("classes", [None, [], "LlamaForCausalLM", ["Mystery"], [7], ["Model"]])
def test_without_model_type_and_known_class_it_is_refused(classes: Any) -> None:
    config = {key: LLAMA[key] for key in LLAMA if key not in ("model_type", "architectures")}
    refusal({**config, "architectures": classes})


@pytest.mark.parametrize(
    "key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"]
)
@pytest.mark.parametrize("value", [None, 0, -1, "64", 1.5, True, [64], {}, 2**70, float("nan")])
def test_impossible_numbers_name_their_key(key: str, value: Any) -> None:
    assert key in refusal({**LLAMA, key: value}).keys


def test_missing_numbers_name_their_key() -> None:
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"):
        assert key in refusal({name: LLAMA[name] for name in LLAMA if name != key}).keys


def test_whole_floats_count_as_integers() -> None:
    assert read_architecture({**LLAMA, "hidden_size": 64.0}).hidden_size == 64


def test_too_few_layer_types_are_refused() -> None:
    config = {**LLAMA, "sliding_window": 8, "layer_types": ["full_attention"]}
    assert "layer_types" in refusal(config).keys


def test_heads_that_do_not_divide_the_hidden_size_need_a_width() -> None:
    config = {**LLAMA, "num_attention_heads": 3}
    assert "head_dim" in refusal(config).keys
    assert read_architecture({**config, "head_dim": 16}).num_attention_heads == 3


def test_a_mixture_that_does_not_mention_experts_is_refused() -> None:
    assert "num_local_experts" in refusal({**LLAMA, "model_type": "mixtral"}).keys


def test_every_catalogued_whole_config_is_read() -> None:
    refused: list[str] = []
    for model in catalog_ids():
        entry = catalog_entry(model)
        assert entry is not None
        if entry.completeness == "full":
            try:
                read_architecture(entry.config)
            except UnsupportedArchitecture as error:
                refused.append(f"{model}: {error.message}")
    # Configs that leave out what decides: no model type, no vocabulary.
    assert len(refused) <= 6, refused


def test_known_types_are_many() -> None:
    assert len(READERS) > 270


def bases() -> list[dict[str, Any]]:
    """One catalogued config for each model type."""
    found: dict[str, dict[str, Any]] = {}
    for model in catalog_ids():
        entry = catalog_entry(model)
        assert entry is not None
        found[str(entry.config.get("model_type"))] = dict(entry.config)
    return list(found.values())


BASES = bases()
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    2**70,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "12",
    [],
    [1],
    [None],
    ["x"] * 3,
    {},
    {"a": 1},
]


def places(config: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Every key of a config and of the objects in it."""
    found: list[tuple[dict[str, Any], str]] = []
    for key, value in config.items():
        found.append((config, key))
        if isinstance(value, dict):
            found += places(value)  # pyright: ignore[reportUnknownArgumentType]
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_odd_configs_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    config = copy.deepcopy(data.draw(st.sampled_from(BASES)))
    for _ in range(data.draw(st.integers(1, 3))):
        where, key = data.draw(st.sampled_from(places(config)))
        if data.draw(st.booleans()):
            where[key] = copy.deepcopy(data.draw(st.sampled_from(ODD)))
        else:
            where.pop(key, None)
        if not config:
            break
    try:
        found = read_architecture(config)
    except UnsupportedArchitecture as error:
        assert error.keys
        assert error.hint
    else:
        assert found.layers
        assert count_parameters(found).total > 0


def test_an_explicit_null_turns_the_class_window_off() -> None:
    text: dict[str, Any] = {
        "model_type": "mistral",
        "hidden_size": 5120,
        "intermediate_size": 32768,
        "num_hidden_layers": 2,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 131072,
    }
    vision = {"model_type": "pixtral", "hidden_size": 1024, "intermediate_size": 4096}
    windows = {
        name: {
            cache.window
            for layer in read_architecture(
                {"model_type": "mistral3", "text_config": config, "vision_config": vision}
            ).layer_counts
            for cache in layer.caches
            if isinstance(cache, AttentionCache)
        }
        for name, config in (("silent", text), ("null", {**text, "sliding_window": None}))
    }
    assert windows == {"silent": {4096}, "null": {None}}
