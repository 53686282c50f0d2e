"""Building blocks shared by all families: which weights a piece of a layer holds.

Each function returns the checkpoint's weights with the way vLLM divides and fuses
them (vLLM 0.33, `model_executor/layers/linear.py` and `fused_moe/layer.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vllm_preflight.models.architecture import Role, Split, Weight


# Models have few kinds of layers and many layers: equal parts are the same object.
@lru_cache(maxsize=4096)
def linear(
    name: str,
    rows: int,
    columns: int,
    *,
    split: Split = Split.REPLICATED,
    bias: bool = False,
    fused: str = "",
    units: int = 1,
    role: Role = Role.LINEAR,
) -> tuple[Weight, ...]:
    """A linear layer of `rows` outputs and `columns` inputs, with its bias if any.

    A row-parallel layer keeps its whole bias on each rank.
    """
    weight = Weight(name, rows, columns, split, role, units=units, fused=fused or name)
    if not bias:
        return (weight,)
    bias_split = Split.REPLICATED if split is Split.ROW else split
    return (
        weight,
        Weight(f"{name}.bias", rows, split=bias_split, units=units, fused=f"{fused or name}.bias"),
    )


@lru_cache(maxsize=4096)
def norm(name: str, size: int, *, bias: bool = False, split: Split = Split.REPLICATED) -> Weight:
    """A normalisation's scale (and shift) of `size` elements, whole on every rank."""
    return Weight(name, size * (2 if bias else 1), split=split)


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """Heads and options of one grouped-query attention layer.

    `qk_norm`: none, one scale per head dimension (of queries and keys, or of keys
    alone), or one per projected feature.
    `qk_norm_split` divides the latter over ranks. `gated_output` doubles the query
    projection (Qwen3-Next), `output_gate` adds a projection of one value per head or
    per feature; `sinks` adds one learned logit per head (gpt-oss). `own_kv` is false
    for layers that read an earlier layer's cache and have no K and V projections,
    `own_v` for those whose keys serve as values.
    """

    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    head_dim_v: int
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: Literal["none", "head", "key", "projection"] = "none"
    qk_norm_bias: bool = False
    qk_norm_split: bool = False
    gated_output: bool = False
    output_gate: Literal["none", "head", "projection"] = "none"
    sinks: bool = False
    own_kv: bool = True
    own_v: bool = True


@lru_cache(maxsize=1024)
def attention_weights(shape: AttentionShape, prefix: str = "self_attn") -> tuple[Weight, ...]:
    """Query, key, value and output projections, with norms and sinks."""
    fused = f"{prefix}.qkv_proj"
    q_rows = shape.num_heads * shape.head_dim
    k_rows = shape.num_kv_heads * shape.head_dim
    v_rows = shape.num_kv_heads * shape.head_dim_v
    weights = linear(
        f"{prefix}.q_proj",
        q_rows * (2 if shape.gated_output else 1),
        shape.hidden_size,
        split=Split.COLUMN,
        bias=shape.qkv_bias,
        fused=fused,
    )
    if shape.own_kv:
        for name, rows in (("k_proj", k_rows), ("v_proj", v_rows))[: 1 + shape.own_v]:
            weights += linear(
                f"{prefix}.{name}",
                rows,
                shape.hidden_size,
                split=Split.KV_HEADS,
                bias=shape.qkv_bias,
                fused=fused,
                units=shape.num_kv_heads,
            )
    weights += linear(
        f"{prefix}.o_proj",
        shape.hidden_size,
        shape.num_heads * shape.head_dim_v,
        split=Split.ROW,
        bias=shape.output_bias,
    )
    if shape.output_gate != "none":
        width = 1 if shape.output_gate == "head" else shape.head_dim_v
        weights += linear(
            f"{prefix}.g_proj", shape.num_heads * width, shape.hidden_size, split=Split.COLUMN
        )
    if shape.qk_norm != "none":
        weights += _qk_norms(shape, prefix, q_rows, k_rows)
    if shape.sinks:
        weights += (Weight(f"{prefix}.sinks", shape.num_heads, split=Split.COLUMN),)
    return (*weights, attention_scales(prefix))


def _qk_norms(shape: AttentionShape, prefix: str, q_rows: int, k_rows: int) -> tuple[Weight, ...]:
    names = (("q_norm", q_rows), ("k_norm", k_rows)) if shape.own_kv else (("q_norm", q_rows),)
    if shape.qk_norm == "key":
        names = names[1:]
    per_head = shape.qk_norm != "projection"
    return tuple(
        norm(
            f"{prefix}.{name}",
            shape.head_dim if per_head else rows,
            bias=shape.qk_norm_bias,
            split=Split.COLUMN if shape.qk_norm_split else Split.REPLICATED,
        )
        for name, rows in names
    )


