"""Bytes of one weight on one rank, as vLLM keeps it after loading.

A quantised weight is repacked for the kernel vLLM picks on the GPU, so its size depends
on the compute capability: scales are widened for Marlin, zero points for Machete, and
MXFP4 and NVFP4 experts are padded to the kernel's tiles (vLLM 0.33
`model_executor/layers/quantization` and `fused_moe/oracle`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd

from vllm_preflight.base.units import ceil_div, round_up
from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Version
from vllm_preflight.models.weight_scheme import WeightScheme

HOPPER: ComputeCapability = (9, 0)
_FP8_HARDWARE: ComputeCapability = (8, 9)
# First release taken to choose the kernel of a format by GPU, as 0.33 does: Marlin for
# block FP8 before Hopper, Machete for AWQ on it. Older ones ran block FP8 natively from
# 8.9 on and AWQ always in Marlin.
_KERNELS_BY_FORMAT: Version = (0, 20, 0)
# Up to 0.18 Triton's MXFP4 experts keep the scales as loaded beside the swizzled ones
# (layers/quantization/mxfp4.py:process_weights_after_loading).
_LOADED_SCALES_DROPPED: Version = (0, 19, 0)
_SCALE = 2  # bytes of a 16-bit scale
_FLOAT32 = 4


@dataclass(frozen=True, slots=True)
class Matrix:
    """A weight as one rank holds it: `copies` matrices of fused `shards` of output rows.

    `columns` are inputs, 1 for a bias. `expert` says that it belongs to routed experts,
    `second` that it is their second projection, from the intermediate to the hidden size.
    """

    shards: tuple[int, ...]
    columns: int
    copies: int = 1
    expert: bool = False
    second: bool = False

    @property
    def rows(self) -> int:
        """Output rows over all fused shards."""
        return sum(self.shards)

    @property
    def elements(self) -> int:
        """Elements over all copies."""
        return self.rows * self.columns * self.copies


def plain_layout(
    matrix: Matrix, element_bytes: int, capability: ComputeCapability
) -> tuple[int, ...]:
    """The one tensor of an unquantised weight."""
    if matrix.expert and capability[0] == 10:
        # Datacentre Blackwell runs 16-bit experts in FlashInfer, in tiles of 128.
        matrix = padded(matrix, hidden=1, intermediate=128)
    return (matrix.elements * element_bytes,)


def padded(matrix: Matrix, *, hidden: int, intermediate: int) -> Matrix:
    """The matrix of an expert with its two dimensions rounded up to multiples."""
    inner, outer = (intermediate, hidden) if matrix.second else (hidden, intermediate)
    return replace(
        matrix,
        shards=tuple(round_up(shard, outer) for shard in matrix.shards),
        columns=round_up(matrix.columns, inner) if matrix.columns > 1 else 1,
    )


def quantised_layout(
    matrix: Matrix,
    scheme: WeightScheme,
    capability: ComputeCapability,
    version: Version = _KERNELS_BY_FORMAT,
) -> tuple[int, ...]:
    """Bytes of each tensor of a quantised weight: numbers first, then scales."""
    recent = version >= _KERNELS_BY_FORMAT
    if scheme.kind in {"fp8_tensor", "fp8_channel", "fp8_block", "mxfp8"}:
        return _eight_bit_float(matrix, scheme, capability, recent)
    if scheme.kind == "int8_channel":
        return (matrix.elements, matrix.rows * matrix.copies * _FLOAT32)
    if scheme.kind == "int_group":
        return _integer_groups(matrix, scheme, recent and capability == HOPPER)
    if scheme.kind in {"mxfp4", "nvfp4"}:
        return _four_bit_float(matrix, scheme, capability, version)
    if scheme.kind == "bnb4":
        return (ceil_div(matrix.elements, 2), ceil_div(matrix.elements, 64) * _FLOAT32)
    return (matrix.elements, matrix.rows * matrix.copies * _FLOAT32)


def _eight_bit_float(
    matrix: Matrix, scheme: WeightScheme, capability: ComputeCapability, recent: bool
) -> tuple[int, ...]:
    elements = matrix.elements
    if scheme.kind == "mxfp8":
        return (elements, matrix.rows * ceil_div(matrix.columns, 32) * matrix.copies)
    if scheme.kind == "fp8_block" and scheme.block:
        rows, columns = scheme.block
        native = _FP8_HARDWARE if matrix.expert or not recent else HOPPER
        if capability < native:
            # Marlin wants a 16-bit scale for each output row of a block of inputs.
            groups = ceil_div(matrix.columns, columns)
            return (elements, matrix.rows * groups * matrix.copies * _SCALE)
        if matrix.expert:
            # A rank's share of an expert that is no multiple of the block shrinks it.
            share = matrix.columns if matrix.second else matrix.shards[0]
            rows, columns = gcd(share, rows), gcd(share, columns)
        tiles = sum(ceil_div(shard, rows) for shard in matrix.shards)
        return (elements, tiles * ceil_div(matrix.columns, columns) * matrix.copies * _FLOAT32)
    if capability < _FP8_HARDWARE or scheme.weight_only:
        return (elements, matrix.rows * matrix.copies * _SCALE)
    # Fused shards are rescaled to one scale.
    scales = matrix.rows if scheme.kind == "fp8_channel" else 1
    inputs = (_FLOAT32 * matrix.copies,) if scheme.static_inputs else ()
    return (elements, scales * matrix.copies * _FLOAT32, *inputs)


def _integer_groups(matrix: Matrix, scheme: WeightScheme, machete: bool) -> tuple[int, ...]:
    groups = ceil_div(matrix.columns, scheme.group_size) if scheme.group_size else 1
    scales = matrix.rows * groups * matrix.copies
    tensors = [ceil_div(matrix.elements * scheme.bits, 8), scales * _SCALE]
    if scheme.zero_points:
        # Machete (dense layers on Hopper) keeps zero points in 16 bit.
        wide = machete and not matrix.expert
        tensors.append(scales * _SCALE if wide else ceil_div(scales * scheme.bits, 8))
    if scheme.act_order:
        tensors += [matrix.columns * matrix.copies * 4] * 2
    return tuple(tensors)


def _four_bit_float(
    matrix: Matrix, scheme: WeightScheme, capability: ComputeCapability, version: Version
) -> tuple[int, ...]:
    if scheme.kind == "mxfp4" and matrix.expert:
        return _mxfp4_experts(matrix, capability, version)
    groups = matrix.rows * ceil_div(matrix.columns, scheme.group_size) * matrix.copies
    numbers = ceil_div(matrix.elements, 2)
    if scheme.kind == "mxfp4":
        return (numbers, groups)
    return (numbers, groups, _FLOAT32 * matrix.copies)


def _mxfp4_experts(
    matrix: Matrix, capability: ComputeCapability, version: Version
) -> tuple[int, ...]:
    if capability != HOPPER:
        matrix = padded(matrix, hidden=256, intermediate=128)
        groups = matrix.rows * ceil_div(matrix.columns, 32)
        return (ceil_div(matrix.elements, 2), groups * matrix.copies)
    # Triton swizzles the scales into tiles of 256 rows and 4 groups.
    matrix = padded(matrix, hidden=1, intermediate=64)
    loaded = ceil_div(matrix.columns, 32)
    swizzled = round_up(matrix.rows, 256) * round_up(loaded, 4)
    kept = (matrix.rows * loaded * matrix.copies,) if version < _LOADED_SCALES_DROPPED else ()
    return (ceil_div(matrix.elements, 2), swizzled * matrix.copies, *kept)


def expert_bias_layout(
    matrix: Matrix, scheme: WeightScheme | None, element_bytes: int, capability: ComputeCapability
) -> tuple[int, ...]:
    """The one tensor of the experts' biases, padded as their weights are.

    Triton's MXFP4 kernel (Hopper) wants them in float32.
    """
    if scheme is None or scheme.kind != "mxfp4":
        return plain_layout(matrix, element_bytes, capability)
    if capability == HOPPER:
        return (padded(matrix, hidden=1, intermediate=64).elements * _FLOAT32,)
    return (padded(matrix, hidden=256, intermediate=128).elements * element_bytes,)
