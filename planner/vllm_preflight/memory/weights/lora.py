"""Buffers vLLM reserves for LoRA adapters in every layer that supports them.

Two low-rank matrices per adapter slot: A from the inputs to the rank, B from the rank to
the outputs (vLLM 0.33 lora/layers/*.py). A column-parallel layer divides B over the
ranks, a row-parallel layer divides A; `fully_sharded_loras` divides both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vllm_preflight.base.units import ceil_div
from vllm_preflight.launch.launch import Lora
from vllm_preflight.memory.weights.division import Ranks, placed_weights
from vllm_preflight.memory.weights.tensors import Tensor
from vllm_preflight.models.architecture import Layer, Role, Split, Weight

_PART = "LoRA buffers"
_ROLES = frozenset({Role.LINEAR, Role.EXPERT, Role.LM_HEAD})


def lora_buffers(
    layers: Sequence[Layer],
    head: Sequence[Weight],
    lora: Lora,
    ranks: Ranks,
    dtype_bytes: int,
) -> Iterator[Tensor]:
    """The LoRA buffers of one pipeline stage: of its `layers`, and of its output `head`."""
    for layer in layers:
        yield from _buffers(layer.weights, lora, ranks, dtype_bytes)
    yield from _buffers(head, lora, ranks, dtype_bytes)


def _buffers(
    weights: Sequence[Weight], lora: Lora, ranks: Ranks, dtype_bytes: int
) -> Iterator[Tensor]:
    supported = [weight for weight in weights if weight.role in _ROLES]
    for placed in placed_weights(supported, ranks):
        weight, matrix = placed.weight, placed.matrix
        each = lora.max_loras * lora.max_lora_rank * matrix.copies * dtype_bytes
        row = weight.split is Split.ROW
        inputs, divisor = matrix.columns, ranks.tensor if lora.fully_sharded else 1
        for rows in matrix.shards:
            # Fully sharded, the side that is whole elsewhere is divided too.
            a = inputs if row else ceil_div(inputs, divisor)
            b = ceil_div(rows, divisor) if row else rows
            if weight.role is Role.LM_HEAD:
                # The logits of an adapter are computed for the whole vocabulary.
                a, b = inputs, weight.rows
            yield Tensor(_PART, a * each, placed.tensors)
            yield Tensor(_PART, b * each, placed.tensors)
