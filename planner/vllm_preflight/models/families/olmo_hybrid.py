"""OLMo Hybrid: gated delta nets with full attention every few layers, without rope."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.architecture import Architecture, AttentionCache, Layer
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    mlp_weights,
    norm,
)
from vllm_preflight.models.parts.common import (
    assemble,
    head_dim,
    layer_kinds,
    num_hidden_layers,
    rope_dims,
    rope_tables,
)
from vllm_preflight.models.parts.linear_attention import GatedDelta
from vllm_preflight.models.parts.reader import Reader


def _mixer(config: ConfigView, hidden_size: int, num_heads: int) -> GatedDelta:
    """The delta net; key heads take three quarters of hidden, values twice as much."""
    key_heads = config.integer("linear_num_key_heads", default=num_heads)
    default_width = int(0.75 * hidden_size / max(1, key_heads))
    key_width = config.integer("linear_key_head_dim", default=default_width)
    return GatedDelta(
        hidden_size,
        key_heads,
        key_width,
        config.integer("linear_num_value_heads", default=num_heads),
        config.integer("linear_value_head_dim", default=2 * key_width),
        config.integer("linear_conv_kernel_dim", default=4),
        exports_states=False,
    )


def read_olmo_hybrid(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of OLMo Hybrid (transformers configuration_olmo_hybrid.py)."""
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    kv_heads = config.integer("num_key_value_heads", default=num_heads)
    width = head_dim(config, hidden_size, num_heads)
    bias = config.flag("attention_bias")
    shape = AttentionShape(
        hidden_size,
        num_heads,
        kv_heads,
        width,
        width,
        qkv_bias=bias,
        output_bias=bias,
        qk_norm="projection",
        qk_norm_split=True,
    )
    mixer = _mixer(config, hidden_size, num_heads)
    num_layers = num_hidden_layers(config)
    kinds = layer_kinds(config, num_layers) or [
        "full_attention" if index % 4 == 3 else "linear_attention" for index in range(num_layers)
    ]
    intermediate = config.integer("intermediate_size")
    block = (
        *mlp_weights(hidden_size, intermediate),
        norm("input_layernorm", hidden_size),
        norm("post_attention_layernorm", hidden_size),
    )
    attended = Layer(
        (AttentionCache(kv_heads, width, width, num_heads),), (*attention_weights(shape), *block)
    )
    recurrent = Layer((mixer.cache(),), (*mixer.weights(), *block))
    rope = config.section("rope_parameters")
    rotated = rope is not None and rope.get("rope_theta") is not None
    return assemble(
        config,
        [recurrent if kind == "linear_attention" else attended for kind in kinds],
        tied=False,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, width)) if rotated else (),
        intermediate_size=intermediate,
    )


READERS: Mapping[str, Reader] = {"olmo_hybrid": read_olmo_hybrid}
