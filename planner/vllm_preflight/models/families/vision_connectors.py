"""SigLIP and CLIP-like towers, told apart by how their features reach the text model."""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.models.architecture import Encoder, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision import siglip_tower
from vllm_preflight.models.families.vision_clip import llava_vision
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    split_pair,
    tower_layers,
)
from vllm_preflight.models.parts.qformer import qformer

# Defaults of transformers' SiglipVisionConfig and Siglip2VisionConfig.
SIGLIP_BASE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "num_patches": 256,
}


def packed_siglip(config: ConfigView) -> tuple[Weight, ...]:
    """SigLIP 2 on flattened patches: a linear patch embedding, learned positions."""
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    shape = TowerShape(
        width, config.integer("num_hidden_layers"), config.integer("intermediate_size")
    )
    return (
        *patches("vision_tower.patch_embedding", width, 3 * patch * patch),
        Weight("vision_tower.position_embedding", config.integer("num_patches"), width),
        *tower_layers(shape, "vision_tower.layers"),
        norm("vision_tower.post_layernorm", width, bias=True),
    )


def cohere2_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Command A Vision: merged patches, a gated projector divided over ranks."""
    config = config.with_defaults({**SIGLIP_BASE, "alignment_intermediate_size": 36864})
    width = config.integer("hidden_size")
    merged = width * config.integer("downsample_factor", default=2) ** 2
    inner = config.integer("alignment_intermediate_size")
    name = "multi_modal_projector.linear"
    weights = (
        *siglip_tower(config),
        *projection(f"{name}_1", inner, merged, split=Split.COLUMN),
        *projection(f"{name}_2", text_hidden, inner // 2, split=Split.ROW),
    )
    return Encoder("vision", weights, width)


def shuffled_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """ModernVBERT, UltraVBERT: pixel shuffle and one projection, with a norm if asked for."""
    config = config.with_defaults(SIGLIP_BASE)
    width = config.integer("hidden_size")
    merged = width * config.integer("pixel_shuffle_factor", default=4) ** 2
    weights: tuple[Weight, ...] = (
        *siglip_tower(config),
        *projection("connector.modality_projection", text_hidden, merged, bias=False),
    )
    if config.flag("connector_norm"):
        weights += (norm("connector.norm", text_hidden),)
    return Encoder("vision", weights, width)


def bagel_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """BAGEL: SigLIP, a two-layer connector, sinusoidal positions in the text's width.

    Its image generator is not loaded (vLLM 0.33 models/bagel.py).
    """
    config = config.with_defaults(SIGLIP_BASE)
    width = config.integer("hidden_size")
    side = config.integer("vit_max_num_patch_per_side", default=70)
    weights = (
        *siglip_tower(config),
        *split_pair("connector.fc", text_hidden, text_hidden, width),
        Weight("vit_pos_embed", side * side, text_hidden, dtype="float32", in_checkpoint=False),
    )
    return Encoder("vision", weights, width)


def isaac_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Isaac: SigLIP 2 with pixel shuffle and an unbiased two-layer projector."""
    config = config.with_defaults(SIGLIP_BASE)
    width = config.integer("hidden_size")
    merged = width * config.integer("pixel_shuffle_scale_factor", default=1) ** 2
    weights = (
        *packed_siglip(config),
        *split_pair("vision_embedding.linear", 4 * merged, text_hidden, merged, bias=False),
    )
    return Encoder("vision", weights, width)


