"""MiniMax-Text-01 and M1 (lightning attention) and MiniMax-M3 (sparse attention)."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Cache,
    IndexerCache,
    Layer,
    MixtureOfExperts,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    expert_weights,
    linear,
    mlp_weights,
    norm,
    router_weights,
)
from vllm_preflight.models.parts.common import (
    assemble,
    head_dim,
    layer_kinds,
    num_hidden_layers,
    rope_dims,
    rope_tables,
)
from vllm_preflight.models.parts.linear_attention import Lightning
from vllm_preflight.models.parts.reader import Reader

_MOE = "block_sparse_moe"


def _mixture(
    config: ConfigView, hidden_size: int, shared: int, *, correction_bias: bool
) -> tuple[tuple[Weight, ...], MixtureOfExperts]:
    experts = config.integer("num_local_experts")
    width = config.integer("moe_intermediate_size", "intermediate_size")
    weights = router_weights(
        hidden_size,
        experts,
        correction_bias=correction_bias,
        name=f"{_MOE}.gate",
        dtype="float32",
    )
    weights += expert_weights(hidden_size, width, experts, prefix=f"{_MOE}.experts")
    if shared:
        weights += mlp_weights(hidden_size, shared, prefix=f"{_MOE}.shared_experts")
    top_k = config.integer("num_experts_per_tok", default=1)
    return weights, MixtureOfExperts(experts, top_k, width, shared)


def read_lightning(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """MiniMax-Text-01 and M1: a linear attention with softmax attention every few layers."""
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    kv_heads = config.integer("num_key_value_heads", default=num_heads)
    width = head_dim(config, hidden_size, num_heads)
    shape = AttentionShape(hidden_size, num_heads, kv_heads, width, width)
    mixer = Lightning(hidden_size, num_heads, width)
    num_layers = num_hidden_layers(config)
    softmax = [bool(kind) for kind in config.items("attn_type_list")[:num_layers]]
    if len(softmax) < num_layers:
        kinds = layer_kinds(config, num_layers)
        softmax = [kind == "full_attention" for kind in kinds]
    shared = config.integer("shared_intermediate_size", default=0)
    block, moe = _mixture(config, hidden_size, shared, correction_bias=False)
    norms = (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))
    cache = AttentionCache(kv_heads, width, width, num_heads)
    attended = Layer((cache,), (*attention_weights(shape), *block, *norms), moe)
    recurrent = Layer((mixer.cache(),), (*mixer.weights(), *block, *norms), moe)
    return assemble(
        config,
        [attended if full else recurrent for full in softmax],
        tied=False,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, width)),
        intermediate_size=moe.intermediate_size,
    )


def read_minimax_m3(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """MiniMax-M3: block-sparse attention whose indexer keeps 16-bit keys of its own."""
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    kv_heads = config.integer("num_key_value_heads", default=num_heads)
    width = head_dim(config, hidden_size, num_heads)
    shape = AttentionShape(
        hidden_size,
        num_heads,
        kv_heads,
        width,
        width,
        qk_norm="head" if config.flag("use_qk_norm", default=True) else "none",
    )
    sparse = config.section("sparse_attention_config") or config
    sparse_layers = sparse.items("sparse_attention_freq")
    routed_layers = config.items("moe_layer_freq")
    index_width = sparse.integer("sparse_index_dim", default=128)
    index_heads = sparse.integer("sparse_num_index_heads", default=kv_heads)
    indexer = (
        *linear(
            "self_attn.index_q_proj",
            index_heads * index_width,
            hidden_size,
            split=Split.KV_HEADS,
            units=index_heads,
        ),
        *linear("self_attn.index_k_proj", index_width, hidden_size),
        norm("self_attn.index_q_norm", index_width),
        norm("self_attn.index_k_norm", index_width),
    )
    shared = config.integer("shared_intermediate_size", default=0)
    shared = shared or config.integer("moe_intermediate_size", "intermediate_size")
    shared *= min(1, config.integer("n_shared_experts", default=0))
    routed, moe = _mixture(
        config,
        hidden_size,
        shared,
        correction_bias=config.flag("use_routing_bias", default=True),
    )
    dense_width = config.integer("dense_intermediate_size", "intermediate_size")
    dense = mlp_weights(hidden_size, dense_width)
    norms = (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))
    layers: list[Layer] = []
    for index in range(num_hidden_layers(config)):
        caches: tuple[Cache, ...] = (AttentionCache(kv_heads, width, width, num_heads),)
        weights = (*attention_weights(shape), *norms)
        if index < len(sparse_layers) and sparse_layers[index]:
            caches += (IndexerCache(index_width, packed=False),)
            weights += indexer
        is_routed = index >= len(routed_layers) or bool(routed_layers[index])
        weights += routed if is_routed else dense
        layers.append(Layer(caches, weights, moe if is_routed else None))
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, width)),
        intermediate_size=dense_width,
    )


READERS: Mapping[str, Reader] = {
    "minimax_text_01": read_lightning,
    "minimax_m1": read_lightning,
    "minimax": read_lightning,
    "minimax_m3": read_minimax_m3,
    "minimax_m3_text": read_minimax_m3,
}
