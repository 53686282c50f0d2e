"""Building blocks of vision and audio towers: transformer layers, patches, projections."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vllm_preflight.models.architecture import Role, Split, Weight
from vllm_preflight.models.parts.blocks import linear, norm


@dataclass(frozen=True, slots=True)
class TowerShape:
    """The layers of a tower: widths in features, options as its model class fixes them.

    `attention_width` is heads times head width where that is not `hidden_size`,
    `kv_width` the same for keys and values. `qk_norm` counts the elements of the norms
    on queries and keys together, `scales` the layer-scale vectors. `split` says
    whether vLLM divides the tower over tensor-parallel ranks; with `units` (its
    heads) only where those can be dealt out evenly, and else keeps it whole.
    """

    hidden_size: int
    depth: int
    intermediate_size: int
    attention_width: int = 0
    kv_width: int = 0
    qkv_bias: bool = True
    key_bias: bool = True
    output_bias: bool = True
    mlp_bias: bool = True
    gated: bool = False
    norms: int = 2
    norm_bias: bool = True
    qk_norm: int = 0
    scales: int = 0
    split: bool = True
    units: int = 1


def tower_layers(shape: TowerShape, prefix: str = "visual.blocks") -> tuple[Weight, ...]:
    """All transformer layers of a tower, each weight with `depth` copies."""
    hidden_size = shape.hidden_size
    query = shape.attention_width or hidden_size
    key_value = shape.kv_width or query
    column = Split.COLUMN if shape.split else Split.REPLICATED
    row = Split.ROW if shape.split else Split.REPLICATED
    weights: tuple[Weight, ...] = ()
    for name, rows, bias in (
        ("q", query, shape.qkv_bias),
        ("k", key_value, shape.qkv_bias and shape.key_bias),
        ("v", key_value, shape.qkv_bias),
    ):
        weights += linear(
            f"{prefix}.attn.{name}_proj",
            rows,
            hidden_size,
            split=column,
            bias=bias,
            fused=f"{prefix}.attn.qkv",
        )
    weights += linear(f"{prefix}.attn.proj", hidden_size, query, split=row, bias=shape.output_bias)
    names = ("gate_proj", "up_proj") if shape.gated else ("fc1",)
    for name in names:
        weights += linear(
            f"{prefix}.mlp.{name}",
            shape.intermediate_size,
            hidden_size,
            split=column,
            bias=shape.mlp_bias,
            fused=f"{prefix}.mlp.up",
        )
    weights += linear(
        f"{prefix}.mlp.fc2", hidden_size, shape.intermediate_size, split=row, bias=shape.mlp_bias
    )
    weights += tuple(
        norm(f"{prefix}.norm{number}", hidden_size, bias=shape.norm_bias)
        for number in range(1, shape.norms + 1)
    )
    if shape.qk_norm:
        weights += (Weight(f"{prefix}.attn.qk_norm", shape.qk_norm),)
    if shape.scales:
        weights += (Weight(f"{prefix}.layer_scale", shape.scales * hidden_size),)
    return tuple(
        replace(vision(weight), copies=shape.depth, units=shape.units) for weight in weights
    )


def vision(weight: Weight) -> Weight:
    """The weight as one of an encoder's, which quantisation schemes treat apart."""
    return replace(weight, role=Role.VISION) if weight.role is Role.LINEAR else weight


def projection(
    name: str, rows: int, columns: int, *, bias: bool = True, split: Split = Split.REPLICATED
) -> tuple[Weight, ...]:
    """A linear layer of a projector."""
    return tuple(vision(weight) for weight in linear(name, rows, columns, split=split, bias=bias))


def split_pair(
    name: str, inner: int, outer: int, columns: int, *, bias: bool = True
) -> tuple[Weight, ...]:
    """Two linear layers, the first divided by its outputs and the second by its inputs."""
    return (
        *projection(f"{name}.0", inner, columns, bias=bias, split=Split.COLUMN),
        *projection(f"{name}.1", outer, inner, bias=bias, split=Split.ROW),
    )


def rotary_table(head_dim: int) -> Weight:
    """The rotary table of a tower with two-dimensional positions: half a head is rotated.

    vLLM builds it for 8,192 positions (0.33 qwen2_vl.py and its kin).
    """
    return Weight("visual.rotary_pos_emb", 8192, head_dim // 2, in_checkpoint=False)


def patches(name: str, rows: int, columns: int, *, bias: bool = True) -> tuple[Weight, ...]:
    """A patch embedding (a convolution without overlap), whole on every rank."""
    weight = Weight(name, rows, columns)
    return (weight, Weight(f"{name}.bias", rows)) if bias else (weight,)
