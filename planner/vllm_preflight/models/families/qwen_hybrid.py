"""Qwen3-Next, Qwen3.5 to 3.8: gated delta nets with gated attention every few layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vllm_preflight.models.architecture import Architecture, AttentionCache, Layer, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    linear,
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
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.feed_forward import FeedForward, feed_forward
from vllm_preflight.models.parts.linear_attention import GatedDelta
from vllm_preflight.models.parts.predictor import predictor_count
from vllm_preflight.models.parts.reader import Reader
from vllm_preflight.models.parts.state_space import state_dtype

_FEED_FORWARD = DecoderTraits(mlp_bias=False, shared_expert_gate=True)

# What the config classes fill in (transformers configuration_qwen3_next.py, qwen3_5*.py).
_SHARED: Mapping[str, Any] = {
    "full_attention_interval": 4,
    "head_dim": 256,
    "partial_rotary_factor": 0.25,
    "max_position_embeddings": 32768,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "decoder_sparse_step": 1,
}
_MIXTURE: Mapping[str, Any] = {"shared_expert_intermediate_size": 512}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    # Its config does not tell of the one prediction layer that vLLM looks for.
    "qwen3_next": {**_SHARED, **_MIXTURE, "mtp_num_hidden_layers": 1},
    "qwen3_5_text": _SHARED,
    "qwen3_5_moe_text": {**_SHARED, **_MIXTURE},
    "interns2_mobius_text": {**_SHARED, **_MIXTURE},
}
_BANKED = "interns2_mobius_text"


def read_qwen_hybrid(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of a Qwen hybrid, dense or a mixture of experts."""
    config = config.with_defaults(_DEFAULTS[config.model_type])
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
        qk_norm="head",
        gated_output=config.flag("attn_output_gate", default=True),
    )
    mixer = GatedDelta(
        hidden_size,
        config.integer("linear_num_key_heads"),
        config.integer("linear_key_head_dim"),
        config.integer("linear_num_value_heads"),
        config.integer("linear_value_head_dim"),
        config.integer("linear_conv_kernel_dim"),
        state_dtype=state_dtype(config, "mamba_ssm_dtype", None),
        merged_names=config.model_type == "qwen3_next",
    )
    num_layers = num_hidden_layers(config)
    every = max(1, config.integer("full_attention_interval"))
    kinds = layer_kinds(config, num_layers) or [
        "linear_attention" if (index + 1) % every else "full_attention"
        for index in range(num_layers)
    ]
    cache = AttentionCache(kv_heads, width, width, num_heads)
    norms = (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))
    layers: list[Layer] = []
    block, banks = FeedForward(()), tuple[Weight, ...]()
    for index, kind in enumerate(kinds):
        block = feed_forward(config, _FEED_FORWARD, index)
        if config.model_type == _BANKED:
            block, banks = _shared_banks(config, block)
        if kind == "linear_attention":
            weights = (*mixer.weights(), *block.weights, *norms)
            layers.append(Layer((mixer.cache(),), weights, block.moe))
        else:
            weights = (*attention_weights(shape), *block.weights, *norms)
            layers.append(Layer((cache,), weights, block.moe))
    predictor = Layer(
        (cache,),
        (
            *linear("fc", hidden_size, 2 * hidden_size),
            norm("pre_fc_norm_hidden", hidden_size),
            norm("pre_fc_norm_embedding", hidden_size),
            norm("norm", hidden_size),
            *attention_weights(shape),
            *block.weights,
            *norms,
        ),
        block.moe,
    )
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, width)),
        predictor_layers=(predictor,) * predictor_count(config, "mtp_num_hidden_layers"),
        extra_embeddings=banks,
        intermediate_size=config.integer("intermediate_size", default=0),
    )


def _shared_banks(config: ConfigView, block: FeedForward) -> tuple[FeedForward, tuple[Weight, ...]]:
    """Intern-S2 Mobius: a layer's own shared expert, and the routed experts layers share.

    Every pipeline stage builds all banks beside the embedding (vLLM 0.33
    models/interns2_mobius.py).
    """
    count, hidden_size = config.integer("num_blocks"), config.integer("hidden_size")
    own = tuple(weight for weight in block.weights if "shared_expert" in weight.name)
    routed = (weight for weight in block.weights if "shared_expert" not in weight.name)
    banks = tuple(
        replace(weight, name=weight.name.replace("mlp.", f"model.meta_mlp.{bank}.", 1))
        for weight in tuple(routed)
        for bank in range(count)
    )
    if config.flag("layer_scale"):
        own += (Weight("layer_scales", 2 * hidden_size),)
    return FeedForward(own, block.moe), banks


READERS: Mapping[str, Reader] = dict.fromkeys(_DEFAULTS, read_qwen_hybrid)
