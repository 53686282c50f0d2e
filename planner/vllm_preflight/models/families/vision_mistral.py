"""Pixtral's tower in Mistral's own format (vLLM 0.33 models/pixtral.py)."""

from __future__ import annotations

from vllm_preflight.models.architecture import Encoder, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision import pixtral_tower
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import projection

_MERGED = "patch_merge"


def mistral_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """The tower, whole projections, and where patches are merged a layer and a norm for that."""
    width, merge = config.integer("hidden_size"), config.integer("spatial_merge_size", default=1)
    bias = config.flag("adapter_bias", default=True)
    weights: tuple[Weight, ...] = (
        *pixtral_tower(config),
        *projection("vision_language_adapter.w_in", text_hidden, width, bias=bias),
        *projection("vision_language_adapter.w_out", text_hidden, text_hidden, bias=bias),
    )
    if config.flag("add_pre_mm_projector_layer_norm"):
        weights += (norm("pre_mm_projector_norm", width),)
    if config.text("mm_projector_id") == _MERGED:
        merged = merge * merge * width
        weights += projection("patch_merger.merging_layer", width, merged, bias=False)
    patch = config.integer("patch_size") * (merge if config.text("mm_projector_id") else 1)
    side = config.integer("image_size") // max(1, patch)
    # A mark ends each row of patches.
    return Encoder("vision", weights, width, side * (side + 1))