def attention_scales(prefix: str) -> Weight:
    """The scalars of one attention layer that no checkpoint need hold."""
    # vLLM's attention layer keeps six float32 scalars (query, key, value, probabilities
    # and two for the KV cache) on the GPU whatever the KV dtype.
    return Weight(f"{prefix}.attn.scale", 1, copies=6, dtype="float32", in_checkpoint=False)


@lru_cache(maxsize=4096)
def mlp_weights(
    hidden_size: int,
    intermediate_size: int,
    *,
    gated: bool = True,
    bias: bool = False,
    prefix: str = "mlp",
    split: bool = True,
) -> tuple[Weight, ...]:
    """A feed-forward block: gate and up (fused) or up alone, then down."""
    column = Split.COLUMN if split else Split.REPLICATED
    row = Split.ROW if split else Split.REPLICATED
    fused = f"{prefix}.gate_up_proj" if gated else f"{prefix}.up_proj"
    names = ("gate_proj", "up_proj") if gated else ("up_proj",)
    weights: tuple[Weight, ...] = ()
    for name in names:
        weights += linear(
            f"{prefix}.{name}", intermediate_size, hidden_size, split=column, bias=bias, fused=fused
        )
    return weights + linear(
        f"{prefix}.down_proj", hidden_size, intermediate_size, split=row, bias=bias
    )


def expert_weights(
    hidden_size: int,
    intermediate_size: int,
    num_experts: int,
    *,
    gated: bool = True,
    bias: bool = False,
    prefix: str = "mlp.experts",
) -> tuple[Weight, ...]:
    """Routed experts as vLLM stacks them: w13 (gate and up) and w2 (down)."""
    names = ("gate_proj", "up_proj") if gated else ("up_proj",)
    weights: tuple[Weight, ...] = ()
    for name in names:
        weights += (
            Weight(
                f"{prefix}.{name}",
                intermediate_size,
                hidden_size,
                Split.COLUMN,
                Role.EXPERT,
                copies=num_experts,
                fused=f"{prefix}.w13",
            ),
        )
        if bias:
            weights += (
                Weight(
                    f"{prefix}.{name}.bias",
                    intermediate_size,
                    split=Split.COLUMN,
                    copies=num_experts,
                    fused=f"{prefix}.w13.bias",
                ),
            )
    weights += (
        Weight(
            f"{prefix}.down_proj",
            hidden_size,
            intermediate_size,
            Split.ROW,
            Role.EXPERT,
            copies=num_experts,
            fused=f"{prefix}.w2",
        ),
    )
    if bias:
        weights += (Weight(f"{prefix}.down_proj.bias", hidden_size, copies=num_experts),)
    return weights


def router_weights(
    hidden_size: int,
    num_experts: int,
    *,
    bias: bool = False,
    correction_bias: bool = False,
    name: str = "mlp.gate",
    dtype: str | None = None,
) -> tuple[Weight, ...]:
    """The router's projection, whole on every rank; the correction bias is float32."""
    weights: tuple[Weight, ...] = (Weight(name, num_experts, hidden_size, dtype=dtype),)
    if bias:
        weights += (Weight(f"{name}.bias", num_experts, dtype=dtype),)
    if correction_bias:
        weights += (Weight(f"{name}.e_score_correction_bias", num_experts, dtype="float32"),)
    return weights


def embedding(vocab_size: int, hidden_size: int, name: str = "embed_tokens") -> Weight:
    """The input embedding, its vocabulary padded to 64 and divided over ranks."""
    return Weight(f"model.{name}", vocab_size, hidden_size, Split.VOCAB, Role.EMBEDDING)


def lm_head(vocab_size: int, hidden_size: int, *, bias: bool = False) -> tuple[Weight, ...]:
    """The output projection of an untied model."""
    weights: tuple[Weight, ...] = (
        Weight("lm_head", vocab_size, hidden_size, Split.VOCAB, Role.LM_HEAD),
    )
    if bias:
        weights += (Weight("lm_head.bias", vocab_size, split=Split.VOCAB),)
    return weights


def inverse_frequencies(dims: Sequence[int]) -> tuple[Weight, ...]:
    """What transformers' rotary modules keep instead of a table, for each rotated width.

    The inverse frequencies (one per pair of dimensions) and a copy of the original
    ones, in float32.
    """
    return tuple(
        Weight(f"model.rotary_emb.{place}.inv_freq", dim, dtype="float32", in_checkpoint=False)
        for place, dim in enumerate(dims)
    )
