"""Phi-4-multimodal: SigLIP for pictures and a conformer for speech, shapes partly in code.

vLLM 0.33 models/phi4mm.py, phi4mm_audio.py and phi4mm_utils.py. The vision and speech adapters
(LoRA) of the checkpoint are loaded only where the server asks for them.
"""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Encoder, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import TowerShape, patches, projection, tower_layers

# The class builds this tower itself: 448 pixels in patches of 14, all layers but the last.
_WIDTH, _LAYERS, _INNER, _SIDE = 1152, 27, 4304, 32
_POSITIONS = 5000
# One crop becomes half as many patches on either side.
_CROP_TOKENS = (_SIDE // 2) ** 2


def phi4mm_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """SigLIP without its last layer and final norm, two separators, two projections."""
    layer = config.integer("layer_idx", default=-2)
    depth = _LAYERS + layer + 1 if layer < 0 else layer + 1
    name = "vision_encoder.img_processor"
    weights = (
        *patches(f"{name}.embeddings.patch_embedding", _WIDTH, 3 * 14 * 14),
        Weight(f"{name}.embeddings.position_embedding", _SIDE * _SIDE, _WIDTH),
        *tower_layers(TowerShape(_WIDTH, depth, _INNER), f"{name}.encoder.layers"),
        Weight("vision_encoder.separators", 2, _WIDTH),
        *projection("vision_encoder.img_projection.0", text_hidden, _WIDTH),
        *projection("vision_encoder.img_projection.2", text_hidden, text_hidden),
    )
    return Encoder("vision", weights, _WIDTH, _CROP_TOKENS)


def phi4mm_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """A conformer behind strided convolutions, and two projectors: alone and beside pictures."""
    encoder = config.section("config") or ConfigView({})
    _check_audio(config, encoder)
    width, bins = encoder.integer("attention_dim"), encoder.integer("input_size", default=80)
    settings = encoder.section("nemo_conv_settings") or ConfigView({})
    channels = settings.integer("conv_channels", default=256)
    halvings = max(1, encoder.integer("time_reduction", default=8).bit_length() - 1)
    left = bins
    for _ in range(halvings):
        left = (left + 1) // 2
    name = "embed_tokens_extend.encoder"
    layer = _layer(f"{name}.encoders", encoder, width)
    relative = encoder.section("relative_attention_bias_args") or ConfigView({})
    buckets = 2 * relative.integer("t5_bias_max_distance", default=1000)
    weights: tuple[Weight, ...] = (
        *patches(f"{name}.embed.conv.0", channels, 9),
        *(
            replace(weight, copies=halvings - 1)
            for weight in (
                *patches(f"{name}.embed.conv.depth", channels, 9),
                *patches(f"{name}.embed.conv.point", channels, channels),
            )
        ),
        *projection(f"{name}.embed.out", width, channels * left),
        Weight(f"{name}.encoder_embedding", 2 * bins),
        # Positions the class computes, and keeps although the bias replaces them.
        Weight(f"{name}.pos_emb", _POSITIONS, width, in_checkpoint=False),
        *(replace(weight, copies=encoder.integer("num_blocks")) for weight in layer),
    )
    if relative.text("type") == "t5":
        heads = encoder.integer("attention_heads")
        weights += (Weight(f"{name}.relative_attention_bias_layer", buckets, heads),)
    for projector in ("audio_projection", "audio_projection_for_vision"):
        weights += (
            *projection(f"embed_tokens_extend.{projector}.0", text_hidden, width),
            *projection(f"embed_tokens_extend.{projector}.2", text_hidden, text_hidden),
        )
    return Encoder("audio", weights, width)


def _layer(name: str, encoder: ConfigView, width: int) -> tuple[Weight, ...]:
    """One conformer block: attention and a gated convolution between gated halves."""
    inner = encoder.integer("linear_units")
    outer = encoder.integer("ext_pw_out_channel", default=0) or width
    deep = encoder.integer("depthwise_seperable_out_channel", default=width) or width
    kernel = encoder.integer("kernel_size", default=3)
    halves = tuple(
        weight
        for half in ("feed_forward_in", "feed_forward_out")
        for weight in (
            norm(f"{name}.{half}.layer_norm", width, bias=True),
            *projection(f"{name}.{half}.linear", 2 * inner, width),
            *projection(f"{name}.{half}.out", width, inner),
        )
    )
    attention = tuple(
        weight
        for part in ("linear_q", "linear_k", "linear_v", "linear_out")
        for weight in projection(f"{name}.self_attn.{part}", width, width)
    )
    return (
        *halves,
        *attention,
        norm(f"{name}.conv.layer_norm", width, bias=True),
        Weight(f"{name}.conv.glu.biases", 2 * outer),
        *projection(f"{name}.conv.glu.ext_pw_conv_1d", 2 * outer, width),
        *patches(f"{name}.conv.dw_sep_conv_1d.dw_conv", width, kernel),
        *projection(f"{name}.conv.dw_sep_conv_1d.pw_conv", deep, width),
        *projection(f"{name}.conv.ext_pw_conv_1d", outer, deep),
        norm(f"{name}.layer_norm_att", width, bias=True),
        norm(f"{name}.layer_norm", width, bias=True),
    )


def _check_audio(config: ConfigView, encoder: ConfigView) -> None:
    """Refuse a tower of another kind than the published one.

    Raises:
        UnsupportedArchitecture: it is no conformer behind strided convolutions.
    """
    kind = config.text("name", default="cascades")
    first = encoder.text("input_layer", default="nemo_conv")
    if kind != "cascades" or first != "nemo_conv" or encoder.flag("batch_norm"):
        raise UnsupportedArchitecture(
            f"The audio tower of this model ({kind}, {first}) is not supported here.",
            "The key that decides is audio_processor.",
            keys=("audio_processor",),
        )
