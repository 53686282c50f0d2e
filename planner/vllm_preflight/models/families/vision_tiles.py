"""Vision towers of models that cut images into tiles: InternVL, Idefics3, Muse, Step."""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.models.architecture import Encoder, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision import pooling_head, siglip_tower
from vllm_preflight.models.families.vision_clip import llava_vision
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    tower_layers,
)

_INTERN = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 448,
    "patch_size": 14,
    "downsample_ratio": 0.5,
    "max_dynamic_patch": 12,
}
_IDEFICS3 = {
    "hidden_size": 1152,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "image_size": 224,
    "patch_size": 32,
    "scale_factor": 2,
}


def intern_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """InternViT with pixel shuffle, in the spelling of the chat models or of transformers.

    One image is up to `max_dynamic_patch` tiles and a thumbnail.
    """
    config = config.with_defaults(_INTERN)
    width = config.integer("hidden_size")
    image, patch = config.integer_at(0, "image_size"), config.integer_at(0, "patch_size")
    grid = (image // max(1, patch)) ** 2
    rms = config.text("norm_type") == "rms_norm"
    shape = TowerShape(
        hidden_size=width,
        depth=config.integer("num_hidden_layers"),
        intermediate_size=config.integer("intermediate_size"),
        qkv_bias=config.flag("qkv_bias", "attention_bias"),
        norm_bias=not rms,
        qk_norm=2 * width if config.flag("qk_normalization", "use_qk_norm") else 0,
        scales=2,
    )
    shuffled = max(1, round(1 / max(0.01, config.number("downsample_ratio")))) ** 2
    merged = shuffled * width
    weights = (
        Weight("vision_model.class_embedding", width),
        *patches("vision_model.patch_embedding", width, 3 * patch * patch),
        Weight("vision_model.position_embedding", grid + 1, width),
        *_dealt_heads(
            tower_layers(shape, "vision_model.encoder.layers"),
            config.integer("num_attention_heads", "num_heads"),
        ),
        norm("mlp1.0", merged, bias=True),
        *projection("mlp1.1", text_hidden, merged),
        *projection("mlp1.3", text_hidden, text_hidden),
    )
    tiles = config.integer("max_dynamic_patch") + 1
    return Encoder("vision", weights, width, tiles * (grid // shuffled))


def _dealt_heads(weights: tuple[Weight, ...], heads: int) -> tuple[Weight, ...]:
    """Attention divided by whole heads, and kept whole where those are not even (25 of 6B).

    Source: vLLM 0.33 models/intern_vit.py.
    """
    return tuple(
        replace(weight, units=heads) if ".attn." in weight.name else weight for weight in weights
    )


def idefics3_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Idefics3 and SmolVLM: SigLIP layers, pixel shuffle and one projection."""
    config = config.with_defaults(_IDEFICS3)
    width = config.integer("hidden_size")
    merged = width * config.integer("scale_factor") ** 2
    weights = (
        *siglip_tower(config),
        *projection("connector.modality_projection.proj", text_hidden, merged, bias=False),
    )
    return Encoder("vision", weights, width)


def onevision(config: ConfigView, text_hidden: int) -> Encoder:
    """LLaVA-OneVision: SigLIP, two whole projections and a newline."""
    encoder = llava_vision(config, text_hidden)
    weights = (
        *(
            replace(weight, split=Split.REPLICATED)
            if weight.name.startswith("multi_modal_projector")
            else weight
            for weight in encoder.weights
        ),
        Weight("image_newline", text_hidden),
    )
    return replace(encoder, weights=weights, max_tokens_per_item=None)


def muse_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Muse Glimmer: biased LayerNorm blocks, pixel shuffle, an adapter and a projection.

    Only attention is divided over ranks (vLLM 0.33 models/muse_glimmer.py).
    """
    config = config.with_defaults(
        {
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_hidden_layers": 50,
            "patch_size": 14,
            "patch_temporal": 2,
            "pos_emb_height": 32,
            "pos_emb_width": 32,
            "merge_size": 2,
            "projector_hidden_size": 4096,
        }
    )
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    shape = TowerShape(
        width, config.integer("num_hidden_layers"), config.integer("intermediate_size")
    )
    columns = 3 * config.integer("patch_temporal") * patch * patch
    layers = tuple(
        replace(weight, split=Split.REPLICATED) if ".mlp." in weight.name else weight
        for weight in tower_layers(shape, "vision_tower.layers")
    )
    merged = width * config.integer("merge_size") ** 2
    inner = config.integer("projector_hidden_size")
    grid = config.integer("pos_emb_height") * config.integer("pos_emb_width")
    weights = (
        *patches("vision_tower.patch_embedding", width, columns, bias=False),
        Weight("vision_tower.position_embedding_table", grid, width),
        norm("vision_tower.ln_pre", width, bias=True),
        *layers,
        norm("vision_tower.ln_post", width, bias=True),
        *projection("vision_adapter.c_fc", inner, merged, bias=False),
        *projection("vision_adapter.c_proj", inner, inner, bias=False),
        *projection("vision_projection", text_hidden, inner, bias=False),
    )
    return Encoder("vision", weights, width)


def paddleocr_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """PaddleOCR-VL: SigLIP; positions for packed patches and a pooling head are unused."""
    config = config.with_defaults(
        {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "image_size": 384,
            "patch_size": 14,
        }
    )
    width = config.integer("hidden_size")
    merged = width * config.integer("spatial_merge_size", default=2) ** 2
    weights = (
        *siglip_tower(config),
        norm("mlp_AR.pre_norm", width, bias=True),
        *projection("mlp_AR.linear_1", merged, merged),
        *projection("mlp_AR.linear_2", text_hidden, merged),
    )
    unused = (
        Weight("visual.packing_position_embedding", 32768, width),
        *pooling_head(width, config.integer("intermediate_size")),
    )
    return Encoder("vision", weights, width, unloaded=unused)


def step_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Step 3.7: a scaled LayerNorm tower, two convolutions that merge, a projection."""
    config = config.with_defaults(
        {"width": 1536, "layers": 47, "image_size": 728, "patch_size": 14, "mlp_ratio": 8960 / 1536}
    )
    width, patch = config.integer("width", "hidden_size"), config.integer("patch_size")
    shape = TowerShape(
        width,
        config.integer("layers", "num_hidden_layers"),
        int(width * config.number("mlp_ratio")),
        scales=2,
    )
    grid = (config.integer("image_size") // max(1, patch)) ** 2
    weights = (
        *patches("vision_model.conv1", width, 3 * patch * patch, bias=False),
        Weight("vision_model.positional_embedding", grid, width),
        norm("vision_model.ln_pre", width, bias=True),
        *tower_layers(shape, "vision_model.transformer.resblocks"),
        *patches("vision_model.vit_downsampler1", 2 * width, 9 * width),
        *patches("vision_model.vit_downsampler2", 4 * width, 9 * 2 * width),
        *projection("vit_large_projector", text_hidden, 4 * width, bias=False),
    )
    return Encoder("vision", weights, width, grid // 16)