def cosmos3_edge_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Cosmos 3 Edge: SigLIP 2, merged patches normed and projected."""
    config = config.with_defaults({**SIGLIP_BASE, "projector_hidden_size": 11520})
    width = config.integer("hidden_size")
    merged = width * config.integer("spatial_merge_size", default=2) ** 2
    inner = config.integer("projector_hidden_size")
    weights = (
        *packed_siglip(config),
        norm("projector.norm", width, bias=True),
        *split_pair("projector.linear", inner, text_hidden, merged),
    )
    return Encoder("vision", weights, width)


def llava_next_video_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """LLaVA-NeXT-Video: the tower of LLaVA with two whole projections."""
    encoder = llava_vision(config, text_hidden)
    weights = tuple(
        replace(weight, split=Split.REPLICATED)
        if weight.name.startswith("multi_modal_projector")
        else weight
        for weight in encoder.weights
    )
    return replace(encoder, weights=weights)


def minicpmv_merged_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """MiniCPM-V 4.6 and 4.7: a merger inside SigLIP and mergers behind it."""
    config = config.with_defaults(SIGLIP_BASE)
    width, inner = config.integer("hidden_size"), config.integer("intermediate_size")
    merged = 4 * width
    inside = TowerShape(width, 1, inner, norms=1)
    attention = tuple(w for w in tower_layers(inside, "vit_merger") if ".mlp." not in w.name)
    weights: tuple[Weight, ...] = (
        *(w for w in siglip_tower(config) if not w.name.endswith("position_ids")),
        *attention,
        norm("vit_merger.pre_norm", merged, bias=True),
        *projection("vit_merger.linear_1", 4 * inner, merged),
        *projection("vit_merger.linear_2", width, 4 * inner),
    )
    times = config.integer("merger_times", default=1)
    for level in range(times):
        out = text_hidden if level == times - 1 else width
        weights += (
            norm(f"merger.{level}.pre_norm", merged, bias=True),
            *projection(f"merger.{level}.linear_1", merged, merged),
            *projection(f"merger.{level}.linear_2", out, merged),
        )
    return Encoder("vision", weights, width)


def blip2_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """BLIP-2: EVA's ViT, learned queries through a query transformer, one projection."""
    config = config.with_defaults(
        {
            "hidden_size": 1408,
            "intermediate_size": 6144,
            "num_hidden_layers": 39,
            "num_attention_heads": 16,
            "image_size": 224,
            "patch_size": 14,
        }
    )
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    grid = (config.integer("image_size") // max(1, patch)) ** 2
    shape = TowerShape(
        width, config.integer("num_hidden_layers"), config.integer("intermediate_size")
    )
    queries = config.section("qformer_config") or ConfigView({})
    narrow = queries.integer("hidden_size", default=768)
    tokens = config.integer("num_query_tokens", default=32)
    weights = (
        Weight("query_tokens", tokens, narrow),
        Weight("vision_model.class_embedding", width),
        Weight("vision_model.position_embedding", grid + 1, width),
        *patches("vision_model.patch_embedding", width, 3 * patch * patch),
        *tower_layers(shape, "vision_model.encoder.layers"),
        norm("vision_model.post_layernorm", width, bias=True),
        *qformer(queries),
        *projection("language_projection", text_hidden, narrow),
    )
    return Encoder("vision", weights, width, tokens)


def aria_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Aria: Idefics' tower, a cross-attention of learned queries and a feed-forward block."""
    config = config.with_defaults(
        {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "image_size": 980,
            "patch_size": 14,
        }
    )
    width = config.integer("hidden_size")
    table = config.section("projector_patch_to_query_dict")
    largest = max((table.integer(key) for key in table.raw), default=256) if table else 256
    queries = config.integer("max_value_projector_patch_to_query_dict", default=largest)
    name = "multi_modal_projector"
    unused = ("post_layernorm", "position_ids")
    weights: tuple[Weight, ...] = (
        *(w for w in siglip_tower(config) if not w.name.endswith(unused)),
        Weight(f"{name}.query", queries, width),
        Weight(f"{name}.cross_attn.q_k_v", 3 * width, width),
        *projection(f"{name}.cross_attn.in_proj", 3 * width, width),
        *projection(f"{name}.cross_attn.out_proj", width, width),
        *projection(f"{name}.cross_attn.linear", width, width),
        norm(f"{name}.norms", 3 * width, bias=True),
        *projection(
            f"{name}.feed_forward.linear_in", text_hidden, width, bias=False, split=Split.COLUMN
        ),
        *projection(
            f"{name}.feed_forward.linear_out", text_hidden, text_hidden, bias=False, split=Split.ROW
        ),
    )
    return Encoder("vision", weights, width, queries)


def openvla_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """OpenVLA: timm's DINOv2 ViT-L with registers and SigLIP so400m, whole on every rank."""
    del config
    wide, narrow, patch = 1152, 1024, 3 * 14 * 14
    both = wide + narrow
    name = "vision_backbone"
    pool = f"{name}.siglip.attn_pool"
    weights = (
        Weight(f"{name}.dino.tokens", 1 + 4 + 256, narrow),
        *patches(f"{name}.dino.patch_embed", narrow, patch),
        *tower_layers(
            TowerShape(narrow, 24, 4 * narrow, scales=2, split=False), f"{name}.dino.blocks"
        ),
        norm(f"{name}.dino.norm", narrow, bias=True),
        Weight(f"{name}.siglip.pos_embed", 256, wide),
        *patches(f"{name}.siglip.patch_embed", wide, patch),
        *tower_layers(TowerShape(wide, 27, 4304, split=False), f"{name}.siglip.blocks"),
        norm(f"{name}.siglip.norm", wide, bias=True),
        Weight(f"{pool}.latent", wide),
        *projection(f"{pool}.qkv", 3 * wide, wide),
        *projection(f"{pool}.proj", wide, wide),
        norm(f"{pool}.norm", wide, bias=True),
        *projection(f"{pool}.mlp.fc1", 4304, wide),
        *projection(f"{pool}.mlp.fc2", wide, 4304),
        *split_pair("projector.fc", 4 * both, text_hidden, both),
        *projection("projector.fc3", text_hidden, text_hidden),
    )
    return Encoder("vision", weights, wide, 256)
