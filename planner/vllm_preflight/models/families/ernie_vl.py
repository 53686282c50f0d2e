"""ERNIE 4.5 VL's text model: experts for text and for images in the same layers."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    MixtureOfExperts,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.attention import attention_shape
from vllm_preflight.models.parts.blocks import (
    attention_weights,
    expert_weights,
    mlp_weights,
    norm,
    router_weights,
)
from vllm_preflight.models.parts.common import (
    assemble,
    num_hidden_layers,
    rope_dims,
    rope_tables,
)
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.feed_forward import dense_intermediate
from vllm_preflight.models.parts.reader import Reader

_TRAITS = DecoderTraits(output_bias=False)
# Text first, images second, in every list of the config.
_KINDS = ("text_experts", "vision_experts")


def read_ernie_vl(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Each expert layer holds two mixtures; a token visits the one of its kind."""
    shape = attention_shape(config, _TRAITS)
    num_layers = num_hidden_layers(config)
    hidden_size = shape.hidden_size
    attention = (
        *attention_weights(shape),
        norm("input_layernorm", hidden_size),
        norm("post_attention_layernorm", hidden_size),
    )
    cache = AttentionCache(shape.num_kv_heads, shape.head_dim, shape.head_dim, shape.num_heads)
    layers: list[Layer] = []
    for index in range(num_layers):
        block, moe = _feed_forward(config, hidden_size, index, num_layers)
        layers.append(Layer((cache,), (*attention, *block), moe))
    return assemble(
        config,
        layers,
        tied=True,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, shape.head_dim)),
        intermediate_size=dense_intermediate(config, hidden_size),
    )


def _feed_forward(
    config: ConfigView, hidden_size: int, index: int, num_layers: int
) -> tuple[tuple[Weight, ...], MixtureOfExperts | None]:
    routed = [
        place
        for place in range(len(_KINDS))
        if config.integer_at(place, "moe_layer_start_index", default=0)
        <= index
        <= config.integer_at(place, "moe_layer_end_index", default=num_layers - 1)
    ]
    dense = mlp_weights(
        hidden_size, dense_intermediate(config, hidden_size), bias=config.flag("use_bias")
    )
    interval = max(1, config.integer("moe_layer_interval", default=1))
    if not routed or (index + 1) % interval:
        return dense, None
    experts = config.integer_at(0, "moe_num_experts")
    weights: tuple[Weight, ...] = (
        Weight("mlp.e_score_correction_bias", 2 * experts, dtype="float32"),
    )
    for place, name in enumerate(_KINDS):
        if place not in routed:
            weights += dense
            continue
        count = config.integer_at(place, "moe_num_experts")
        width = config.integer_at(place, "moe_intermediate_size")
        weights += router_weights(hidden_size, count, name=f"mlp.{name}_gate")
        weights += expert_weights(hidden_size, width, count, prefix=f"mlp.{name}")
    width = config.integer_at(0, "moe_intermediate_size")
    shared = width * config.integer("moe_num_shared_experts", default=0)
    if shared:
        weights += mlp_weights(hidden_size, shared, prefix="mlp.shared_experts")
    top_k = config.integer("moe_k", default=2)
    return weights, MixtureOfExperts(experts, top_k, width, shared)


READERS: Mapping[str, Reader] = {
    "ernie4_5_moe_vl": read_ernie_vl,
    "ernie4_5_vl_moe_text": read_ernie_vl,
}
