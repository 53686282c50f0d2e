"""Towers of models that wrap another family's encoder with a projector of their own.

vLLM 0.33 models/bee.py, rvl.py, eagle2_5_vl.py, nemotron_vl.py, nvlm_d.py, interns1.py, keye.py,
keye_vl1_5.py, ernie45_vl.py, glm4v.py, step3_vl.py, ovis.py, ovis2_5.py, phi4siglip.py,
granite4_vision.py, llava_onevision2.py and hyperclovax_vision_v2.py.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Encoder, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision import siglip_tower
from vllm_preflight.models.families.vision_clip import llava_vision
from vllm_preflight.models.families.vision_connectors import SIGLIP_BASE, packed_siglip
from vllm_preflight.models.families.vision_qwen import qwen2_5_vision
from vllm_preflight.models.families.vision_tiles import intern_vision
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    split_pair,
    tower_layers,
)
from vllm_preflight.models.parts.qformer import qformer

_PROJECTOR = "multi_modal_projector"


def _normed_onevision(config: ConfigView, text_hidden: int, inner: int) -> Encoder:
    """LLaVA-OneVision's tower with a norm before its two whole projections."""
    encoder = llava_vision(config, text_hidden)
    width = encoder.hidden_size
    tower = tuple(w for w in encoder.weights if not w.name.startswith(_PROJECTOR))
    weights = (
        *tower,
        norm(f"{_PROJECTOR}.pre_norm", width, bias=True),
        *projection(f"{_PROJECTOR}.linear_1", inner, width),
        *projection(f"{_PROJECTOR}.linear_2", text_hidden, inner),
        Weight("image_newline", text_hidden),
    )
    return replace(encoder, weights=weights, max_tokens_per_item=None)


def bee_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Bee: a projector four times as wide as the text model."""
    return _normed_onevision(config, text_hidden, 4 * text_hidden)


def rvl_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """R-4B: a projector as wide as the text model."""
    return _normed_onevision(config, text_hidden, text_hidden)


def shuffled_siglip_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Eagle 2.5 and Llama Nemotron embeddings: SigLIP, pixel shuffle, a norm, two projections."""
    config = config.with_defaults(SIGLIP_BASE)
    width = config.integer("hidden_size")
    merged = width * _shuffled(config)
    weights = (
        *siglip_tower(config),
        norm("mlp1.0", merged, bias=True),
        *projection("mlp1.1", text_hidden, merged),
        *projection("mlp1.3", text_hidden, text_hidden),
    )
    return Encoder("vision", weights, width)


def _shuffled(config: ConfigView) -> int:
    """How many patches one pixel shuffle joins."""
    ratio = config.number("downsample_ratio", default=0.5)
    return max(1, round(1 / max(0.01, ratio))) ** 2


def nvlm_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """NVLM-D: InternViT and an unbiased projector as wide as the text's feed-forward block.

    Seven heads are added, so that attention can be divided over ranks.
    """
    encoder = intern_vision(config, text_hidden)
    heads = config.integer("num_attention_heads", default=16)
    encoder = replace(
        encoder, weights=tuple(_with_dummy_heads(w, heads, heads + 7) for w in encoder.weights)
    )
    text = config.section("text_config", "llm_config") or ConfigView({})
    inner = text.integer("intermediate_size")
    merged = encoder.hidden_size * _shuffled(config)
    weights = (
        *(w for w in encoder.weights if not w.name.startswith("mlp1.")),
        norm("mlp1.0", merged, bias=True),
        *projection("mlp1.1", inner, merged, bias=False),
        *projection("mlp1.3", text_hidden, inner, bias=False),
    )
    return replace(encoder, weights=weights)


