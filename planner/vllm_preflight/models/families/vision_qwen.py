"""Vision towers with dynamic resolution: Qwen2-VL to Qwen3.5, GLM-4V."""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.models.architecture import Encoder, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    rotary_table,
    split_pair,
    tower_layers,
)

# The largest image the processors accept by default, in pixels
# (preprocessor_config.json of the released checkpoints).
_QWEN2_MAX_PIXELS = 12_845_056
_QWEN3_MAX_PIXELS = 16_777_216
# GLM counts an image as the two frames of its temporal patch.
_GLM_MAX_PIXELS, _GLM_FRAMES = 9_633_792, 2


def _resized(
    weights: tuple[Weight, ...], width: int, config: ConfigView, pixels: int, frames: int = 1
) -> Encoder:
    """A tower whose images are as large as `pixels` allow, each counted as `frames`."""
    side = config.integer("patch_size", default=14) * config.integer(
        "spatial_merge_size", default=2
    )
    per_token = max(1, frames * side * side)
    return Encoder("vision", weights, width, pixels // per_token, pixels_per_token=per_token)


def _patch_columns(config: ConfigView) -> int:
    patch = config.integer("patch_size", default=14)
    frames = config.integer("temporal_patch_size", default=2)
    return config.integer("in_channels", "in_chans", default=3) * frames * patch * patch


def _head_dim(config: ConfigView, width: int) -> int:
    return width // max(1, config.integer("num_heads", default=16))


def _merged(config: ConfigView, hidden_size: int) -> int:
    return hidden_size * config.integer("spatial_merge_size", default=2) ** 2


def qwen2_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Qwen2-VL: LayerNorm blocks, a merger of two projections."""
    width = config.integer("embed_dim", default=1280)
    shape = TowerShape(
        hidden_size=width,
        depth=config.integer("depth", default=32),
        intermediate_size=width * config.integer("mlp_ratio", default=4),
    )
    merged = _merged(config, width)
    weights = (
        *patches("visual.patch_embed", width, _patch_columns(config), bias=False),
        *tower_layers(shape),
        rotary_table(_head_dim(config, width)),
        norm("visual.merger.ln_q", width, bias=True),
        *split_pair("visual.merger.mlp", merged, text_hidden, merged),
    )
    return _resized(weights, width, config, _QWEN2_MAX_PIXELS)


def qwen2_5_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Qwen2.5-VL: RMSNorm and gated blocks."""
    width = config.integer("hidden_size", default=1280)
    shape = TowerShape(
        hidden_size=width,
        depth=config.integer("depth", default=32),
        intermediate_size=config.integer("intermediate_size", default=3420),
        kv_width=config.integer("kv_width", default=0),
        gated=True,
        norm_bias=False,
    )
    merged = _merged(config, width)
    weights = (
        *patches("visual.patch_embed", width, _patch_columns(config), bias=False),
        *tower_layers(shape),
        rotary_table(_head_dim(config, width)),
        norm("visual.merger.ln_q", width),
        *split_pair(
            "visual.merger.mlp",
            merged,
            config.integer("out_hidden_size", default=text_hidden),
            merged,
        ),
    )
    return _resized(weights, width, config, _QWEN2_MAX_PIXELS)


def qwen3_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Qwen3-VL, Qwen3.5, Qwen3-Omni: learned positions, mergers at several depths."""
    config = config.with_defaults(
        {
            "depth": 27,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "patch_size": 16,
            "num_position_embeddings": 2304,
        }
    )
    width = config.integer("hidden_size")
    shape = TowerShape(width, config.integer("depth"), config.integer("intermediate_size"))
    merged = _merged(config, width)
    out = config.integer("out_hidden_size", default=text_hidden)
    weights: tuple[Weight, ...] = (
        *patches("visual.patch_embed", width, _patch_columns(config)),
        Weight("visual.pos_embed", config.integer("num_position_embeddings"), width),
        *tower_layers(shape),
        rotary_table(_head_dim(config, width)),
        norm("visual.merger.norm", width, bias=True),
        *split_pair("visual.merger.linear", merged, out, merged),
    )
    for level in range(deepstack_levels(config)):
        name = f"visual.deepstack_merger_list.{level}"
        weights += (
            norm(f"{name}.norm", merged, bias=True),
            *split_pair(f"{name}.linear", merged, out, merged),
        )
    return _resized(weights, width, config, _QWEN3_MAX_PIXELS)


def deepstack_levels(config: ConfigView) -> int:
    """At how many depths image features enter the text model beside its input."""
    return len(config.items("deepstack_visual_indexes"))


def glm4_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """GLM-4.1V to 4.6V: gated blocks, a convolution that merges, a gated merger."""
    width = config.integer("hidden_size", default=1536)
    out = config.integer("out_hidden_size", default=text_hidden)
    patch = config.integer("patch_size", default=14)
    bias = config.flag("attention_bias")
    shape = TowerShape(
        hidden_size=width,
        depth=config.integer("depth", default=24),
        intermediate_size=out,
        qkv_bias=bias,
        output_bias=bias,
        mlp_bias=False,
        gated=True,
        norm_bias=False,
    )
    positions = (config.integer("image_size", default=336) // max(1, patch)) ** 2
    weights = (
        *patches("visual.patch_embed", width, _patch_columns(config)),
        Weight("visual.embeddings.position_embedding", positions, width),
        norm("visual.post_conv_layernorm", width),
        *tower_layers(shape),
        rotary_table(_head_dim(config, width)),
        *patches("visual.downsample", out, _merged(config, width)),
        norm("visual.post_layernorm", width),
        *_glm_merger(out, config.integer("intermediate_size", default=13696)),
    )
    return _resized(weights, width, config, _GLM_MAX_PIXELS, _GLM_FRAMES)


def _glm_merger(out: int, context: int) -> tuple[Weight, ...]:
    return (
        *projection("visual.merger.proj", out, out, bias=False, split=Split.COLUMN),
        norm("visual.merger.post_projection_norm", out, bias=True),
        *projection("visual.merger.gate_proj", context, out, bias=False, split=Split.COLUMN),
        *projection("visual.merger.up_proj", context, out, bias=False, split=Split.COLUMN),
        *projection("visual.merger.down_proj", out, context, bias=False, split=Split.ROW),
    )


def glm5_next_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """GLM-5.3: as GLM-4V with norms on queries and keys, biases, no learned positions."""
    width = config.integer("hidden_size", default=1024)
    out = config.integer("out_hidden_size", default=text_hidden)
    bias = config.flag("attention_bias", default=True)
    shape = TowerShape(
        hidden_size=width,
        depth=config.integer("depth", default=24),
        intermediate_size=config.integer("intermediate_size", default=4096),
        qkv_bias=bias,
        output_bias=bias,
        mlp_bias=bias,
        gated=True,
        norm_bias=False,
        qk_norm=2 * _head_dim(config, width),
    )
    context = config.integer("projection_intermediate_size", default=10240)
    weights = (
        *patches("visual.patch_embed", width, _patch_columns(config)),
        *tower_layers(shape),
        rotary_table(_head_dim(config, width)),
        *patches("visual.downsample", out, _merged(config, width)),
        norm("visual.post_layernorm", width),
        *_glm_merger(out, context),
    )
    return _resized(weights, width, config, _GLM_MAX_PIXELS, _GLM_FRAMES)


def glm_ocr_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """GLM-OCR: the tower of GLM-5.3, its merger as wide as the tower's feed-forward block."""
    width = config.integer("intermediate_size", default=4096)
    return glm5_next_vision(
        config.with_defaults({"projection_intermediate_size": width}), text_hidden
    )


def exaone4_5_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """EXAONE 4.5: the tower of Qwen2.5-VL with fewer heads for keys and values."""
    config = config.with_defaults({"hidden_size": 3584, "num_heads": 16})
    heads = config.integer("num_heads")
    width = config.integer("hidden_size")
    kv_heads = config.integer("num_key_value_heads", default=heads)
    return qwen2_5_vision(
        config.with_defaults({"kv_width": kv_heads * width // heads}), text_hidden
    )


def bailing_v3_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Ling 3 VL: the tower of Qwen3-VL, its merger's norm alone and a projector of its own."""
    encoder = qwen3_vision(config, text_hidden)
    dropped = ("visual.merger.linear", "visual.deepstack")
    weights = (
        *(weight for weight in encoder.weights if not weight.name.startswith(dropped)),
        *split_pair("linear_proj", text_hidden, text_hidden, _merged(config, encoder.hidden_size)),
    )
    return replace(encoder, weights=weights)
