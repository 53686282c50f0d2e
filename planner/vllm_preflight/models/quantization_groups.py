"""Reading one group of a compressed-tensors or ModelOpt scheme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard, cast

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.weight_scheme import WeightScheme

# Checkpoints of mixtures list their experts one by one.
_MOST_MODULES = 200_000
# No row is longer.
_LARGEST_GROUP = 2**24
# ModelOpt's names of number formats (hf_quant_config.json, quant_algo).
_ALGORITHMS: Mapping[str, WeightScheme] = {
    "FP8": WeightScheme("fp8_tensor", static_inputs=True),
    "FP8_PER_CHANNEL_PER_TOKEN": WeightScheme("fp8_channel"),
    "FP8_PB_WO": WeightScheme("fp8_block", block=(128, 128)),
    "NVFP4": WeightScheme("nvfp4", bits=4, group_size=16),
    "W4A16_NVFP4": WeightScheme("nvfp4", bits=4, group_size=16, weight_only=True),
    "MXFP8": WeightScheme("mxfp8", group_size=32),
    "MXFP4": WeightScheme("mxfp4", bits=4, group_size=32),
}


def patterns(section: ConfigView, *keys: str) -> list[str]:
    """The module patterns under any of `keys`, in order; non-strings are dropped."""
    found: list[str] = []
    for key in keys:
        entries = section.items(key, most=_MOST_MODULES)
        found += [item for item in entries if isinstance(item, str) and item]
    return found


def members(section: ConfigView | None) -> list[tuple[str, ConfigView]]:
    """The named objects inside a section, in order; anything else is dropped."""
    found: list[tuple[str, ConfigView]] = []
    raw: Mapping[str, object] = section.raw if section else {}
    for name, value in raw.items():
        if isinstance(value, Mapping):
            entry = cast(Mapping[str, Any], value)
            found.append((str(name), ConfigView(entry, where=f"{name}.")))
    return found


def block_shape(section: ConfigView, key: str) -> tuple[int, int] | None:
    """Rows and columns that share a scale, None where the key is absent or empty.

    Raises:
        UnsupportedArchitecture: the value is not two positive whole numbers.
    """
    values = section.items(key)
    if not values:
        return None
    if len(values) != 2 or not all(map(_is_size, values)):
        raise UnsupportedArchitecture(
            f"The quantisation's {key} is {str(values)[:40]}, not two whole numbers.",
            "Correct the config.json.",
            keys=(key,),
        )
    return values[0], values[1]


def group_size(section: ConfigView, *keys: str) -> int:
    """Inputs that share a scale, 0 for a whole row (written as null, 0 or -1)."""
    value = section.get(*keys)
    return value if _is_size(value) else 0


def _is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 < value <= _LARGEST_GROUP


def group_scheme(group: ConfigView, storage: str) -> WeightScheme | None:
    """The scheme of a compressed-tensors group; None when it leaves weights alone.

    `storage` is the checkpoint's `format`, which a group's own overrides.

    Raises:
        UnsupportedArchitecture: a combination of bits, type and strategy nobody knows.
    """
    weights = group.section("weights")
    if weights is None:
        return None
    storage = group.text("format") or storage
    bits = weights.integer("num_bits", default=8)
    number = weights.text("type", default="int")
    strategy = weights.text("strategy")
    size = group_size(weights, "group_size")
    weight_only = group.section("input_activations") is None
    if number == "float" and bits == 4:
        if "mxfp4" in storage or size == 32:
            return WeightScheme("mxfp4", bits=4, group_size=32, weight_only=weight_only)
        return WeightScheme("nvfp4", bits=4, group_size=16, weight_only=weight_only)
    if number == "float" and bits == 8:
        inputs = group.section("input_activations")
        static = inputs is not None and not inputs.flag("dynamic")
        return _float8(weights, storage, weight_only, static)
    if number == "int" and (weight_only or bits == 4) and bits in {2, 3, 4, 8}:
        return WeightScheme(
            "int_group",
            bits=bits,
            group_size=size,
            zero_points=not weights.flag("symmetric", default=True),
            act_order=weights.text("actorder") in {"group", "dynamic"},
            weight_only=weight_only,
        )
    if number == "int" and bits == 8:
        return WeightScheme("int8_channel")
    raise UnsupportedArchitecture(
        f"The compressed-tensors weights of {bits} bits, type {number!r} and strategy "
        f"{strategy or 'none'!r} are not supported.",
        "The keys that decide are num_bits, type and strategy of config_groups.",
        keys=("config_groups",),
    )


def _float8(weights: ConfigView, storage: str, weight_only: bool, static: bool) -> WeightScheme:
    strategy = weights.text("strategy")
    block = block_shape(weights, "block_structure") if strategy == "block" else None
    if block is not None:
        return WeightScheme("fp8_block", block=block, weight_only=weight_only)
    if "mxfp8" in storage or (strategy == "group" and weights.get("group_size") == 32):
        return WeightScheme("mxfp8", group_size=32, weight_only=weight_only)
    kind = "fp8_channel" if strategy == "channel" else "fp8_tensor"
    return WeightScheme(kind, weight_only=weight_only, static_inputs=static)


def algorithm_scheme(entry: ConfigView) -> WeightScheme:
    """The scheme of a ModelOpt `quant_algo`; raises UnsupportedArchitecture."""
    algorithm = entry.text("quant_algo").upper()
    scheme = _ALGORITHMS.get(algorithm)
    if scheme is None:
        raise UnsupportedArchitecture(
            f"The ModelOpt scheme {algorithm or 'without a quant_algo'!r} is not supported.",
            f"Supported are {', '.join(_ALGORITHMS)}.",
            keys=("quantization_config.quant_algo",),
        )
    return scheme


def kv_dtype_of_scheme(section: ConfigView) -> str | None:
    """What compressed-tensors' `kv_cache_scheme` makes of an automatic KV cache."""
    return "fp8" if section.section("kv_cache_scheme") is not None else None


def kv_dtype_of_algorithm(section: ConfigView) -> str | None:
    """What ModelOpt's `kv_cache_quant_algo` or `kv_cache_scheme` makes of it.

    An algorithm vLLM does not know leaves the KV cache in the model's dtype.
    """
    algorithm = section.text("kv_cache_quant_algo", "kv_cache_scheme").upper()
    if algorithm:
        return {"FP8": "fp8_e4m3", "NVFP4": "nvfp4"}.get(algorithm)
    scheme = section.section("kv_cache_scheme")
    if scheme is None or scheme.text("type") != "float":
        return None
    return {8: "fp8_e4m3", 4: "nvfp4"}.get(scheme.integer("num_bits", default=0))
