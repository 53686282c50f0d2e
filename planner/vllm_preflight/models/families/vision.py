"""Vision towers of fixed layout: SigLIP, Pixtral, Llama 4, Gemma 3 to 4, MoonViT."""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.models.architecture import Encoder, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    split_pair,
    tower_layers,
)

_SIGLIP = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 896,
    "patch_size": 14,
}
# Gemma 3n's tower is a convolutional network timm builds by name; this is its size.
_MOBILENET_V5_300M = 294_126_912


def _grid(config: ConfigView) -> int:
    """Patches of an image of the stated size."""
    return (config.integer("image_size") // max(1, config.integer("patch_size"))) ** 2


def siglip_tower(config: ConfigView) -> tuple[Weight, ...]:
    """A SigLIP encoder with learned positions and a norm at the end."""
    width = config.integer("hidden_size")
    patch = config.integer("patch_size")
    layers = config.integer("num_hidden_layers")
    shape = TowerShape(width, layers, config.integer("intermediate_size"))
    return (
        *patches("vision_tower.patch_embedding", width, 3 * patch * patch),
        Weight("vision_tower.position_embedding", _grid(config), width),
        Weight("vision_tower.position_ids", _grid(config), dtype="int64", in_checkpoint=False),
        *tower_layers(shape, "vision_tower.layers"),
        norm("vision_tower.post_layernorm", width, bias=True),
    )


def pooling_head(width: int, intermediate_size: int) -> tuple[Weight, ...]:
    """SigLIP's attention pooling, which multimodal models store and do not use."""
    return (
        Weight("vision_tower.head.probe", width),
        *projection("vision_tower.head.attention.in_proj", 3 * width, width),
        *projection("vision_tower.head.attention.out_proj", width, width),
        norm("vision_tower.head.layernorm", width, bias=True),
        *split_pair("vision_tower.head.mlp", intermediate_size, width, width),
    )


def gemma3_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Gemma 3: SigLIP at 896 pixels, pooled to 256 tokens and projected."""
    config = config.with_defaults(_SIGLIP)
    width = config.integer("hidden_size")
    weights = (
        *siglip_tower(config),
        Weight("multi_modal_projector.mm_input_projection_weight", width, text_hidden),
        norm("multi_modal_projector.mm_soft_emb_norm", width),
    )
    return Encoder("vision", weights, width, 256)


def paligemma_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """PaliGemma: SigLIP and one projection, a token per patch."""
    config = config.with_defaults({**_SIGLIP, "image_size": 224})
    width = config.integer("hidden_size")
    weights = (
        *siglip_tower(config),
        *projection("multi_modal_projector.linear", text_hidden, width),
    )
    return Encoder("vision", weights, width, _grid(config))


_PIXTRAL = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 1024,
    "patch_size": 16,
    "spatial_merge_size": 2,
}


def pixtral_tower(config: ConfigView) -> tuple[Weight, ...]:
    """Pixtral: a convolution, a norm, RMSNorm and gated blocks, no biases."""
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    shape = TowerShape(
        hidden_size=width,
        depth=config.integer("num_hidden_layers"),
        intermediate_size=config.integer("intermediate_size"),
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
        gated=True,
        norm_bias=False,
    )
    return (
        *patches("vision_tower.patch_conv", width, 3 * patch * patch, bias=False),
        norm("vision_tower.ln_pre", width),
        *tower_layers(shape, "vision_tower.transformer.layers"),
    )


def pixtral_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Pixtral as Mistral 3 uses it: merged patches, normed and projected."""
    config = config.with_defaults(_PIXTRAL)
    width, merge = config.integer("hidden_size"), config.integer("spatial_merge_size")
    merged = merge * merge * width
    bias = config.flag("multimodal_projector_bias")
    weights = (
        *pixtral_tower(config),
        norm("multi_modal_projector.norm", width),
        *projection("multi_modal_projector.merging_layer", width, merged, bias=False),
        *split_pair("multi_modal_projector.linear", text_hidden, text_hidden, width, bias=bias),
    )
    return Encoder("vision", weights, width, _with_breaks(config, merge))


def pixtral_llava_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Pixtral 12B in LLaVA's layout: a token per patch, two projections."""
    config = config.with_defaults(_PIXTRAL)
    width = config.integer("hidden_size")
    weights = (
        *pixtral_tower(config),
        *split_pair("multi_modal_projector.linear", text_hidden, text_hidden, width),
    )
    return Encoder("vision", weights, width, _with_breaks(config, 1))


def _with_breaks(config: ConfigView, merge: int) -> int:
    """Tokens of the largest image; one break ends each row, the last ends the image."""
    side = config.integer("image_size") // max(1, config.integer("patch_size") * merge)
    return side * (side + 1)


def llama4_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Llama 4: 336-pixel tiles, pixel shuffle, two adapters; up to 16 tiles and an overview."""
    config = config.with_defaults(
        {
            "hidden_size": 1408,
            "intermediate_size": 5632,
            "num_hidden_layers": 34,
            "image_size": 336,
            "patch_size": 14,
            "pixel_shuffle_ratio": 0.5,
            "projector_input_dim": 4096,
            "projector_output_dim": 4096,
            "vision_output_dim": 4096,
        }
    )
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    inner = config.integer("intermediate_size")
    positions = _grid(config) + 1
    middle, out = config.integer("projector_input_dim"), config.integer("projector_output_dim")
    weights = (
        *projection(
            "vision_model.patch_embedding.linear",
            width,
            3 * patch * patch,
            bias=False,
            split=Split.COLUMN,
        ),
        Weight("vision_model.class_embedding", width),
        Weight("vision_model.positional_embedding_vlm", positions, width),
        norm("vision_model.layernorm_pre", width, bias=True),
        norm("vision_model.layernorm_post", width, bias=True),
        *tower_layers(
            TowerShape(width, config.integer("num_hidden_layers"), inner), "vision_model.layers"
        ),
        *split_pair("vision_model.vision_adapter.mlp", middle, out, inner, bias=False),
        *projection(
            "multi_modal_projector.linear_1",
            text_hidden,
            config.integer("vision_output_dim"),
            bias=False,
            split=Split.COLUMN,
        ),
    )
    ratio = config.number("pixel_shuffle_ratio")
    return Encoder("vision", weights, width, int(17 * _grid(config) * ratio * ratio))


# Gemma 4's longest video: 32 frames of 70 tokens with 8 around them (models/gemma4_mm.py).
_GEMMA4_VIDEO = 32 * (70 + 8)


def gemma4_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Gemma 4: RMSNorm and gated blocks with norms on queries and keys, whole on each rank."""
    config = config.with_defaults(
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 16,
            "num_attention_heads": 12,
            "head_dim": 64,
            "patch_size": 16,
            "position_embedding_size": 10240,
            "default_output_length": 280,
        }
    )
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    heads, head_dim = config.integer("num_attention_heads"), config.integer("head_dim")
    depth = config.integer("num_hidden_layers")
    shape = TowerShape(
        hidden_size=width,
        depth=depth,
        intermediate_size=config.integer("intermediate_size"),
        attention_width=heads * head_dim,
        kv_width=config.integer("num_key_value_heads", default=heads) * head_dim,
        qkv_bias=False,
        output_bias=False,
        mlp_bias=False,
        gated=True,
        norms=4,
        norm_bias=False,
        qk_norm=2 * head_dim,
        split=False,
    )
    weights: tuple[Weight, ...] = (
        *patches("vision_tower.patch_embedder.input_proj", width, 3 * patch * patch, bias=False),
        Weight(
            "vision_tower.position_embedding_table",
            2 * config.integer("position_embedding_size"),
            width,
        ),
        *tower_layers(shape, "vision_tower.encoder.layers"),
        *projection("embed_vision.embedding_projection", text_hidden, width, bias=False),
        # The unscaled norm before the projection, which vLLM builds with ones.
        Weight("embed_vision.embedding_pre_projection_norm", width, in_checkpoint=False),
    )
    if config.flag("standardize"):
        weights += (Weight("vision_tower.std", 2 * width),)
    if config.flag("use_clipped_linears"):
        # Four bounds for each of a layer's seven linears.
        weights += (Weight("vision_tower.encoder.layers.bounds", 28, copies=depth),)
    return Encoder(
        "vision",
        weights,
        width,
        config.integer("default_output_length"),
        max_tokens_per_video=_GEMMA4_VIDEO,
    )


