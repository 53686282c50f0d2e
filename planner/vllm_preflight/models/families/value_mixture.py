"""K2 Horizon: sparse layers choose among several value projections.

Source: vLLM 0.33 models/k2_horizon.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vllm_preflight.models.architecture import Architecture, AttentionCache, Layer, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.attention import attention_shape
from vllm_preflight.models.parts.blocks import attention_weights, linear, norm
from vllm_preflight.models.parts.common import assemble, num_hidden_layers, rope_tables
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.feed_forward import dense_intermediate, feed_forward
from vllm_preflight.models.parts.reader import Reader


def read_k2_horizon(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Grouped queries; in expert layers the values come from a mixture of projections."""
    bias = config.flag("moe_gate_bias")
    traits = DecoderTraits(
        mixture=True,
        qk_norm="projection",
        qk_norm_key="query_key_norm",
        qk_norm_split=True,
        router_bias=bias,
        output_gate="projection" if config.get("attention_gate_func") else "none",
    )
    shape = attention_shape(config, traits)
    hidden_size = shape.hidden_size
    cache = AttentionCache(shape.num_kv_heads, shape.head_dim, shape.head_dim, shape.num_heads)
    plain = attention_weights(shape)
    experts = config.integer("mova_num_experts", default=0)
    mixed = (
        *(weight for weight in plain if not weight.name.startswith("self_attn.v_proj")),
        *linear("self_attn.v_router", experts, hidden_size),
        *((Weight("self_attn.v_router.bias", experts, dtype="float32"),) if bias else ()),
        *(
            replace(weight, copies=experts)
            for weight in linear(
                "self_attn.v_experts",
                shape.num_kv_heads * shape.head_dim,
                hidden_size,
                split=Split.KV_HEADS,
                units=shape.num_kv_heads,
            )
        ),
    )
    norms = (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))
    layers: list[Layer] = []
    for index in range(num_hidden_layers(config)):
        block = feed_forward(config, traits, index)
        attention = mixed if experts and block.moe else plain
        layers.append(Layer((cache,), (*attention, *block.weights, *norms), block.moe))
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=rope_tables(config, (config.integer("rope_head_dim", default=shape.head_dim),)),
        intermediate_size=dense_intermediate(config, hidden_size),
    )


READERS: Mapping[str, Reader] = {"k2_horizon": read_k2_horizon}
