"""Decoders with grouped-query attention: dense and mixture-of-experts families."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.architecture import Architecture, AttentionCache, Layer, Rope, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.blocks import AttentionShape, attention_weights, norm
from vllm_preflight.models.families.common import (
    assemble,
    head_dim,
    layer_kinds,
    max_position,
    num_hidden_layers,
    rotary_dim,
)
from vllm_preflight.models.families.feed_forward import dense_intermediate, feed_forward
from vllm_preflight.models.families.reader import Reader
from vllm_preflight.models.families.traits import TRAITS, DecoderTraits

_BIAS_KEYS = ("attention_bias", "qkv_bias", "add_qkv_bias", "use_qkv_bias", "use_bias", "bias")
_OUTPUT_BIAS_KEYS = ("attention_out_bias", "o_bias", "attention_bias", "use_bias", "bias")


def num_kv_heads(config: ConfigView, num_heads: int) -> int:
    """Key/value heads of the whole model, under the names the families use."""
    if config.model_type == "falcon" and not config.flag("new_decoder_architecture"):
        return 1 if config.flag("multi_query", default=True) else num_heads
    if config.model_type == "gpt_bigcode":
        return 1 if config.flag("multi_query", default=True) else num_heads
    attention = config.section("attn_config")
    if attention is not None and attention.get("kv_n_heads") is not None:
        return attention.integer("kv_n_heads")
    return config.integer(
        "num_key_value_heads",
        "num_kv_heads",
        "multi_query_group_num",
        "n_kv_heads",
        "num_attention_groups",
        default=num_heads,
    )


def attention_shape(config: ConfigView, traits: DecoderTraits) -> AttentionShape:
    """The attention of a decoder whose layers all have the same one."""
    hidden_size = config.integer("hidden_size", "n_embd", "d_model")
    num_heads = config.integer("num_attention_heads", "n_head", "n_heads", "num_heads")
    width = head_dim(config, hidden_size, num_heads)
    qkv_bias, output_bias = traits.qkv_bias, traits.output_bias
    normed = traits.qk_norm != "none" and config.flag(
        traits.qk_norm_key, default=not traits.qk_norm_key
    )
    return AttentionShape(
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads(config, num_heads),
        head_dim=width,
        head_dim_v=width,
        qkv_bias=config.flag(*_BIAS_KEYS) if qkv_bias is None else qkv_bias,
        output_bias=config.flag(*_OUTPUT_BIAS_KEYS) if output_bias is None else output_bias,
        qk_norm=traits.qk_norm if normed else "none",
        gated_output=traits.gated_output,
        sinks=traits.sinks,
    )


def layer_windows(config: ConfigView, traits: DecoderTraits, num_layers: int) -> list[int | None]:
    """The sliding window of each layer in tokens, None for full attention.

    `layer_types` decides where present; else the family's layout.
    """
    window = config.integer("sliding_window", "sliding_window_size", default=0) or None
    kinds = layer_kinds(config, num_layers)
    if window is None or (traits.window_layers == "none" and not kinds):
        return [None] * num_layers
    if kinds:
        return [window if "sliding" in kind else None for kind in kinds]
    if traits.window_layers == "all":
        return [window] * num_layers
    if traits.window_layers == "even":
        return [window if index % 2 == 0 else None for index in range(num_layers)]
    if traits.window_layers == "max_window_layers":
        return _qwen_windows(config, window, num_layers)
    return _patterned_windows(config, traits, window, num_layers)


def _qwen_windows(config: ConfigView, window: int, num_layers: int) -> list[int | None]:
    if not config.flag("use_sliding_window"):
        return [None] * num_layers
    first = config.integer("max_window_layers", default=num_layers)
    return [window if index >= first else None for index in range(num_layers)]


def _patterned_windows(
    config: ConfigView, traits: DecoderTraits, window: int, num_layers: int
) -> list[int | None]:
    pattern = config.get("sliding_window_pattern", "_sliding_window_pattern")
    if isinstance(pattern, str) and pattern:
        letters = [pattern[index % len(pattern)] for index in range(num_layers)]
        # The last layer of a lettered pattern is always global (EXAONE 4).
        return [
            window if letter == "L" and index < num_layers - 1 else None
            for index, letter in enumerate(letters)
        ]
    step = pattern if isinstance(pattern, int) and pattern else traits.window_pattern
    return [window if (index + 1) % step else None for index in range(num_layers)]


def decoder_ropes(config: ConfigView, traits: DecoderTraits, width: int) -> tuple[Rope, ...]:
    """The rotary table of a decoder, one for all layers."""
    if not traits.rotary or config.flag("alibi"):
        return ()
    return (Rope(max_position(config), rotary_dim(config, width)),)


def layer_norms(config: ConfigView, traits: DecoderTraits, hidden_size: int) -> tuple[Weight, ...]:
    """The hidden-size norms of one layer."""
    if not traits.norm_weight:
        return ()
    count = traits.norms
    if config.model_type == "falcon" and not config.flag("new_decoder_architecture"):
        count = 1 if config.flag("parallel_attn", default=True) else 2
    if config.flag("use_post_norm") and not config.flag("use_pre_norm", default=True):
        count = 1
    return tuple(
        norm(f"norm_{number}", hidden_size, bias=traits.norm_bias) for number in range(count)
    )


def read_decoder(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of a family listed in `TRAITS`."""
    traits = TRAITS[config.model_type]
    config = config.with_defaults(traits.defaults)
    shape = attention_shape(config, traits)
    num_layers = num_hidden_layers(config)
    attention = attention_weights(shape)
    norms = layer_norms(config, traits, shape.hidden_size)
    layers: list[Layer] = []
    for index, window in enumerate(layer_windows(config, traits, num_layers)):
        block = feed_forward(config, traits, index)
        cache = AttentionCache(
            shape.num_kv_heads, shape.head_dim, shape.head_dim_v, shape.num_heads, window
        )
        layers.append(Layer((cache,), (*attention, *block.weights, *norms), block.moe))
    extra: list[Weight] = []
    if traits.learned_positions is not None:
        positions = max_position(config) + traits.learned_positions
        extra.append(Weight("model.embed_positions", positions, shape.hidden_size))
    if traits.embedding_norm:
        extra.append(norm("model.embedding_norm", shape.hidden_size, bias=traits.norm_bias))
    return assemble(
        config,
        layers,
        tied=traits.tied,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=decoder_ropes(config, traits, shape.head_dim),
        extra_embeddings=extra,
        norm_bias=traits.norm_bias,
        final_norm=traits.final_norm and traits.norm_weight,
        lm_head_bias=traits.lm_head_bias or config.flag("lm_head_bias"),
        intermediate_size=dense_intermediate(config, shape.hidden_size),
    )


READERS: Mapping[str, Reader] = dict.fromkeys(TRAITS, read_decoder)
