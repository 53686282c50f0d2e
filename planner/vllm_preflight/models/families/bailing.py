"""Ling and Ring 2.5 and 3: linear attention, a latent attention layer every few layers."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.architecture import Architecture, Layer, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import linear, norm
from vllm_preflight.models.parts.common import (
    assemble,
    head_dim,
    num_hidden_layers,
    rope_tables,
    rotary_dim,
)
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.feed_forward import dense_intermediate, feed_forward
from vllm_preflight.models.parts.latent import LatentShape, latent_shape, latent_weights
from vllm_preflight.models.parts.linear_attention import KimiDelta, Lightning
from vllm_preflight.models.parts.reader import Reader

_MIXTURE = DecoderTraits(mixture=True, mlp_bias=False, router_dtype="float32")
_MIXTURE_V3 = DecoderTraits(mixture=True, mlp_bias=False, correction_bias=True)
# Defaults of vLLM 0.33 models/bailing_moe_linear.py.
_DEFAULTS = {
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "first_k_dense_replace": 0,
    "layer_group_size": 1,
}


def read_bailing_hybrid(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Every `layer_group_size`-th layer is a latent attention, the others are linear.

    Ling 3 shares the model type and is told apart by its class.
    """
    if any("V3" in name for name in (outer or config).architectures):
        return read_bailing_v3(config, outer)
    config = config.with_defaults(_DEFAULTS)
    shape = latent_shape(config)
    hidden_size = shape.hidden_size
    width = head_dim(config, hidden_size, shape.num_heads)
    mixer = Lightning(
        hidden_size,
        shape.num_heads,
        width,
        qk_norm=config.flag("use_qk_norm"),
    )
    group = max(1, config.integer("layer_group_size"))
    norms = (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))
    layers: list[Layer] = []
    for index in range(num_hidden_layers(config)):
        block = feed_forward(config, _MIXTURE, index)
        recurrent = (index + 1) % group != 0
        mix = mixer.weights() if recurrent else latent_weights(shape)
        cache = mixer.cache() if recurrent else shape.cache()
        layers.append(Layer((cache,), (*mix, *block.weights, *norms), block.moe))
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=config.integer("num_key_value_heads", default=shape.num_heads),
        outer=outer,
        ropes=rope_tables(config, (shape.qk_rope_head_dim, rotary_dim(config, width))),
        intermediate_size=dense_intermediate(config, hidden_size),
    )


def read_bailing_v3(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Ling and Ring 3: Kimi's delta attention, a gated latent attention every few layers.

    Layers left over behind the last whole group are latent too (vLLM 0.33
    models/bailing_moe_v3.py).
    """
    config = config.with_defaults({**_DEFAULTS, "short_conv_kernel_size": 4})
    shape = latent_shape(config)
    hidden_size = shape.hidden_size
    delta = KimiDelta(
        hidden_size,
        shape.num_heads,
        config.integer("head_dim"),
        config.integer("short_conv_kernel_size"),
        full_rank_gate=True,
        full_rank_decay=True,
    )
    attention = (*latent_weights(shape), *_latent_gate(config, shape))
    group = max(1, config.integer("layer_group_size"))
    num_layers = num_hidden_layers(config)
    norms = (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))
    layers: list[Layer] = []
    for index in range(num_layers):
        block = feed_forward(config, _MIXTURE_V3, index)
        recurrent = (index + 1) % group != 0 and index < num_layers // group * group
        mix = delta.weights() if recurrent else attention
        cache = delta.cache() if recurrent else shape.cache()
        layers.append(Layer((cache,), (*mix, *block.weights, *norms), block.moe))
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=config.integer("num_key_value_heads", default=shape.num_heads),
        outer=outer,
        ropes=rope_tables(config, (shape.qk_rope_head_dim,)),
        intermediate_size=dense_intermediate(config, hidden_size),
    )


def _latent_gate(config: ConfigView, shape: LatentShape) -> tuple[Weight, ...]:
    kind = config.text("gated_attention_proj_granularity_type")
    rows = {"head_wise": shape.num_heads, "element_wise": shape.v_rows}.get(kind, 0)
    if not rows:
        return ()
    return linear("self_attn.g_proj", rows, shape.hidden_size, split=Split.COLUMN)


READERS: Mapping[str, Reader] = {
    "bailing_hybrid": read_bailing_hybrid,
    "bailing_moe_linear": read_bailing_hybrid,
    "bailing_moe_v3": read_bailing_v3,
}
