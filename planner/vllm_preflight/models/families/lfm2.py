"""LFM2: short convolutions with attention at some layers, dense or a mixture of experts."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.base.units import round_up
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Cache,
    Layer,
    MixtureOfExperts,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    expert_weights,
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
from vllm_preflight.models.parts.feed_forward import FeedForward
from vllm_preflight.models.parts.linear_attention import ShortConvolution
from vllm_preflight.models.parts.reader import Reader


def _dense_width(config: ConfigView) -> int:
    """Width of a dense block: as given, or two thirds of it rounded up (auto-adjusted)."""
    given = config.integer("block_ff_dim", "intermediate_size", default=12288)
    if config.model_type != "lfm2" or not config.flag("block_auto_adjust_ff_dim", default=True):
        return given
    adjusted = int(2 * given / 3)
    adjusted = int(config.number("block_ffn_dim_multiplier", default=1.0) * adjusted)
    return round_up(adjusted, max(1, config.integer("block_multiple_of", default=256)))


def _mixture(config: ConfigView, hidden_size: int, experts: int) -> FeedForward:
    width = config.integer("moe_intermediate_size")
    weights = (
        *router_weights(
            hidden_size,
            experts,
            correction_bias=config.flag("use_expert_bias", default=True),
            name="feed_forward.gate",
        ),
        *expert_weights(hidden_size, width, experts, prefix="feed_forward.experts"),
    )
    top_k = config.integer("num_experts_per_tok", default=1)
    return FeedForward(weights, MixtureOfExperts(experts, top_k, width))


def _attends(config: ConfigView, num_layers: int) -> list[bool]:
    kinds = layer_kinds(config, num_layers)
    if kinds:
        return [kind == "full_attention" for kind in kinds]
    attended = config.items("full_attn_idxs")
    return [not attended or index in attended for index in range(num_layers)]


def read_lfm2(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of LFM2 and LFM2-MoE."""
    config = config.with_defaults({"num_key_value_heads": 8, "max_position_embeddings": 128000})
    hidden_size = config.integer("hidden_size", default=2560)
    num_heads = config.integer("num_attention_heads", default=32)
    kv_heads = config.integer("num_key_value_heads")
    width = head_dim(config, hidden_size, num_heads)
    shape = AttentionShape(hidden_size, num_heads, kv_heads, width, width, qk_norm="head")
    mixer = ShortConvolution(
        hidden_size,
        config.integer("conv_dim", default=hidden_size),
        config.integer("conv_L_cache", default=3),
        bias=config.flag("conv_bias"),
    )
    num_layers = num_hidden_layers(config)
    dense_width = _dense_width(config)
    dense = FeedForward(mlp_weights(hidden_size, dense_width, prefix="feed_forward"))
    experts = config.integer("num_experts", default=0)
    first = config.integer("num_dense_layers", default=2) if experts else num_layers
    routed = _mixture(config, hidden_size, experts) if experts else dense
    norms = (norm("operator_norm", hidden_size), norm("ffn_norm", hidden_size))
    layers: list[Layer] = []
    for index, attended in enumerate(_attends(config, num_layers)):
        block = dense if index < first else routed
        mix = attention_weights(shape) if attended else mixer.weights()
        cache: Cache = mixer.cache()
        if attended:
            cache = AttentionCache(kv_heads, width, width, num_heads)
        layers.append(Layer((cache,), (*mix, *block.weights, *norms), block.moe))
    tied = config.flag("tie_embedding", default=True)
    return assemble(
        config,
        layers,
        tied=tied,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, width)),
        intermediate_size=dense_width,
    )


READERS: Mapping[str, Reader] = {"lfm2": read_lfm2, "lfm2_moe": read_lfm2}