def gemma4_unified_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Gemma 4 12B: no tower; merged patches are normed, projected and placed."""
    patch = config.integer("patch_size", default=16) * config.integer(
        "pooling_kernel_size", default=3
    )
    columns = 3 * patch * patch
    width = config.integer("mm_embed_dim", default=3840)
    out = config.integer("output_proj_dims", default=3840)
    weights = (
        norm("embed_vision.patch_ln1", columns, bias=True),
        *projection("embed_vision.patch_dense", width, columns),
        norm("embed_vision.patch_ln2", width, bias=True),
        Weight(
            "embed_vision.pos_embedding", 2 * config.integer("mm_posemb_size", default=1120), width
        ),
        norm("embed_vision.pos_norm", width, bias=True),
        *projection("embed_vision.embedding_projection", text_hidden, out, bias=False),
    )
    return Encoder("vision", weights, width, 280, max_tokens_per_video=_GEMMA4_VIDEO)


def gemma3n_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Gemma 3n: MobileNet-V5 300M, 256 tokens an image, and its embedder."""
    width = config.integer("hidden_size", default=2048)
    vocabulary = config.integer("vocab_size", default=128)
    weights = (
        Weight("vision_tower", _MOBILENET_V5_300M),
        *soft_embedder("embed_vision", vocabulary, width, text_hidden),
    )
    return Encoder("vision", weights, width, 256)


