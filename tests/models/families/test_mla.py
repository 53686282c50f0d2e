"""Families with latent attention: caches, published parameter counts, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    IndexerCache,
    LatentCache,
    Split,
)
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.sources import load_model

SMALL: Mapping[str, Any] = {
    "model_type": "deepseek_v3",
    "hidden_size": 64,
    "intermediate_size": 128,
    "moe_intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "topk_method": "noaux_tc",
    "vocab_size": 256,
    "max_position_embeddings": 512,
    "torch_dtype": "bfloat16",
}


def stored(architecture: Architecture) -> int:
    return sum(
        weight.elements * count
        for _, weight, count in architecture.all_weights()
        if weight.in_checkpoint
    )


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # safetensors totals as published on the Hub, prediction layers included
        ("deepseek-ai/DeepSeek-V2", 235_741_434_880),
        ("deepseek-ai/DeepSeek-R1", 684_489_845_504),
        ("deepseek-ai/DeepSeek-V4-Flash", 290_944_616_402),
        ("deepseek-ai/DeepSeek-V4-Pro", 1_598_839_674_782),
        ("zai-org/GLM-5", 753_864_139_008),
        ("zai-org/GLM-5.3", 753_329_940_480),
        ("zai-org/GLM-4.7-Flash", 31_221_488_576),
        ("tencent/Youtu-LLM-2B", 1_961_560_064),
    ],
)
def test_published_parameter_counts(name: str, parameters: int) -> None:
    assert stored(load_model(name, source="catalog").architecture) == parameters


def test_dense_layers_come_first_and_prediction_layers_apart() -> None:
    architecture = read_architecture({**SMALL, "num_nextn_predict_layers": 1})
    assert [layer.moe is not None for layer in architecture.layers] == [False, True, True, True]
    assert len(architecture.predictor_layers) == 1
    (moe,) = {layer.moe for layer in architecture.layers if layer.moe}
    assert (moe.num_experts, moe.experts_per_token, moe.shared_intermediate_size) == (8, 2, 32)


def test_latent_cache_and_its_projections() -> None:
    architecture = read_architecture(SMALL)
    layer = architecture.layers[0]
    assert layer.caches == (LatentCache(4, 16, 4, 8, 8),)
    weights = {weight.name: weight for weight in layer.weights}
    down = weights["self_attn.q_a_proj"]
    assert (down.rows, down.columns, down.split) == (24, 64, Split.REPLICATED)
    assert down.fused == weights["self_attn.kv_a_proj_with_mqa"].fused
    assert weights["self_attn.kv_b_proj"].split is Split.COLUMN
    # Both halves of the up-projection are kept again; no checkpoint holds the copies.
    copies = [weight for weight in layer.weights if weight.name.endswith(("W_UK_T", "W_UV"))]
    assert sum(weight.elements for weight in copies) == weights["self_attn.kv_b_proj"].elements
    assert not any(weight.in_checkpoint for weight in copies)


def test_without_a_query_rank_queries_are_projected_directly() -> None:
    architecture = read_architecture({**SMALL, "q_lora_rank": None})
    names = {weight.name for weight in architecture.layers[0].weights}
    assert "self_attn.q_proj" in names
    assert "self_attn.q_a_proj" not in names


def test_sparse_layers_have_an_indexer_unless_they_share_one() -> None:
    config = {
        **SMALL,
        "model_type": "glm_moe_dsa",
        "index_topk": 32,
        "index_n_heads": 2,
        "index_head_dim": 128,
        "indexer_types": ["full", "shared", "full", "shared"],
        "num_nextn_predict_layers": 1,
    }
    architecture = read_architecture(config)
    own = [IndexerCache(128) in layer.caches for layer in architecture.layers]
    assert own == [True, False, True, False]
    # A prediction layer never shares.
    assert IndexerCache(128) in architecture.predictor_layers[0].caches


def test_index_frequency_tells_who_shares() -> None:
    config = {
        **SMALL,
        "model_type": "glm_moe_dsa",
        "num_hidden_layers": 12,
        "index_topk": 32,
        "index_n_heads": 2,
        "index_head_dim": 128,
        "index_topk_freq": 4,
        "index_skip_topk_offset": 3,
    }
    architecture = read_architecture(config)
    own = [index for index, layer in enumerate(architecture.layers) if len(layer.caches) == 2]
    assert own == [0, 1, 2, 6, 10]


def test_models_vllm_runs_with_plain_heads() -> None:
    minicpm = {**SMALL, "model_type": "minicpm3", "n_routed_experts": None}
    assert read_architecture(minicpm).layers[0].caches == (AttentionCache(4, 12, 12, 4),)
    plain = {**SMALL, "model_type": "deepseek_v2", "use_mla": False, "kv_lora_rank": None}
    assert read_architecture(plain).layers[0].caches == (AttentionCache(4, 16, 16, 4),)


def test_longcat_keeps_two_latent_caches_a_layer() -> None:
    config = {
        **SMALL,
        "model_type": "longcat_flash",
        "ffn_hidden_size": 128,
        "expert_ffn_hidden_size": 32,
        "zero_expert_num": 4,
        "moe_topk": 3,
    }
    layer = read_architecture(config).layers[0]
    assert len(layer.caches) == 2
    (router,) = [w for w in layer.weights if w.name == "mlp.router.classifier"]
    assert router.rows == 8 + 4
    assert layer.moe is not None
    assert layer.moe.num_experts == 8


def test_compression_ratios_must_cover_the_layers() -> None:
    config = dict(load_model("deepseek-ai/DeepSeek-V4-Flash", source="catalog").config)
    with pytest.raises(UnsupportedArchitecture, match="compression ratios"):
        read_architecture({**config, "compress_ratios": [0, 4]})


@pytest.mark.parametrize("key", ["qk_rope_head_dim", "qk_nope_head_dim", "vocab_size"])
def test_missing_keys_are_named(key: str) -> None:
    config = {name: value for name, value in SMALL.items() if name != key}
    with pytest.raises(UnsupportedArchitecture, match=key):
        read_architecture(config)
