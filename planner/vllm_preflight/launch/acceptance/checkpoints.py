"""What a release refuses of a quantised checkpoint's own layout: bits, symmetry, groups.

Source: vLLM layers/quantization: auto_gptq.py, gptq.py, auto_awq.py, awq.py,
utils/marlin_utils.py and compressed_tensors/compressed_tensors.py of the wheels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm_preflight.launch.launch import LaunchProblem, Version
from vllm_preflight.models.config_files import as_object
from vllm_preflight.models.config_view import ConfigView

_MARLIN_GROUPS = (-1, 32, 64, 128)
# (bits, symmetric) that Marlin has kernels for.
_MARLIN_GPTQ = frozenset({(4, True), (8, True)})
_GPTQ_BITS = (2, 3, 4, 8)
_AWQ_BITS = 4
# First releases that load GPTQ and AWQ through Marlin alone, and without sparsity.
_AUTO_GPTQ_SINCE: Version = (0, 22, 0)
_AUTO_AWQ_SINCE: Version = (0, 24, 0)
_DENSE_ONLY_SINCE: Version = (0, 22, 0)


def fits_marlin(method: str, section: ConfigView) -> bool:
    """Whether an AWQ or GPTQ checkpoint says all Marlin needs and has kernels there."""
    bits, group = section.get("bits", "w_bit"), section.get("group_size", "q_group_size")
    if group not in _MARLIN_GROUPS:
        return False
    if method == "awq":
        return bits == _AWQ_BITS and section.get("zero_point") is not None
    known = section.get("desc_act") is not None
    return known and (bits, section.get("sym")) in _MARLIN_GPTQ


def refused_format(config: Mapping[str, Any]) -> LaunchProblem | None:
    """Why vLLM loads no checkpoint of this program; MLX packs weights under other names."""
    packed = as_object(config.get("quantization"))
    if "bits" not in packed or "group_size" not in packed or "quant_method" in packed:
        return None
    return LaunchProblem(
        "The checkpoint is packed by MLX (quantization: bits, group_size), and vLLM has no method "
        "that loads it.",
        ("the model's original checkpoint",),
        kind="unsupported",
    )


def refused_layout(method: str, section: ConfigView, version: Version) -> LaunchProblem | None:
    """Why a release cannot load this checkpoint's layout, None where it can."""
    message = None
    match method:
        case "gptq":
            message = _gptq(section, version)
        case "awq":
            message = _awq(section, version)
        case "compressed-tensors":
            message = _sparse(section, version)
        case _:
            pass
    return None if message is None else LaunchProblem(message, kind="unsupported")


def _gptq(section: ConfigView, version: Version) -> str | None:
    bits, symmetric = section.get("bits"), section.get("sym")
    group = section.get("group_size")
    if version < _AUTO_GPTQ_SINCE:
        if bits is None or bits in _GPTQ_BITS:
            return None
        return (
            "Currently, only 2/3/4/8-bit weight quantization is supported for GPTQ, but got "
            f"{bits} bits."
        )
    symmetric = True if symmetric is None else symmetric
    if bits is not None and (bits, symmetric) not in _MARLIN_GPTQ:
        return f"Unsupported quantization config: bits={bits}, sym={symmetric}"
    if group is not None and group not in _MARLIN_GROUPS:
        return (
            f"Marlin does not support group_size = {group}. Only group_sizes = "
            f"{list(_MARLIN_GROUPS)} are supported."
        )
    return None


def _awq(section: ConfigView, version: Version) -> str | None:
    bits = section.get("w_bit", "bits")
    if bits is None or bits == _AWQ_BITS:
        return None
    if version >= _AUTO_AWQ_SINCE:
        return f"Unsupported num_bits = {bits}. Supported: {_AWQ_BITS}."
    return f"Currently, only 4-bit weight quantization is supported for AWQ, but got {bits} bits."


def _sparse(section: ConfigView, version: Version) -> str | None:
    sparsity = section.section("sparsity_config")
    if version < _DENSE_ONLY_SINCE or sparsity is None or not sparsity.items("targets"):
        return None
    return (
        "Sparsity support has been removed from compressed-tensors. Please use a model without "
        "sparsity configuration."
    )
