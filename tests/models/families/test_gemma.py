"""Gemma 3n and Gemma 4: shared caches, per-layer embeddings, wide global layers."""

from __future__ import annotations

from typing import Any

from vllm_preflight.models.architecture import Architecture, AttentionCache, Split
from vllm_preflight.models.config_reader import read_architecture

TEXT: dict[str, Any] = {
    "model_type": "gemma4_text",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "global_head_dim": 32,
    "sliding_window": 128,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
}


def read(**keys: Any) -> Architecture:
    return read_architecture({**TEXT, **keys})


def cache(found: Architecture, layer: int) -> AttentionCache:
    (kept,) = found.layers[layer].caches
    assert isinstance(kept, AttentionCache)
    return kept


def test_global_layers_have_wider_heads() -> None:
    found = read()
    local, whole = cache(found, 0), cache(found, 2)
    assert (local.head_dim, local.window, local.num_kv_heads) == (16, 128, 2)
    assert (whole.head_dim, whole.window, whole.num_kv_heads) == (32, None, 2)
    assert sorted(rope.dim for rope in found.ropes) == [16, 32]


def test_keys_can_serve_as_values() -> None:
    found = read(attention_k_eq_v=True, num_global_key_value_heads=1)
    assert cache(found, 2).num_kv_heads == 1
    values = [w for w in found.layers[2].weights if w.name == "self_attn.v_proj"]
    assert [weight.in_checkpoint for weight in values] == [False]
    local = [w for w in found.layers[0].weights if w.name == "self_attn.v_proj"]
    assert [weight.in_checkpoint for weight in local] == [True]


def test_later_layers_read_the_caches_of_earlier_ones() -> None:
    found = read(num_kv_shared_layers=3, use_double_wide_mlp=True)
    assert [len(layer.caches) for layer in found.layers] == [1, 1, 1, 0, 0, 0]
    shared = {weight.name for weight in found.layers[3].weights}
    assert "self_attn.q_proj" in shared
    assert "self_attn.k_proj" not in shared
    # The checkpoint stores what vLLM leaves out.
    assert sum(weight.name == "self_attn.k_proj" for weight in found.unloaded) == 3
    ups = [next(w.rows for w in layer.weights if w.name == "mlp.up_proj") for layer in found.layers]
    assert ups == [128] * 3 + [256] * 3


def test_per_layer_embeddings_and_their_buffer() -> None:
    found = read(hidden_size_per_layer_input=8, vocab_size_per_layer_input=500)
    table = next(w for w in found.embeddings if w.name == "model.embed_tokens_per_layer")
    assert (table.rows, table.columns, table.split) == (500, 6 * 8, Split.VOCAB)
    # Only the multimodal class keeps them over a batch.
    assert found.batch_buffer_width == 0
    assert read().batch_buffer_width == 0


def test_experts_stand_beside_the_dense_block() -> None:
    found = read(enable_moe_block=True, num_experts=8, top_k_experts=2, moe_intermediate_size=32)
    names = {weight.name for weight in found.layers[0].weights}
    assert {"mlp.up_proj", "experts.up_proj", "router.proj"} <= names
    assert found.moe is not None
    assert found.moe.experts_per_token == 2


def test_gemma3n_keeps_several_hidden_states() -> None:
    found = read_architecture({"model_type": "gemma3n_text", "num_hidden_layers": 35})
    assert sum(bool(layer.caches) for layer in found.layers) == 20
    projections = [w for w in found.embeddings if w.name.startswith("model.altup")]
    assert [(w.copies, w.rows, w.columns) for w in projections] == [(3, 2048, 2048)] * 2
    windows = [cache(found, layer).window for layer in range(10)]
    assert windows == [512, 512, 512, 512, None] * 2
