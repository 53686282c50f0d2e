"""Heads of speculative decoding, read from their own configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Architecture, AttentionCache, LatentCache, Weight
from vllm_preflight.models.config_reader import read_architecture

# A decoder layer of Llama-3.1-8B's dimensions.
LAYER: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 1,
    "vocab_size": 128256,
    "max_position_embeddings": 2048,
    "torch_dtype": "bfloat16",
}
QWEN = {**LAYER, "model_type": "qwen3", "head_dim": 128}
EAGLE3 = {**LAYER, "architectures": ["LlamaForCausalLMEagle3"], "draft_vocab_size": 32000}


def weight(head: Architecture, name: str) -> Weight:
    (found,) = [item for item in (*head.head, *head.layers[0].weights) if item.name == name]
    return found


def names(head: Architecture) -> set[str]:
    return {item.name for item in head.head}


def test_an_eagle3_head_joins_three_states_and_reads_the_embedding_beside_them() -> None:
    head = read_architecture(EAGLE3)
    assert head.drafts == "eagle3"
    fused, query = weight(head, "fc"), weight(head, "self_attn.q_proj")
    assert (fused.rows, fused.columns) == (4096, 3 * 4096)
    assert (query.rows, query.columns) == (4096, 2 * 4096)
    assert weight(head, "lm_head").rows == 32000
    assert weight(head, "draft_id_to_target_id").dtype == "int64"
    assert head.layers[0].caches == (AttentionCache(8, 128, 128, 32),)


def test_only_the_first_layer_of_an_eagle3_head_is_wide() -> None:
    head = read_architecture({**EAGLE3, "num_hidden_layers": 2})
    widths = [
        item.columns
        for layer in head.layers
        for item in layer.weights
        if item.name == "self_attn.q_proj"
    ]
    assert widths == [8192, 4096]


def test_a_target_of_another_width_decides_the_projection() -> None:
    head = read_architecture({**EAGLE3, "target_hidden_size": 8192, "num_aux_hidden_states": 4})
    assert weight(head, "fc").columns == 4 * 8192


def test_a_head_over_the_whole_vocabulary_needs_no_map() -> None:
    head = read_architecture({**EAGLE3, "draft_vocab_size": None})
    assert weight(head, "lm_head").rows == 128256
    assert "draft_id_to_target_id" not in names(head)


def test_speculators_configs_keep_their_layers_inside() -> None:
    config = {
        "speculators_model_type": "eagle3",
        "draft_vocab_size": 32000,
        "norm_before_fc": True,
        "transformer_layer_config": QWEN,
        "speculators_config": {"verifier": {"name_or_path": "Qwen/Qwen3-8B"}},
    }
    head = read_architecture(config)
    assert (head.drafts, head.model_type) == ("eagle3", "qwen3")
    assert weight(head, "input_norm").rows == 3 * 4096


def test_an_mla_head_keeps_latent_vectors() -> None:
    latent = {
        **LAYER,
        "model_type": "deepseek_v3",
        "q_lora_rank": 1536,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "first_k_dense_replace": 1,
        "architectures": ["Eagle3DeepseekV2ForCausalLM"],
    }
    head = read_architecture(latent)
    assert isinstance(head.layers[0].caches[0], LatentCache)
    assert weight(head, "self_attn.q_a_proj").columns == 2 * 4096


def test_an_eagle_head_has_no_output_head_and_joins_one_state() -> None:
    head = read_architecture({**LAYER, "architectures": ["EagleLlamaForCausalLM"]})
    assert head.drafts == "eagle"
    assert weight(head, "fc").columns == 2 * 4096
    assert names(head) == {"fc"}


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({}, [None, None]),
        ({"dflash_config": {"use_swa": True, "swa_window_size": 512}}, [512, 512]),
        (
            {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 1024},
            [1024, None],
        ),
    ],
)
def test_dflash_layers_slide_as_the_config_says(
    changes: dict[str, Any], windows: list[int | None]
) -> None:
    config = {**QWEN, "architectures": ["DFlashDraftModel"], "num_hidden_layers": 2, **changes}
    head = read_architecture(config)
    caches = [layer.caches[0] for layer in head.layers]
    assert [c.window for c in caches if isinstance(c, AttentionCache)] == windows


def test_a_dflash_head_copies_its_key_and_value_projections() -> None:
    config = {
        **QWEN,
        "architectures": ["DFlashDraftModel"],
        "num_hidden_layers": 5,
        "dflash_config": {"target_layer_ids": [1, 9, 17, 25]},
    }
    head = read_architecture(config)
    assert weight(head, "fc").columns == 4 * 4096
    copied = sum(w.elements for w in head.head if w.name == "context_kv_proj")
    assert copied == 5 * 2 * 1024 * 4096
    assert "lm_head" not in names(head)


def test_a_dspark_head_adds_a_markov_and_a_confidence_head() -> None:
    config = {
        **QWEN,
        "architectures": ["Qwen3DSparkModel"],
        "markov_rank": 256,
        "target_layer_ids": [1, 2],
        "enable_confidence_head": True,
        "confidence_head_with_markov": True,
    }
    head = read_architecture(config)
    assert head.drafts == "dspark"
    assert weight(head, "markov_head.markov_w1").elements == 128256 * 256
    assert weight(head, "confidence_head.proj").rows == 4096 + 256 + 1


def test_medusa_keeps_a_head_for_each_token_and_no_cache() -> None:
    config = {"model_type": "medusa", "hidden_size": 4096, "vocab_size": 32000, "num_heads": 3}
    head = read_architecture(config)
    assert head.layers == ()
    assert sum(w.elements for w in head.head) == 3 * (4096 * 4096 + 32000 * 4096)


@pytest.mark.parametrize(
    "config",
    [
        {**LAYER, "architectures": ["EagleMistralForCausalLM"], "model_type": "mistral"},
        {**LAYER, "model_type": "mlp_speculator"},
        {**LAYER, "speculators_model_type": "unheard"},
        {**QWEN, "architectures": ["DFlashDraftModel"], "dflash_config": {"use_swa": True}},
        {**LAYER, "model_type": "gemma4_text", "architectures": ["Gemma4DSparkModel"]},
    ],
)
def test_heads_that_are_not_understood_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedArchitecture):
        read_architecture(config)


def test_a_vision_model_named_like_a_head_is_none() -> None:
    with pytest.raises(UnsupportedArchitecture, match="supported"):
        read_architecture(
            {"model_type": "eagle_2_5", "architectures": ["Eagle2_5_VLForConditionalGeneration"]}
        )


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "deepseek_v3"])
def test_every_class_of_vllm_s_drafts_is_a_head_or_refused(
    shared_dir: Path, model_type: str
) -> None:
    registry = json.loads(
        (shared_dir / "data" / "vllm_0_33_registry.json").read_text(encoding="utf-8")
    )
    classes: list[str] = list(registry["categories"]["speculative_decoding"])
    assert len(classes) > 60
    read: list[str] = []
    for name in classes:
        try:
            head = read_architecture({**QWEN, "model_type": model_type, "architectures": [name]})
        except UnsupportedArchitecture:
            continue
        assert head.drafts, name
        read.append(name)
    assert len(read) < len(classes)
