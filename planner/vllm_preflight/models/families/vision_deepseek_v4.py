"""The vision tower that some DeepSeek-V4 checkpoints have beside the text model.

vLLM 0.33 models/deepseek_v4/common/vision.py and vl_model.py: the keys stand at the top of the
config, and `vision_n_layers` alone decides whether there is a tower.
"""

from __future__ import annotations

from vllm_preflight.models.architecture import Encoder, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import TowerShape, patches, projection, tower_layers

_MARKS = ("image_start", "image_end", "image_newline", "image_pad")


def deepseek_v4_towers(config: ConfigView, text_hidden: int) -> tuple[Encoder, ...]:
    """The tower and its projector, none for a text model."""
    depth = config.integer("vision_n_layers", default=0)
    if not depth:
        return ()
    width, heads = config.integer("vision_dim"), config.integer("vision_n_heads")
    patch, joined = config.integer("vision_patch_size"), config.integer("vision_downsample_ratio")
    shape = TowerShape(
        width,
        depth,
        config.integer("vision_inter_dim"),
        mlp_bias=False,
        gated=True,
        norm_bias=False,
        units=max(1, heads),
    )
    weights = (
        *patches("vision.patch_embed.proj", width, 3 * patch * patch),
        *tower_layers(shape, "vision.blocks"),
        norm("vision.norm", width),
        *projection("aligner.w1", text_hidden, width * joined * joined, split=Split.COLUMN),
        *projection("aligner.w2", text_hidden, text_hidden, split=Split.ROW),
        *(Weight(mark, text_hidden, dtype="float32") for mark in _MARKS),
    )
    most = config.integer("vision_max_n_token", default=0)
    return (Encoder("vision", weights, width, most or None),)
