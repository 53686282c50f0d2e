"""Weights as one tensor-parallel rank holds them: divided, padded, fused.

Dividing follows vLLM 0.33 `model_executor/layers/linear.py`,
`vocab_parallel_embedding.py` and `fused_moe/layer.py`. Rank 0 is the fullest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vllm_preflight.base.units import ceil_div, round_up
from vllm_preflight.memory.weights.layouts import Matrix
from vllm_preflight.models.architecture import Role, Split, Weight

_VOCAB_PADDING = 64


@dataclass(frozen=True, slots=True)
class Ranks:
    """How weights are divided.

    `tensor` ranks divide a layer. `experts` ranks (all of tensor and data parallelism)
    divide routed experts: whole ones with expert parallelism, else each expert's
    intermediate size.
    """

    tensor: int = 1
    experts: int = 1
    whole_experts: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A parameter on one rank: its first weight's facts, and its shape there.

    `tensors` counts equal tensors of this shape.
    """

    weight: Weight
    matrix: Matrix
    tensors: int = 1


def is_expert(weight: Weight) -> bool:
    """Whether a weight belongs to the routed experts (their biases included)."""
    if weight.role is Role.EXPERT:
        return True
    return weight.copies > 1 and "experts" in weight.name and "shared" not in weight.name


def placed_weights(weights: Iterable[Weight], ranks: Ranks) -> list[Placed]:
    """The parameters `weights` become on the fullest rank, in order.

    Weights with the same `fused` name are stacked into one.
    """
    groups: dict[tuple[str, Role], list[Weight]] = {}
    for weight in weights:
        groups.setdefault((weight.fused or weight.name, weight.role), []).append(weight)
    return [_placed(members, ranks) for members in groups.values()]


def _placed(members: list[Weight], ranks: Ranks) -> Placed:
    first = members[0]
    expert = is_expert(first)
    divisor, copies = ranks.tensor, first.copies
    if expert and ranks.whole_experts:
        divisor, copies = 1, ceil_div(first.copies, ranks.experts)
    elif expert:
        divisor = ranks.experts
    row = first.split is Split.ROW
    matrix = Matrix(
        shards=tuple(_rows(member, divisor) for member in members),
        columns=_share(first.columns, first.units, divisor) if row else first.columns,
        copies=copies if expert else 1,
        expert=expert,
        second=expert and first.split is not Split.COLUMN,
    )
    return Placed(first, matrix, 1 if expert else copies)


def _rows(weight: Weight, divisor: int) -> int:
    if weight.split is Split.COLUMN:
        return _share(weight.rows, weight.units, divisor)
    if weight.split is Split.KV_HEADS:
        return weight.rows // weight.units * max(1, weight.units // divisor)
    if weight.split is Split.VOCAB:
        return ceil_div(round_up(weight.rows, _VOCAB_PADDING), divisor)
    return weight.rows


def _share(size: int, units: int, divisor: int) -> int:
    """The fullest rank's part of a dimension, in whole units where it has several."""
    if units <= 1:
        return ceil_div(size, divisor)
    return ceil_div(size, units) * ceil_div(units, divisor)
