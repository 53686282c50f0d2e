"""Which measured kernel runs a weight of a scheme: the number format of its tables."""

from __future__ import annotations

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Version
from vllm_preflight.models.quantization import WeightScheme
from vllm_preflight.performance.kernels.facts import Format

_FP8_CAPABILITY: ComputeCapability = (8, 9)
_BLOCK_CAPABILITY: ComputeCapability = (9, 0)
_FP4_CAPABILITY: ComputeCapability = (10, 0)
# Before it, block FP8 ran natively from 8.9 on (memory/weights/layouts.py).
_BLOCK_BY_CAPABILITY: Version = (0, 20, 0)
# Bytes of an activation that enters a kernel.
_NARROW = frozenset({"fp8", "fp8_block", "w4a8_mxfp4_mxfp8"})
_NVFP4_ACTIVATION = 0.5625


def kernel_format(
    scheme: WeightScheme | None,
    *,
    expert: bool,
    capability: ComputeCapability,
    amd: bool,
    version: Version,
) -> tuple[Format, bool]:
    """The format of a weight's kernel, and whether it only expands weights to 16 bit.

    Expanding kernels (AWQ, GPTQ, FP8 before Ada) read few bytes and compute in 16 bit.
    """
    if scheme is None:
        return "bfloat16", False
    kind = scheme.kind
    if not scheme.weight_only:
        if kind in ("fp8_tensor", "fp8_channel", "int8_channel"):
            if amd or capability >= _FP8_CAPABILITY:
                return "fp8", False
        elif kind in ("fp8_block", "mxfp8"):
            least = _BLOCK_CAPABILITY if version >= _BLOCK_BY_CAPABILITY else _FP8_CAPABILITY
            if amd or capability >= least:
                return "fp8_block", False
        elif kind == "nvfp4" and capability >= _FP4_CAPABILITY:
            return "nvfp4", False
    if expert:
        return ("w4a16_mxfp4" if kind in ("mxfp4", "nvfp4") else "int4_wo"), True
    return "bfloat16", True


def activation_bytes(kind: Format) -> float:
    """Bytes of one activation that enters a kernel of a format."""
    if kind == "nvfp4":
        return _NVFP4_ACTIVATION
    return 1.0 if kind in _NARROW else 2.0
