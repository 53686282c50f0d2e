"""Attention of grouped-query decoders: heads, biases and windows, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import AttentionShape
from vllm_preflight.models.parts.common import head_dim, layer_kinds
from vllm_preflight.models.parts.decoder_traits import DecoderTraits

_BIAS_KEYS = ("attention_bias", "qkv_bias", "add_qkv_bias", "use_qkv_bias", "use_bias", "bias")
_OUTPUT_BIAS_KEYS = ("attention_out_bias", "o_bias", "attention_bias", "use_bias", "bias")


def num_kv_heads(config: ConfigView, num_heads: int) -> int:
    """Key/value heads of the whole model, under the names the families use."""
    one_by_default = config.model_type in {"falcon", "gpt_bigcode"}
    if one_by_default and not config.flag("new_decoder_architecture"):
        return 1 if config.flag("multi_query", default=True) else num_heads
    if config.model_type == "chatglm" and not config.flag("multi_query_attention"):
        return num_heads
    return config.integer(
        "num_key_value_heads",
        "num_kv_heads",
        "multi_query_group_num",
        "kv_n_heads",
        "n_kv_heads",
        "num_attention_groups",
        default=num_heads,
    )


def attention_shape(config: ConfigView, traits: DecoderTraits) -> AttentionShape:
    """The attention of a decoder's ordinary layers; `layer_shape` varies it."""
    hidden_size = config.integer("hidden_size", "n_embd", "n_embed", "d_model")
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
        head_dim_v=config.integer("v_head_dim", default=0) or width,
        qkv_bias=config.flag(*_BIAS_KEYS) if qkv_bias is None else qkv_bias,
        output_bias=config.flag(*_OUTPUT_BIAS_KEYS) if output_bias is None else output_bias,
        qk_norm=traits.qk_norm if normed else "none",
        qk_norm_split=traits.qk_norm_split,
        output_gate=traits.output_gate,
        sinks=traits.sinks,
    )


def layer_shape(
    config: ConfigView, shape: AttentionShape, index: int, window: int | None
) -> AttentionShape:
    """The attention of layer `index`, where a config gives layers their own heads.

    MiMo-V2 and Step 3.7 give sliding layers other head counts, Laguna lists heads per
    layer, Hunyuan shares keys and values between neighbours (`use_cla`).
    """
    if config.get("num_attention_heads_per_layer") is not None:
        shape = replace(shape, num_heads=config.integer_at(index, "num_attention_heads_per_layer"))
    if config.get("hybrid_layer_pattern") is not None:
        sliding = window is not None
        prefix = "add_swa_attention" if sliding else "add_full_attention"
        shape = replace(shape, sinks=config.flag(f"{prefix}_sink_bias"))
        if sliding:
            shape = _sliding_shape(config, shape)
    other = config.section("attention_other_setting")
    if other is not None and window is not None:
        shape = replace(
            shape,
            num_heads=other.integer("num_attention_heads", default=shape.num_heads),
            num_kv_heads=other.integer("num_attention_groups", default=shape.num_kv_heads),
        )
    if config.flag("use_cla") and index % config.integer("cla_share_factor", default=1):
        shape = replace(shape, own_kv=False)
    return shape


def _sliding_shape(config: ConfigView, shape: AttentionShape) -> AttentionShape:
    return replace(
        shape,
        num_heads=config.integer("swa_num_attention_heads", default=shape.num_heads),
        num_kv_heads=config.integer("swa_num_key_value_heads", default=shape.num_kv_heads),
        head_dim=config.integer("swa_head_dim", default=shape.head_dim),
        head_dim_v=config.integer("swa_v_head_dim", default=shape.head_dim_v),
    )


def layer_windows(config: ConfigView, traits: DecoderTraits, num_layers: int) -> list[int | None]:
    """The sliding window of each layer in tokens, None for full attention.

    `layer_types` decides where present; else the family's layout.
    """
    # An explicit null turns the class's default window off.
    off = "sliding_window" in config.raw and config.raw["sliding_window"] is None
    stated = ("sliding_window", "sliding_window_size", "window_size")
    window = None if off else config.integer(*stated, default=0)
    window = window or None
    kinds = layer_kinds(config, num_layers)
    pattern = config.items("hybrid_layer_pattern")
    if window is not None:
        window += traits.window_extra
    if window is None or (traits.window_layers == "none" and not kinds and not pattern):
        return [None] * num_layers
    if kinds:
        return [window if "sliding" in kind else None for kind in kinds]
    if pattern:
        return [
            window if config.integer_at(index, "hybrid_layer_pattern") else None
            for index in range(num_layers)
        ]
    if traits.window_layers == "all":
        return [window] * num_layers
    if traits.window_layers == "even":
        return [window if index % 2 == 0 else None for index in range(num_layers)]
    if traits.window_layers == "max_window_layers":
        return _qwen_windows(config, window, num_layers)
    return _patterned_windows(config, traits, window, num_layers)


def layer_chunks(config: ConfigView, num_layers: int) -> list[int | None]:
    """The chunk of each layer in tokens, None for full attention (Llama 4).

    Layers without rotary positions attend to everything: those `layer_types` or
    `no_rope_layers` (0) names, else every fourth.
    """
    chunk = config.integer("attention_chunk_size", default=0) or None
    kinds = layer_kinds(config, num_layers)
    if kinds:
        return [chunk if "chunked" in kind else None for kind in kinds]
    if config.items("no_rope_layers"):
        local = [config.integer_at(index, "no_rope_layers") for index in range(num_layers)]
    else:
        step = config.integer("no_rope_layer_interval", default=4) or 4
        local = [(index + 1) % step for index in range(num_layers)]
    return [chunk if is_local else None for is_local in local]


def _qwen_windows(config: ConfigView, window: int, num_layers: int) -> list[int | None]:
    if not config.flag("use_sliding_window"):
        return [None] * num_layers
    first = config.integer("max_window_layers", default=num_layers)
    return [window if index >= first else None for index in range(num_layers)]


def _patterned_windows(
    config: ConfigView, traits: DecoderTraits, window: int, num_layers: int
) -> list[int | None]:
    keys = ("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")
    letters = config.text(*keys)
    if letters:
        # The last layer of a lettered pattern is always global (EXAONE 4).
        return [
            window if letters[index % len(letters)] == "L" and index < num_layers - 1 else None
            for index in range(num_layers)
        ]
    step = config.integer(*keys, default=0) or traits.window_pattern
    if traits.window_layers == "from_end":
        places: Sequence[int] = range(num_layers - 1, -1, -1)
    else:
        places = range(traits.window_phase, traits.window_phase + num_layers)
    return [window if place % step else None for place in places]
