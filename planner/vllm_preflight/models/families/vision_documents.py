"""Vision towers of document and edge models: DeepSeek-OCR, dots.ocr, LFM2-VL, MiniCPM-V."""

from __future__ import annotations

from vllm_preflight.models.architecture import Encoder, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision import siglip_tower
from vllm_preflight.models.families.vision_clip import clip_tower
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    split_pair,
    tower_layers,
)

_CLIP_L_224 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "image_size": 224,
    "patch_size": 14,
}
_SIGLIP_980 = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "image_size": 980,
    "patch_size": 14,
}


def deepseek_ocr_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """DeepSeek-OCR: SAM ViT-B into CLIP-L at 224 pixels, joined and projected."""
    del config
    # CLIP reads SAM's features and is built whole, but without its last norm.
    view = ConfigView({}, _CLIP_L_224)
    clip = tuple(w for w in clip_tower(view) if not w.name.endswith("post_layernorm"))
    weights = (
        *_sam_base(),
        *clip,
        *projection("projector.layers", text_hidden, 2 * 1024),
        Weight("image_newline", text_hidden),
        Weight("view_seperator", text_hidden),
    )
    return Encoder("vision", weights, 1024)


def deepseek_ocr2_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """DeepSeek-OCR 2: SAM ViT-B into Qwen2 0.5B run as an encoder with learned queries."""
    del config
    width, inner, depth = 896, 4864, 24
    shape = TowerShape(
        width,
        depth,
        inner,
        kv_width=2 * 64,
        output_bias=False,
        mlp_bias=False,
        gated=True,
        norm_bias=False,
        split=False,
    )
    weights = (
        *_sam_base(width),
        *tower_layers(shape, "qwen2_model.layers"),
        norm("qwen2_model.norm", width),
        Weight("qwen2_model.queries", 144 + 256, width),
        *projection("projector.layers", text_hidden, width),
        Weight("view_seperator", text_hidden),
    )
    return Encoder("vision", weights, width)


def _sam_base(out: int = 1024) -> tuple[Weight, ...]:
    """SAM's ViT-B: eight windowed blocks, four global ones, a neck of convolutions to `out`."""
    width, depth, head = 768, 12, 64
    shape = TowerShape(width, depth, 4 * width, split=False)
    return (
        *patches("sam_model.patch_embed", width, 3 * 16 * 16),
        Weight("sam_model.pos_embed", 64 * 64, width),
        *tower_layers(shape, "sam_model.blocks"),
        # Relative positions of both axes: windows of 14, the whole grid of 64.
        Weight("sam_model.blocks.window_rel_pos", 2 * 27, head, copies=8),
        Weight("sam_model.blocks.global_rel_pos", 2 * 127, head, copies=4),
        Weight("sam_model.neck.0", 256, width),
        Weight("sam_model.neck.2", 256, 9 * 256),
        norm("sam_model.neck.norms", 2 * 256, bias=True),
        Weight("sam_model.net_2", 512, 9 * 256),
        Weight("sam_model.net_3", out, 9 * 512),
    )


def dots_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """dots.ocr: gated RMSNorm blocks without biases, merged patches."""
    config = config.with_defaults(
        {
            "embed_dim": 1536,
            "intermediate_size": 4224,
            "num_hidden_layers": 42,
            "patch_size": 14,
            "spatial_merge_size": 2,
        }
    )
    width, patch = config.integer("embed_dim"), config.integer("patch_size")
    bias = config.flag("use_bias")
    shape = TowerShape(
        hidden_size=width,
        depth=config.integer("num_hidden_layers"),
        intermediate_size=config.integer("intermediate_size"),
        qkv_bias=bias,
        output_bias=bias,
        mlp_bias=bias,
        gated=True,
        norm_bias=False,
    )
    merged = width * config.integer("spatial_merge_size") ** 2
    out = config.integer("hidden_size", default=text_hidden)
    weights = (
        *patches("vision_tower.patch_embed", width, 3 * patch * patch),
        norm("vision_tower.patch_embed.norm", width),
        *tower_layers(shape, "vision_tower.blocks"),
        norm("vision_tower.post_trunk_norm", width),
        norm("vision_tower.merger.ln_q", width, bias=True),
        *split_pair("vision_tower.merger.mlp", merged, out, merged),
    )
    return Encoder("vision", weights, width)


def lfm2_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """LFM2-VL: SigLIP 2 on linear patches, pixel unshuffle and a two-layer projector."""
    config = config.with_defaults(
        {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 26,
            "num_patches": 256,
            "patch_size": 16,
            "downsample_factor": 2,
            "projector_hidden_size": 2560,
        }
    )
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    shape = TowerShape(
        width, config.integer("num_hidden_layers"), config.integer("intermediate_size")
    )
    merged = width * config.integer("downsample_factor") ** 2
    inner = config.integer("projector_hidden_size")
    bias = config.flag("projector_bias", default=True)
    weights: tuple[Weight, ...] = (
        *patches("vision_tower.patch_embedding", width, 3 * patch * patch),
        Weight("vision_tower.position_embedding", config.integer("num_patches"), width),
        *tower_layers(shape, "vision_tower.layers"),
        norm("vision_tower.post_layernorm", width, bias=True),
        *projection("multi_modal_projector.linear_1", inner, merged, bias=bias),
        *projection("multi_modal_projector.linear_2", text_hidden, inner, bias=bias),
    )
    if config.flag("projector_use_layernorm", default=True):
        weights += (norm("multi_modal_projector.layer_norm", merged, bias=True),)
    return Encoder("vision", weights, width)


def minicpmv_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """MiniCPM-V 2.6 and 4.5: SigLIP at 980 pixels, a resampler to `query_num` tokens.

    An image is an overview and up to nine slices.
    """
    config = config.with_defaults(_SIGLIP_980)
    width, queries = config.integer("hidden_size"), config.integer("query_num", default=64)
    weights = (
        *siglip_tower(config),
        Weight("resampler.query", queries, text_hidden),
        *projection("resampler.kv_proj", text_hidden, width, bias=False),
        *projection("resampler.attn.in_proj", 3 * text_hidden, text_hidden),
        *projection("resampler.attn.out_proj", text_hidden, text_hidden),
        norm("resampler.norms", 3 * text_hidden, bias=True),
        # Sinusoidal positions of 70 patches a side, computed and kept.
        Weight("resampler.pos_embed", 70 * 70, text_hidden, in_checkpoint=False),
        Weight("resampler.proj", text_hidden, text_hidden),
    )
    return Encoder("vision", weights, width, 10 * queries)
