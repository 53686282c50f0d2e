"""Vision towers of the layout of CLIP: LLaVA, Phi-3-vision, Mllama and relatives."""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Encoder, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision import (
    pixtral_llava_vision,
    pooling_head,
    siglip_tower,
)
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    split_pair,
    tower_layers,
)

_CLIP_LARGE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "image_size": 336,
    "patch_size": 14,
}
_SIGLIP_SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "image_size": 384,
    "patch_size": 14,
}


def clip_tower(config: ConfigView, depth: int | None = None) -> tuple[Weight, ...]:
    """A CLIP encoder: class token, learned positions, a norm before and one behind.

    With a `depth` below the config's, only that many layers and no norm behind.
    """
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    positions = (config.integer("image_size") // max(1, patch)) ** 2 + 1
    return (
        Weight("vision_tower.class_embedding", width),
        *patches("vision_tower.patch_embedding", width, 3 * patch * patch, bias=False),
        Weight("vision_tower.position_embedding", positions, width),
        norm("vision_tower.pre_layrnorm", width, bias=True),
        *_layers(config, depth),
    )


def _layers(config: ConfigView, depth: int | None) -> tuple[Weight, ...]:
    whole, width = config.integer("num_hidden_layers"), config.integer("hidden_size")
    count = whole if depth is None else depth
    shape = TowerShape(width, count, config.integer("intermediate_size"))
    layers = tower_layers(shape, "vision_tower.layers") if count else ()
    last = norm("vision_tower.post_layernorm", width, bias=True)
    return (*layers, last) if count == whole else layers


def _layers_used(config: ConfigView, whole: int) -> int:
    """Layers up to the one whose features are taken, which is all vLLM builds."""
    chosen = config.get("vision_feature_layer")
    deepest = max(
        (
            layer + whole + 1 if layer < 0 else layer
            for layer in (chosen if isinstance(chosen, list) else [chosen])  # pyright: ignore[reportUnknownVariableType]
            if isinstance(layer, int)
        ),
        default=whole - 1,
    )
    return min(max(deepest, 0), whole)


def _grid(config: ConfigView) -> int:
    return (config.integer("image_size") // max(1, config.integer("patch_size"))) ** 2


def llava_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """LLaVA 1.5: one image of a token per patch, two projections.

    Features are taken before the last layer unless the config says otherwise.
    """
    kind = config.model_type or "clip_vision_model"
    if kind == "pixtral":
        return pixtral_llava_vision(config, text_hidden)
    projections = ("multi_modal_projector.linear", text_hidden, text_hidden)
    if kind == "siglip_vision_model":
        view = config.with_defaults(_SIGLIP_SO400M)
        width = view.integer("hidden_size")
        weights = (*siglip_tower(view), *split_pair(*projections, width))
        return Encoder("vision", weights, width, _grid(view))
    if kind != "clip_vision_model":
        raise UnsupportedArchitecture(
            f"The vision tower {kind!r} is not supported here.",
            "The key that decides is vision_config.model_type.",
            keys=("vision_config.model_type",),
        )
    view = config.with_defaults(_CLIP_LARGE)
    width, whole = view.integer("hidden_size"), view.integer("num_hidden_layers")
    used = _layers_used(config, whole)
    left = _layers(view.with_raw(num_hidden_layers=whole - used), None) if used < whole else ()
    weights = (*clip_tower(view, used), *split_pair(*projections, width))
    return Encoder("vision", weights, width, _grid(view), left)


def llava_next_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """LLaVA-NeXT: an overview and tiles up to the largest grid, with a newline a row."""
    encoder = llava_vision(config, text_hidden)
    view = config.with_defaults(_CLIP_LARGE)
    side = view.integer("image_size") // max(1, view.integer("patch_size"))
    pixels = max(1, view.integer("image_size"))
    largest = 0
    for height, width in _pinpoints(config):
        rows, columns = side * (height // pixels), side * (width // pixels)
        largest = max(largest, rows * (columns + 1))
    weights = (*encoder.weights, Weight("image_newline", text_hidden))
    return replace(encoder, weights=weights, max_tokens_per_item=side * side + largest)


def _pinpoints(config: ConfigView) -> list[tuple[int, int]]:
    """The sizes in pixels an image may be cut to, malformed entries left out."""
    found: list[tuple[int, int]] = []
    for entry in config.items("image_grid_pinpoints"):
        view = ConfigView({"size": entry})
        if len(view.items("size")) == 2:
            found.append((view.integer_at(0, "size"), view.integer_at(1, "size")))
    return found


def phi3_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Phi-3-vision: CLIP ViT-L at 336 pixels, four features merged, two learned separators."""
    name = config.text("model_name", default="openai/clip-vit-large-patch14-336")
    if "clip-vit-large-patch14-336" not in name:
        raise UnsupportedArchitecture(
            f"The vision tower {name!r} is not supported here.",
            "The key that decides is img_processor.model_name.",
            keys=("img_processor.model_name",),
        )
    view = ConfigView({}, _CLIP_LARGE)
    width = view.integer("hidden_size")
    merged = 4 * width
    weights = (
        # Features are taken before the last layer, which is not built.
        *clip_tower(view, view.integer("num_hidden_layers") - 1),
        *projection("img_projection.0", text_hidden, merged),
        *projection("img_projection.2", text_hidden, text_hidden),
        Weight("glb_GN", merged),
        Weight("sub_GN", merged),
        # vLLM embeds the text beside the tower, from a table of its own.
        Weight(
            "embed_tokens",
            config.integer("vocab_size", default=0),
            text_hidden,
            Split.VOCAB,
            in_checkpoint=False,
        ),
    )
    left = _layers(view.with_raw(num_hidden_layers=1), None)
    # 16 crops of 12 x 12 merged features and an overview, with their separators.
    return Encoder("vision", weights, width, (16 + 1) * 144 + 1 + (4 + 1) * 12, left)


def mllama_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Mllama: tiles with positions of their own, local and gated global layers.

    Its features enter the text model by cross-attention; one image is up to
    `max_num_tiles` tiles of patches.
    """
    config = config.with_defaults(
        {
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_global_layers": 8,
            "max_num_tiles": 4,
            "image_size": 448,
            "patch_size": 14,
            "vision_output_dim": 7680,
        }
    )
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    inner, tiles = config.integer("intermediate_size"), config.integer("max_num_tiles")
    positions = _grid(config) + 1
    ratios = len(config.items("supported_aspect_ratios")) or 8
    shape = TowerShape(
        width, config.integer("num_hidden_layers"), inner, qkv_bias=False, output_bias=False
    )
    global_layers = config.integer("num_global_layers")
    whole = TowerShape(width, global_layers, inner, qkv_bias=False, output_bias=False)
    weights = (
        Weight("vision_model.class_embedding", width),
        *patches("vision_model.patch_embedding", width, 3 * patch * patch, bias=False),
        Weight("vision_model.gated_positional_embedding", positions, width),
        Weight("vision_model.tile_embedding", ratios + 1, tiles * positions * width),
        Weight("vision_model.pre_tile_embedding", ratios + 1, tiles * width),
        Weight("vision_model.post_tile_embedding", ratios + 1, tiles * width),
        Weight("vision_model.gates", 3),
        norm("vision_model.layernorm_pre", width, bias=True),
        norm("vision_model.layernorm_post", width, bias=True),
        *tower_layers(shape, "vision_model.transformer.layers"),
        *tower_layers(whole, "vision_model.global_transformer.layers"),
        Weight("vision_model.global_transformer.gates", 2, copies=global_layers),
        *projection(
            "multi_modal_projector",
            text_hidden,
            config.integer("vision_output_dim"),
            split=Split.COLUMN,
        ),
    )
    return Encoder("vision", weights, width, tiles * positions)


def deepseek_vl2_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """DeepSeek-VL2: SigLIP so400m with its pooling head, features merged four to one."""
    width = config.integer("width", default=1152)
    view = ConfigView(
        {},
        {
            **_SIGLIP_SO400M,
            "hidden_size": width,
            "intermediate_size": int(width * config.number("mlp_ratio", default=3.7362)),
            "num_hidden_layers": config.integer("layers", default=27),
            "patch_size": config.integer("patch_size", default=14),
        },
    )
    weights = (
        *siglip_tower(view),
        *pooling_head(width, view.integer("intermediate_size")),
        *projection("projector.layers.0", text_hidden, 4 * width),
        *projection("projector.layers.2", text_hidden, text_hidden),
        Weight("image_newline", text_hidden),
        Weight("view_seperator", text_hidden),
    )
    return Encoder("vision", weights, width)


def minimax_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """MiniMax M3: CLIP layers on patches of two frames, projected, then merged."""
    width, patch = config.integer("hidden_size"), config.integer("patch_size")
    compression = config.section("img_token_compression_config") or ConfigView({})
    frames = compression.integer("temporal_patch_size", default=2)
    merge = compression.integer("spatial_merge_size", default=2) ** 2
    inner = config.integer("projector_hidden_size", default=text_hidden)
    shape = TowerShape(
        width, config.integer("num_hidden_layers"), config.integer("intermediate_size")
    )
    weights = (
        *patches("vision_tower.embeddings", width, 3 * frames * patch * patch, bias=False),
        norm("vision_tower.pre_layrnorm", width, bias=True),
        *tower_layers(shape, "vision_tower.layers"),
        *split_pair("multi_modal_projector.linear", inner, text_hidden, width),
        *split_pair("patch_merge_mlp.linear", inner, text_hidden, merge * text_hidden),
    )
    image = config.integer("image_size") // max(1, patch)
    return Encoder("vision", weights, width, image * image // max(1, merge))
