"""What decoder families keep per layer, from small configs of their kind."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.models.architecture import Architecture, AttentionCache, Role, Split
from vllm_preflight.models.config_reader import read_architecture

BASE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}
MOE = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def read(model_type: str, **keys: Any) -> Architecture:
    return read_architecture({**BASE, "model_type": model_type, **keys})


def caches(found: Architecture) -> list[AttentionCache]:
    kept = [cache for layer in found.layers for cache in layer.caches]
    assert all(isinstance(cache, AttentionCache) for cache in kept)
    return [cache for cache in kept if isinstance(cache, AttentionCache)]


def windows(found: Architecture) -> str:
    """One letter a layer: s for a sliding window, f for full attention."""
    return "".join("s" if cache.window else "f" for cache in caches(found))


def names(found: Architecture, layer: int = 0) -> set[str]:
    return {weight.name for weight in found.layers[layer].weights}


@pytest.mark.parametrize(
    ("model_type", "keys", "expected"),
    [
        ("llama", {"sliding_window": 128}, "ffffffff"),
        ("mistral", {"sliding_window": 128}, "ssssssss"),
        ("mistral", {"sliding_window": None}, "ffffffff"),
        ("gemma2", {"sliding_window": 128}, "sfsfsfsf"),
        ("gemma3_text", {"sliding_window": 128}, "sssssfss"),
        ("gemma3_text", {"sliding_window": 128, "sliding_window_pattern": 2}, "sfsfsfsf"),
        ("cohere2", {"sliding_window": 128}, "sssfsssf"),
        ("granite_swa", {"sliding_window": 128}, "fsssfsss"),
        ("muse_glimmer_text", {"sliding_window": 128}, "sssfsssf"),
        ("exaone4", {"sliding_window": 128, "sliding_window_pattern": "LLLG"}, "sssfsssf"),
        ("exaone4", {"sliding_window": 128, "sliding_window_pattern": "LG"}, "sfsfsfsf"),
        ("qwen2", {"sliding_window": 128, "use_sliding_window": False}, "ffffffff"),
        (
            "qwen2",
            {"sliding_window": 128, "use_sliding_window": True, "max_window_layers": 6},
            "ffffffss",
        ),
        (
            "olmo3",
            {"sliding_window": 128, "layer_types": ["full_attention", "sliding_attention"] * 4},
            "fsfsfsfs",
        ),
    ],
)
def test_window_layouts(model_type: str, keys: dict[str, Any], expected: str) -> None:
    assert windows(read(model_type, **keys)) == expected


def test_gpt_oss_alternates_and_has_sinks() -> None:
    found = read("gpt_oss", sliding_window=128, num_local_experts=8, num_experts_per_tok=2)
    assert windows(found) == "sfsfsfsf"
    assert "self_attn.sinks" in names(found)
    assert "mlp.experts.gate_proj.bias" in names(found)


def test_llama4_attends_in_chunks_except_every_fourth_layer() -> None:
    found = read("llama4_text", attention_chunk_size=256, num_local_experts=8)
    assert [cache.chunk for cache in caches(found)] == [256, 256, 256, None] * 2
    assert all(cache.window is None for cache in caches(found))
    listed = read(
        "llama4_text", attention_chunk_size=256, num_local_experts=8, no_rope_layers=[0, 1] * 4
    )
    assert [cache.chunk for cache in caches(listed)] == [None, 256] * 4


def test_llama4_interleaves_wide_dense_layers() -> None:
    found = read(
        "llama4_text", num_local_experts=8, interleave_moe_layer_step=2, intermediate_size_mlp=256
    )
    assert [layer.moe is not None for layer in found.layers] == [False, True] * 4
    up = next(weight for weight in found.layers[0].weights if weight.name == "mlp.up_proj")
    assert up.rows == 256


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "mmmmmmmm"),
        ({"decoder_sparse_step": 2}, "dmdmdmdm"),
        ({"mlp_only_layers": [0, 7]}, "dmmmmmmd"),
        ({"first_k_dense_replace": 3}, "dddmmmmm"),
        ({"moe_layer_freq": [0, 1, 1, 1, 0, 1, 1, 1]}, "dmmmdmmm"),
        ({"mlp_layer_types": ["dense"] * 2 + ["sparse"] * 6}, "ddmmmmmm"),
        ({"moe_layers_enum": "2,3,4"}, "ddmmmddd"),
        ({"moe_layer_start_index": 1, "moe_layer_end_index": -1}, "dmmmmmmm"),
        ({"moe_layer_start_index": 1, "moe_layer_end_index": 5}, "dmmmmmdd"),
    ],
)
def test_which_layers_route(keys: dict[str, Any], expected: str) -> None:
    found = read("qwen3_moe", **MOE, **keys)
    assert "".join("m" if layer.moe else "d" for layer in found.layers) == expected


def test_experts_and_router_are_told_apart() -> None:
    found = read("qwen2_moe", **MOE, shared_expert_intermediate_size=48)
    moe = found.moe
    assert moe is not None
    assert (moe.num_experts, moe.experts_per_token) == (8, 2)
    assert (moe.intermediate_size, moe.shared_intermediate_size) == (32, 48)
    by_name = {weight.name: weight for weight in found.layers[0].weights}
    assert by_name["mlp.experts.down_proj"].role is Role.EXPERT
    assert by_name["mlp.experts.down_proj"].copies == 8
    assert by_name["mlp.gate"].split is Split.REPLICATED
    assert "mlp.shared_expert_gate" in by_name


def test_lists_give_each_layer_its_own_width() -> None:
    found = read(
        "hunyuan",
        num_experts=8,
        moe_topk=[2] * 8,
        num_shared_expert=[1] * 8,
        moe_intermediate_size=[32] * 4 + [48] * 4,
        use_qk_norm=True,
    )
    widths = [layer.moe.intermediate_size for layer in found.layers if layer.moe]
    assert widths == [32] * 4 + [48] * 4


@pytest.mark.parametrize(
    ("model_type", "keys", "tied"),
    [
        ("llama", {}, False),
        ("gemma", {}, True),
        ("smollm3", {}, True),
        ("smollm3", {"tie_word_embeddings": False}, False),
        ("llama", {"tie_word_embeddings": True}, True),
    ],
)
def test_tied_embeddings(model_type: str, keys: dict[str, Any], tied: bool) -> None:
    found = read(model_type, **keys)
    assert found.tied_embeddings is tied
    assert any(weight.role is Role.LM_HEAD for weight in found.head) is not tied


def test_key_value_heads_of_old_families() -> None:
    assert read("falcon", num_key_value_heads=None).num_kv_heads == 1
    assert read("falcon", multi_query=False, num_key_value_heads=None).num_kv_heads == 4
    grouped = {"new_decoder_architecture": True, "num_key_value_heads": None, "num_kv_heads": 2}
    assert read("falcon", **grouped).num_kv_heads == 2
    groups = {"num_key_value_heads": None, "multi_query_group_num": 2}
    assert read("chatglm", multi_query_attention=True, **groups).num_kv_heads == 2


def test_sections_are_read_as_if_flat() -> None:
    found = read_architecture(
        {
            "model_type": "dbrx",
            "d_model": 64,
            "n_heads": 4,
            "n_layers": 2,
            "vocab_size": 100,
            "max_seq_len": 512,
            "attn_config": {"kv_n_heads": 2},
            "ffn_config": {"ffn_hidden_size": 96, "moe_num_experts": 4, "moe_top_k": 2},
        }
    )
    assert found.num_kv_heads == 2
    assert found.moe is not None
    assert (found.moe.num_experts, found.moe.intermediate_size) == (4, 96)


def test_layers_with_heads_of_their_own() -> None:
    found = read(
        "mimo_v2_flash",
        n_routed_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        head_dim=24,
        v_head_dim=16,
        sliding_window=128,
        hybrid_layer_pattern=[0, 1] * 4,
        swa_num_key_value_heads=4,
        add_swa_attention_sink_bias=True,
    )
    full, sliding = caches(found)[:2]
    assert (full.num_kv_heads, full.head_dim, full.head_dim_v, full.window) == (2, 24, 16, None)
    assert (sliding.num_kv_heads, sliding.window) == (4, 128)
    assert "self_attn.sinks" not in names(found, 0)
    assert "self_attn.sinks" in names(found, 1)


def test_rope_tables() -> None:
    assert [(rope.positions, rope.dim) for rope in read("llama").ropes] == [(4096, 16)]
    long = {"type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}
    phi = read("phi3", rope_scaling=long, original_max_position_embeddings=1024)
    assert sum(rope.positions for rope in phi.ropes) == 4096 + 1024
    assert (phi.max_position, phi.unasked_length) == (4096, 1024)
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}
    assert read("qwen3", rope_scaling=yarn).ropes[0].positions == 8192
    # Sliding layers of Gemma 3 rotate by a table of their own, unscaled.
    scaled = read("gemma3_text", rope_scaling={"rope_type": "linear", "factor": 8.0})
    assert [rope.positions for rope in scaled.ropes] == [8 * 4096, 4096]
    assert read("bloom").ropes == ()
    # Transformers' own modules keep inverse frequencies instead.
    assert read("olmo2").ropes == ()
    assert "model.rotary_emb.0.inv_freq" in {weight.name for weight in read("olmo2").embeddings}


@pytest.mark.parametrize(
    ("keys", "length"),
    [
        ({}, 4096),
        ({"model_max_length": 1024}, 1024),
        ({"rope_scaling": {"type": "linear", "factor": 4.0}}, 16384),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, 8192),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 4096),
        ({"rope_parameters": {"rope_type": "default"}}, 4096),
        ({"max_position_embeddings": None}, 2048),
    ],
)
def test_longest_length(keys: dict[str, Any], length: int) -> None:
    assert read("llama", **keys).max_position == length


def test_learned_positions_and_stored_masks() -> None:
    gpt2 = read_architecture(
        {"model_type": "gpt2", "n_embd": 64, "n_head": 4, "n_layer": 2, "vocab_size": 100}
    )
    positions = next(w for w in gpt2.embeddings if w.name == "model.embed_positions")
    assert positions.rows == 1024
    assert sum(weight.elements for weight in gpt2.unloaded) == 2 * 1024 * 1024
    opt = read("opt", num_key_value_heads=None, ffn_dim=128)
    assert next(w for w in opt.embeddings if w.name == "model.embed_positions").rows == 4098


def test_predictor_layers_are_apart() -> None:
    found = read("mimo", num_nextn_predict_layers=1)
    assert len(found.layers) == 8
    assert len(found.predictor_layers) == 1
    assert "eh_proj" in {weight.name for weight in found.predictor_layers[0].weights}
    assert read("llama", num_nextn_predict_layers=1).predictor_layers == ()


def test_pooling_models_cache_or_not_as_they_attend() -> None:
    bare = read("mistral", architectures=["MistralModel"])
    assert bare.task == "embed"
    assert caches(bare)[0].kind == "decoder"
    head = next(weight for weight in bare.head if weight.role is Role.LM_HEAD)
    assert not head.in_checkpoint
    both_ways = read("qwen2", is_causal=False)
    assert both_ways.task == "embed"
    assert caches(both_ways)[0].kind == "encoder_only"
    assert read("chatglm", architectures=["ChatGLMModel"]).task == "generate"


def test_shared_caches_between_neighbours() -> None:
    found = read("hunyuan_v1_dense", use_cla=True, cla_share_factor=2)
    assert [len(layer.caches) for layer in found.layers] == [1, 0] * 4
    assert "self_attn.k_proj" not in names(found, 1)
