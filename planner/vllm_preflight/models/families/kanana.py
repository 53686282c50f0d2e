"""Kanana-V: Qwen2-VL's tower with a projector of RegNet stages.

vLLM 0.33 models/kanana_v.py; the stages are timm's (models/regnet.py): blocks of a depthwise
convolution and squeeze-and-excitation between two pointwise ones.
"""

from __future__ import annotations

from vllm_preflight.models.architecture import Encoder, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision_qwen import qwen2_vision
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import patches, projection

# The share of a block's inputs that its squeeze-and-excitation keeps.
_SQUEEZED = 0.25


def kanana_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """The tower less its merger; stage, merged patches, stage, and a read-out."""
    tower = qwen2_vision(config, text_hidden)
    kept = tuple(weight for weight in tower.weights if ".merger." not in weight.name)
    projector = (config.section("projector_config") or ConfigView({})).with_defaults(
        {
            "depth": 3,
            "mlp_depth": 2,
            "hidden_size": 1024,
            "merge_size": 2,
            "pos_emb": True,
            "pos_emb_size": 576,
        }
    )
    outer = projector.integer("encoder_hidden_size", default=tower.hidden_size)
    width, depth = projector.integer("hidden_size"), projector.integer("depth")
    out = projector.integer("output_hidden_size", default=text_hidden)
    merged = projector.integer("merge_size") ** 2 * width
    weights: tuple[Weight, ...] = ()
    if projector.flag("pos_emb"):
        weights += (Weight("abstractor.pos_emb", projector.integer("pos_emb_size"), outer),)
    if depth:
        weights += (
            *_stage("abstractor.net.0", depth, outer, width),
            *_stage("abstractor.net.2", depth, merged, width),
        )
    read = width if depth else outer
    for place in range(projector.integer("mlp_depth")):
        weights += projection(f"abstractor.readout.{2 * place}", out, out if place else read)
    return Encoder("vision", (*kept, *weights), tower.hidden_size)


def _stage(name: str, depth: int, columns: int, width: int) -> tuple[Weight, ...]:
    """Blocks of which only the first changes the width, and joins its input by a shortcut."""
    weights: tuple[Weight, ...] = ()
    for place in range(depth):
        block, inputs = f"{name}.b{place + 1}", width if place else columns
        squeezed = round(inputs * _SQUEEZED)
        weights += (
            *_convolution(f"{block}.conv1", width, inputs),
            *_convolution(f"{block}.conv2", width, 9),
            *patches(f"{block}.se.fc1", squeezed, width),
            *patches(f"{block}.se.fc2", width, squeezed),
            *_convolution(f"{block}.conv3", width, width),
        )
        if inputs != width:
            weights += _convolution(f"{block}.downsample", width, inputs)
    return weights


def _convolution(name: str, rows: int, columns: int) -> tuple[Weight, ...]:
    return (Weight(f"{name}.conv", rows, columns), norm(f"{name}.bn", rows, bias=True))
