"""RADIO, the vision tower of Nemotron Nano VL and Omni, and the projector behind it.

Source: vLLM 0.33 models/radio.py and nano_nemotron_vl.py.
"""

from __future__ import annotations

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Encoder, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import TowerShape, patches, projection, tower_layers

# timm's vision transformers by name: width, layers, width of the feed-forward block.
_TIMM = {
    "vit_small_patch16_224": (384, 12, 1536),
    "vit_base_patch16_224": (768, 12, 3072),
    "vit_large_patch16_224": (1024, 24, 4096),
    "vit_huge_patch16_224": (1280, 32, 5120),
    "vit_so400m_patch16_224": (1152, 27, 4304),
}


def radio_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """A ViT with class and register tokens; positions for its largest size; two projections."""
    arguments = config.section("args") or config
    if config.get("sound_config") is not None:
        raise UnsupportedArchitecture(
            "The audio tower of this model (Parakeet) is not supported here.",
            "The key that decides is sound_config.",
            keys=("sound_config",),
        )
    name = arguments.text("model", default="vit_huge_patch16_224")
    if name not in _TIMM:
        raise UnsupportedArchitecture(
            f"The vision tower {name!r} is not supported here.",
            "The key that decides is vision_config.args.model.",
            keys=("vision_config.args.model",),
        )
    width, depth, inner = _TIMM[name]
    patch = config.integer("patch_size", default=16)
    side = arguments.integer("cpe_max_size", default=2048) // max(1, patch)
    teachers = {
        ConfigView({"teacher": entry}).section("teacher") for entry in arguments.items("teachers")
    }
    names = {view.text("name") for view in teachers if view is not None}
    tokens = len(names) if arguments.flag("cls_token_per_teacher") and names else 1
    multiple = arguments.integer("register_multiple", default=0)
    registers = multiple - tokens % multiple if multiple else 0
    frames = config.integer("video_temporal_patch_size", default=1)
    columns = 3 * patch * patch
    merged = (
        width * max(1, round(1 / max(0.01, config.number("downsample_ratio", default=0.5)))) ** 2
    )
    projected = config.integer("projector_hidden_size", default=5120)
    weights: tuple[Weight, ...] = (
        *patches("radio_model.embedder", width, columns, bias=False),
        Weight("radio_model.pos_embed", side * side, width),
        Weight("radio_model.cls_token", tokens + registers, width),
        *tower_layers(TowerShape(width, depth, inner, scales=2), "radio_model.blocks"),
        norm("mlp1.0", merged),
        *projection("mlp1.1", projected, merged, bias=False),
        *projection("mlp1.3", text_hidden, projected, bias=False),
    )
    if frames > 1:
        weights += patches("radio_model.video_embedder", width, frames * columns, bias=False)
    return Encoder("vision", weights, width)