def soft_embedder(name: str, vocabulary: int, width: int, text_hidden: int) -> tuple[Weight, ...]:
    """Gemma 3n's bridge: hard tokens of its own, two norms and a projection."""
    return (
        Weight(f"{name}.embedding", vocabulary, width, Split.VOCAB),
        norm(f"{name}.hard_embedding_norm", width),
        norm(f"{name}.soft_embedding_norm", width),
        *projection(
            f"{name}.embedding_projection", text_hidden, width, bias=False, split=Split.ROW
        ),
        # The unscaled norm behind the projection, which vLLM builds with ones.
        Weight(f"{name}.post_projection_norm", text_hidden, in_checkpoint=False),
    )


# Tokens of the largest image: the processors' patches (16,384 and 4,096), each side rounded
# up to a merged one (models/kimi_k25.py, kimi_vl.py; a log of Kimi K2.6 prints the first).
_KIMI_IMAGE, _KIMI_VL_IMAGE = 65 * 65, 33 * 33


def kimi_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """MoonViT of Kimi K2.5 and K3: learned grid positions, merged patches, a projector."""
    config = config.with_defaults(
        {
            "vt_hidden_size": 1152,
            "vt_intermediate_size": 4304,
            "vt_num_hidden_layers": 27,
            "vt_num_attention_heads": 16,
            "patch_size": 14,
            "init_pos_emb_height": 64,
            "init_pos_emb_width": 64,
        }
    )
    width, patch = config.integer("vt_hidden_size"), config.integer("patch_size")
    rms = config.text("norm_type") == "rmsnorm"
    linear_bias = config.flag("linear_bias", default=True)
    shape = TowerShape(
        hidden_size=width,
        depth=config.integer("vt_num_hidden_layers"),
        intermediate_size=config.integer("vt_intermediate_size"),
        attention_width=config.integer("qkv_hidden_size", default=width),
        qkv_bias=config.flag("attn_bias", default=True),
        output_bias=config.flag("attn_bias", default=True),
        mlp_bias=linear_bias,
        norm_bias=not rms,
        # K3's 12 heads on 8 ranks: vLLM then keeps the tower whole.
        units=config.integer("vt_num_attention_heads"),
    )
    grid = config.integer("init_pos_emb_height") * config.integer("init_pos_emb_width")
    merged = 4 * width
    embed_bias = config.flag("patch_embed_proj_bias", default=True)
    weights = (
        *patches("vision_tower.patch_embed.proj", width, 3 * patch * patch, bias=embed_bias),
        Weight("vision_tower.patch_embed.pos_emb", grid, width),
        *tower_layers(shape, "vision_tower.encoder.blocks"),
        norm("vision_tower.encoder.final_layernorm", width, bias=not rms),
        norm("mm_projector.pre_norm", width, bias=not rms),
        *projection("mm_projector.proj.0", merged, merged, bias=linear_bias),
        *projection("mm_projector.proj.2", text_hidden, merged, bias=linear_bias),
    )
    return Encoder("vision", weights, width, _KIMI_IMAGE)


def kimi_vl_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """MoonViT in Kimi-VL's spelling of the keys."""
    renamed = {
        f"vt_{key}": config.get(key)
        for key in (
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
        )
        if config.get(key) is not None
    }
    encoder = kimi_vision(ConfigView({**config.raw, **renamed}, where=config.where), text_hidden)
    return replace(encoder, max_tokens_per_item=_KIMI_VL_IMAGE)