def _with_dummy_heads(weight: Weight, heads: int, total: int) -> Weight:
    """An attention weight with more heads than the checkpoint's."""
    if ".attn." not in weight.name or heads < 1:
        return weight
    if ".attn.proj" not in weight.name:
        return replace(weight, rows=weight.rows * total // heads, units=total)
    columns = weight.columns * total // heads if weight.columns > 1 else 1
    return replace(weight, columns=columns, units=total)


def interns1_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Intern-S1 and InternVL in transformers' layout: attention whole on every rank."""
    encoder = intern_vision(config, text_hidden)
    weights = tuple(
        replace(weight, split=Split.REPLICATED, units=1) if ".attn." in weight.name else weight
        for weight in encoder.weights
    )
    if not config.flag("use_mean_pooling", default=True):
        weights += (norm("vision_tower.layernorm", encoder.hidden_size, bias=True),)
    return replace(encoder, weights=weights)


def _keye_tower(config: ConfigView) -> tuple[Weight, ...]:
    return (
        *siglip_tower(config),
        Weight("visual.packing_position_embedding", 32768, config.integer("hidden_size")),
    )


def keye_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Keye-VL: SigLIP with positions for packed patches, a divided projector."""
    config = config.with_defaults({**SIGLIP_BASE, "spatial_merge_size": 2})
    width = config.integer("hidden_size")
    merged = width * config.integer("spatial_merge_size") ** 2
    weights = (
        *_keye_tower(config),
        norm("mlp_AR.pre_norm", width, bias=True),
        *split_pair("mlp_AR.linear", merged, text_hidden, merged),
    )
    return Encoder("vision", weights, width)


def keye_1_5_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Keye-VL 1.5: as Keye-VL, the norm over merged patches."""
    config = config.with_defaults({**SIGLIP_BASE, "spatial_merge_size": 2})
    width = config.integer("hidden_size")
    merged = width * config.integer("spatial_merge_size") ** 2
    weights = (
        *_keye_tower(config),
        norm("mlp_AR.pre_norm", merged, bias=True),
        *split_pair("mlp_AR.linear", merged, text_hidden, merged),
    )
    return Encoder("vision", weights, width)


def ernie_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """ERNIE 4.5 VL: LayerNorm blocks and a resampler over space and time."""
    config = config.with_defaults(
        {
            "depth": 32,
            "embed_dim": 1280,
            "hidden_size": 1280,
            "mlp_ratio": 4,
            "patch_size": 14,
            "in_channels": 3,
            "spatial_conv_size": 2,
            "temporal_conv_size": 2,
            "use_temporal_conv": True,
        }
    )
    width, patch = config.integer("embed_dim"), config.integer("patch_size")
    shape = TowerShape(width, config.integer("depth"), int(width * config.number("mlp_ratio")))
    spatial = (
        config.integer("pixel_hidden_size", default=width)
        * config.integer("spatial_conv_size") ** 2
    )
    weights: tuple[Weight, ...] = (
        *patches(
            "vision_model.patch_embed",
            width,
            config.integer("in_channels") * patch * patch,
            bias=False,
        ),
        *tower_layers(shape, "vision_model.blocks"),
        norm("vision_model.ln", config.integer("hidden_size"), bias=True),
        *_resampler_half("spatial", spatial, spatial),
    )
    if config.flag("use_temporal_conv"):
        joined = spatial * config.integer("temporal_conv_size")
        weights += _resampler_half("temporal", joined, spatial)
    weights += (
        *projection("resampler_model.mlp", text_hidden, spatial, split=Split.COLUMN),
        norm("resampler_model.after_norm", text_hidden),
    )
    return Encoder("vision", weights, width)


def _resampler_half(name: str, columns: int, width: int) -> tuple[Weight, ...]:
    prefix = f"resampler_model.{name}_linear"
    return (
        *projection(f"{prefix}.0", width, columns, split=Split.COLUMN),
        *projection(f"{prefix}.2", width, width, split=Split.COLUMN),
        norm(f"{prefix}.3", width, bias=True),
    )


def glm4v_9b_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """GLM-4V 9B: EVA2-CLIP, a convolution that merges, a gated projector, two marks."""
    config = config.with_defaults({"in_channels": 3, "patch_size": 14})
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    inner = config.integer("ffn_hidden_size", default=13696)
    shape = TowerShape(
        width, config.integer("num_hidden_layers"), config.integer("intermediate_size")
    )
    name = "vision.linear_proj"
    weights = (
        *patches("vision.patch_embedding.proj", width, config.integer("in_channels") * patch**2),
        Weight("vision.patch_embedding.cls_embedding", width),
        Weight("vision.patch_embedding.position", config.integer("num_positions"), width),
        *tower_layers(shape, "vision.transformer.layers"),
        *patches("vision.conv", text_hidden, 4 * width),
        *projection(f"{name}.linear_proj", text_hidden, text_hidden, bias=False),
        norm(f"{name}.norm1", text_hidden, bias=True),
        *projection(f"{name}.merged", 2 * inner, text_hidden, bias=False, split=Split.COLUMN),
        *projection(f"{name}.dense_4h_to_h", text_hidden, inner, bias=False, split=Split.ROW),
        Weight("vision.boi_eoi", 2, text_hidden),
    )
    return Encoder("vision", weights, width)


def step3_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Step 3: a CLIP-like tower without norms at its ends, two convolutions, a projection."""
    config = config.with_defaults(
        {
            "hidden_size": 1792,
            "intermediate_size": 3072,
            "output_hidden_size": 4096,
            "num_hidden_layers": 63,
            "image_size": 728,
            "patch_size": 14,
        }
    )
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    out = config.integer("output_hidden_size")
    grid = (config.integer("image_size") // max(1, patch)) ** 2
    shape = TowerShape(
        width, config.integer("num_hidden_layers"), config.integer("intermediate_size")
    )
    weights = (
        Weight("vision_model.class_embedding", width),
        *patches("vision_model.patch_embedding", width, 3 * patch * patch),
        Weight("vision_model.position_embedding", grid + 1, width),
        *tower_layers(shape, "vision_model.transformer.layers"),
        *patches("vit_downsampler", out, 4 * width),
        *patches("vit_downsampler2", 2 * out, 9 * out),
        *projection(
            "vit_large_projector", text_hidden, 2 * out, bias=config.flag("projector_bias")
        ),
    )
    return Encoder("vision", weights, width)


def ovis_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Ovis 1.6 and 2: AIMv2 or SigLIP, a head over a visual vocabulary and its embedding."""
    backbone = (config.section("backbone_config") or ConfigView({})).with_defaults(
        {
            **SIGLIP_BASE,
            "hidden_size": 1024,
            "intermediate_size": 2816,
            "num_hidden_layers": 24,
            "patch_size": 14,
        }
    )
    kind = backbone.model_type or "aimv2_vision_model"
    if kind == "siglip_vision_model":
        tower = siglip_tower(backbone)
    elif kind == "aimv2_vision_model":
        tower = aimv2_tower(backbone)
    else:
        raise UnsupportedArchitecture(
            f"The vision tower {kind!r} is not supported here.",
            "The key that decides is visual_tokenizer_config.backbone_config.model_type.",
            keys=("visual_tokenizer_config.backbone_config.model_type",),
        )
    width = backbone.integer("hidden_size")
    vocabulary = config.integer("vocab_size", default=16384)
    stride = config.integer("hidden_stride", default=1)
    return _visual_vocabulary(tower, width, stride, vocabulary, text_hidden, marks=5)


def _visual_vocabulary(
    tower: tuple[Weight, ...],
    width: int,
    stride: int,
    vocabulary: int,
    text_hidden: int,
    marks: int,
) -> Encoder:
    """A head over visual words (all but `marks`) and their embedding."""
    words = vocabulary - marks
    weights = (
        *tower,
        *projection("visual_tokenizer.head.0", words, width * stride * stride, bias=False),
        norm("visual_tokenizer.head.1", words, bias=True),
        Weight("vte", vocabulary, text_hidden),
    )
    return Encoder("vision", weights, width)


def aimv2_tower(config: ConfigView) -> tuple[Weight, ...]:
    """AIMv2: RMSNorm and gated blocks without biases, learned positions."""
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    bias = config.flag("use_bias")
    shape = TowerShape(
        width,
        config.integer("num_hidden_layers"),
        config.integer("intermediate_size"),
        qkv_bias=config.flag("qkv_bias"),
        output_bias=bias,
        mlp_bias=bias,
        gated=True,
        norm_bias=False,
    )
    grid = (config.integer("image_size") // max(1, patch)) ** 2
    return (
        *patches("visual_tokenizer.patch_embed", width, 3 * patch * patch),
        norm("visual_tokenizer.patch_embed.norm", width),
        Weight("visual_tokenizer.pos_embed", grid, width),
        *tower_layers(shape, "visual_tokenizer.blocks"),
    )


def ovis2_5_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Ovis 2.5 and 2.6: SigLIP 2 at native resolution and a visual vocabulary."""
    config = config.with_defaults(
        {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "patch_size": 16,
            "num_patches": 1024,
        }
    )
    if config.get("num_patches") == -1:
        side = config.integer("image_size", default=512) // max(1, config.integer("patch_size"))
        config = config.with_raw(num_patches=side * side)
    vocabulary = config.integer("visual_vocab_size", default=65536)
    stride = config.integer("hidden_stride", default=2)
    tower = packed_siglip(config)
    width = config.integer("hidden_size")
    return _visual_vocabulary(tower, width, stride, vocabulary, text_hidden, marks=5)


def phi4_siglip_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Phi-4 Reasoning Vision: SigLIP 2 up to the layer before the last, two projections."""
    config = config.with_defaults(SIGLIP_BASE)
    depth = config.integer("num_hidden_layers") - 1
    config = config.with_raw(num_hidden_layers=depth)
    width = config.integer("hidden_size")
    tower = tuple(w for w in packed_siglip(config) if not w.name.endswith("post_layernorm"))
    weights = (*tower, *split_pair(f"{_PROJECTOR}.linear", text_hidden, text_hidden, width))
    return Encoder("vision", weights, width)


def granite4_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Granite 4 Vision: a query transformer for each depth and each of four offsets."""
    config = config.with_defaults(SIGLIP_BASE)
    width = config.integer("hidden_size")
    rate = Fraction(config.text("downsample_rate", default="4/8"))
    side = rate.denominator
    projectors = len(config.items("deepstack_layer_map")) + 4
    queries = ConfigView(
        {
            "hidden_size": width,
            "intermediate_size": 3072,
            "num_hidden_layers": 1,
            "encoder_hidden_size": width,
            "cross_attention_frequency": 1,
        }
    )
    one = (
        *qformer(queries, "projectors.qformer"),
        norm("projectors.norm", width, bias=True),
        Weight("projectors.query", rate.numerator**2, width),
        Weight("projectors.image_positions", side * side, width),
        *projection("projectors.out_linear", text_hidden, width),
    )
    weights = (
        *(w for w in siglip_tower(config) if not w.name.endswith("post_layernorm")),
        *(replace(weight, copies=weight.copies * projectors) for weight in one),
        Weight("image_newline", text_hidden),
    )
    return Encoder("vision", weights, width)


def onevision2(config: ConfigView, text_hidden: int) -> Encoder:
    """LLaVA-OneVision 2: rotary LayerNorm blocks and a merger as in Qwen2-VL."""
    width, patch = config.integer("hidden_size"), config.integer("patch_size", default=14)
    merged = width * config.integer("spatial_merge_size", default=2) ** 2
    shape = TowerShape(
        width, config.integer("num_hidden_layers"), config.integer("intermediate_size")
    )
    weights = (
        *patches("visual.patch_embedding", width, 3 * patch * patch, bias=False),
        norm("visual.layernorm_pre", width, bias=True),
        *tower_layers(shape, "visual.encoder.layers"),
        norm("visual.merger.ln_q", width, bias=True),
        *split_pair("visual.merger.mlp", merged, text_hidden, merged),
    )
    return Encoder("vision", weights, width)


def hyperclovax_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """HyperCLOVA X Vision 2: the tower of Qwen2.5-VL and one projection."""
    encoder = qwen2_5_vision(config, text_hidden)
    out = config.integer("out_hidden_size", default=text_hidden)
    weights = (*encoder.weights, *projection("mm_projector", text_hidden, out))
    return replace(encoder, weights=weights)
