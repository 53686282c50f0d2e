"""How a checkpoint stores its weights: from `quantization_config` to a `Quantization`.

Sources of the formats: vLLM 0.33 `model_executor/layers/quantization/*`, the
compressed-tensors and ModelOpt checkpoint formats, and the published configs of the
embedded catalogue. A scheme nobody here knows is refused with its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vllm_preflight.base.errors import UnsupportedArchitecture, naming_config
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.quantization_groups import (
    algorithm_scheme,
    block_shape,
    group_scheme,
    group_size,
    kv_dtype_of_algorithm,
    kv_dtype_of_scheme,
    members,
    patterns,
)
from vllm_preflight.models.quantization_modules import (
    dynamic_rules,
    extra_rules,
    layer_rules,
    quark_scheme,
)
from vllm_preflight.models.weight_scheme import (
    Quantization,
    WeightScheme,
    without_expert_number,
)

__all__ = ["Quantization", "WeightScheme", "read_quantization", "unsupported"]

Rules = tuple[tuple[str, WeightScheme | None], ...]

_CONFIG_KEYS = ("quantization_config", "compression_config")
# Keys under which schemes list the modules they leave alone.
_IGNORE_KEYS = (
    "modules_to_not_convert",
    "ignored_layers",
    "ignore",
    "exclude_modules",
    "exclude",
    "llm_int8_skip_modules",
    "modules_in_block_to_quantize_exclude",
)


def quantization_section(config: Mapping[str, Any]) -> ConfigView | None:
    """The config's quantisation section: its own, or the nested text model's."""
    outer = ConfigView(config)
    for view in (outer, outer.section("text_config"), outer.section("llm_config")):
        section = None if view is None else view.section(*_CONFIG_KEYS)
        if section is not None and section.raw:
            return section
    return None


def read_quantization(config: Mapping[str, Any]) -> Quantization:
    """The scheme a config's `quantization_config` describes; method "none" without one.

    A ModelOpt `hf_quant_config.json` must have been merged in as `quantization_config`.

    Raises:
        UnsupportedArchitecture: the method or a number format is not known.
    """
    with naming_config(config):
        return _read(config)


def _read(config: Mapping[str, Any]) -> Quantization:
    section = quantization_section(config)
    if section is None:
        return Quantization()
    method = quantization_method(section)
    reader = _READERS.get(method)
    if reader is None:
        named = f"quantisation method {method!r}" if method else "quantisation without a method"
        raise unsupported(named, "quant_method")
    return reader(section, ConfigView(config))


def quantization_method(section: ConfigView) -> str:
    """The method's name in lower case; what the keys imply where none is written."""
    if section.text("quant_algo") or section.section("quantized_layers"):
        return "modelopt"
    method = section.text("quant_method").lower()
    if not method and section.get("config_groups"):
        return "compressed-tensors"
    return method.replace("_", "-")


def unsupported(what: str, *keys: str) -> UnsupportedArchitecture:
    """The refusal of a scheme, naming the keys of quantization_config that decide."""
    names = tuple(f"quantization_config.{key}" for key in keys)
    decide = "keys that decide are" if len(names) > 1 else "key that decides is"
    return UnsupportedArchitecture(
        f"The {what} is not supported here.",
        f"The {decide} {', '.join(names)}; name the model's 16-bit checkpoint, or one in FP8, "
        "AWQ, GPTQ or compressed-tensors.",
        keys=names,
    )


def ignored(section: ConfigView) -> Rules:
    """Rules that keep the modules a section excludes in 16 bit."""
    found = dict.fromkeys(map(without_expert_number, patterns(section, *_IGNORE_KEYS)))
    return tuple((pattern, None) for pattern in found)


def _fp8(section: ConfigView, config: ConfigView) -> Quantization:
    block = block_shape(section, "weight_block_size")
    rules = ignored(section)
    if block is not None:
        scheme = WeightScheme("fp8_block", block=block)
    else:
        static = section.text("activation_scheme") == "static"
        scheme = WeightScheme("fp8_tensor", static_inputs=static)
    if config.text("expert_dtype") == "fp4":
        # DeepSeek-V4 stores its routed experts in MXFP4 inside an FP8 checkpoint.
        experts = WeightScheme("mxfp4", bits=4, group_size=32)
        rules = (*rules, (r"re:.*\.experts(\.|$)", experts))
    return Quantization("fp8", scheme, rules, label=scheme.label)


def _fbgemm_fp8(section: ConfigView, config: ConfigView) -> Quantization:
    del config
    # Activations are scaled by token, up to a stored bound.
    scheme = WeightScheme("fp8_channel", static_inputs=True)
    return Quantization("fbgemm_fp8", scheme, ignored(section), label=f"FBGEMM {scheme.label}")


def _integer_groups(section: ConfigView, method: str, zero_points: bool) -> Quantization:
    bits = section.integer("bits", "w_bit", "nbits", default=4)
    if bits not in {2, 3, 4, 8}:
        raise unsupported(f"{method.upper()} scheme with {bits} bits", "bits")
    group = group_size(section, "group_size", "q_group_size")
    scheme = WeightScheme(
        "int_group",
        bits=bits,
        group_size=group,
        zero_points=zero_points,
        act_order=section.flag("desc_act"),
        weight_only=True,
    )
    return Quantization(
        method,
        scheme,
        ignored(section),
        quantizes_head=section.flag("lm_head"),
        label=f"{method.upper()} {scheme.label}",
    )


def _awq(section: ConfigView, config: ConfigView) -> Quantization:
    del config
    return _integer_groups(section, "awq", section.flag("zero_point", default=True))


def _gptq(section: ConfigView, config: ConfigView) -> Quantization:
    del config
    read = _integer_groups(section, "gptq", not section.flag("sym", default=True))
    assert read.default is not None
    return replace(read, rules=(*dynamic_rules(section, read.default), *read.rules))


def _auto_round(section: ConfigView, config: ConfigView) -> Quantization:
    del config
    if section.text("data_type", default="int") not in {"int", "int_sym", "int_asym"}:
        raise unsupported(f"auto-round data type {section.text('data_type')!r}", "data_type")
    read = _integer_groups(section, "auto-round", not section.flag("sym", default=True))
    assert read.default is not None
    rules = (*read.rules, *extra_rules(section, read.default))
    return Quantization(read.method, read.default, rules, label=read.label)


def _bitsandbytes(section: ConfigView, config: ConfigView) -> Quantization:
    del config
    four = section.flag("load_in_4bit", "_load_in_4bit")
    scheme = WeightScheme("bnb4", bits=4, group_size=64) if four else WeightScheme("bnb8")
    return Quantization(
        "bitsandbytes", scheme, ignored(section), label=f"bitsandbytes {scheme.label}"
    )


def _mxfp4(section: ConfigView, config: ConfigView) -> Quantization:
    del config
    scheme = WeightScheme("mxfp4", bits=4, group_size=32)
    return Quantization("mxfp4", scheme, ignored(section), experts_only=True, label=scheme.label)


def _compressed_tensors(section: ConfigView, config: ConfigView) -> Quantization:
    del config
    rules = ignored(section)
    default: WeightScheme | None = None
    label = ""
    groups = section.section("config_groups")
    if groups is not None and len(members(groups)) < len(groups.raw):
        raise unsupported("compressed-tensors scheme with a damaged group", "config_groups")
    for _, group in members(groups):
        scheme = group_scheme(group, section.text("format"))
        label = label or ("" if scheme is None else scheme.label)
        for target in patterns(group, "targets") or ["Linear"]:
            if target == "Linear":
                default = default or scheme
            else:
                rules = (*rules, (target, scheme))
    return Quantization(
        "compressed-tensors",
        default,
        rules,
        kv_cache_dtype=kv_dtype_of_scheme(section),
        label=f"compressed-tensors {label}".strip(),
    )


def _modelopt(section: ConfigView, config: ConfigView) -> Quantization:
    algorithm = section.text("quant_algo").upper()
    if algorithm == "MIXED_PRECISION" or (not algorithm and section.section("quantized_layers")):
        return _modelopt_mixed(section, config)
    scheme = algorithm_scheme(section)
    return Quantization(
        "modelopt",
        scheme,
        ignored(section),
        kv_cache_dtype=kv_dtype_of_algorithm(section),
        label=f"ModelOpt {scheme.label}",
    )


def _modelopt_mixed(section: ConfigView, config: ConfigView) -> Quantization:
    """A scheme for each listed module; the others stay in 16 bit.

    An FP8 checkpoint whose experts ModelOpt requantised keeps FP8 in the others.
    """
    default = None
    if section.text("quant_method").lower() == "fp8":
        default = _fp8(section, config).default
    # One entry for each expert of each layer: 20,000 and more say the same.
    listed = {
        without_expert_number(name): entry
        for name, entry in members(section.section("quantized_layers"))
    }
    rules: Rules = tuple((name, algorithm_scheme(entry)) for name, entry in listed.items())
    labels = sorted({scheme.label for _, scheme in rules if scheme})
    return Quantization(
        "modelopt",
        default,
        rules if default else (*rules, *ignored(section)),
        kv_cache_dtype=kv_dtype_of_algorithm(section),
        label=f"ModelOpt mixed precision ({', '.join(labels)})",
    )


def _quark(section: ConfigView, config: ConfigView) -> Quantization:
    del config
    whole = section.section("global_quant_config")
    scheme = quark_scheme(whole, "global_quant_config") if whole else None
    if scheme is None:
        raise unsupported("Quark scheme without global weights", "global_quant_config.weight")
    rules = (*ignored(section), *layer_rules(section))
    return Quantization("quark", scheme, rules, label=f"Quark {scheme.label}")


def _experts_int8(section: ConfigView, config: ConfigView) -> Quantization:
    del section, config
    scheme = WeightScheme("int8_channel", weight_only=True)
    return Quantization("experts_int8", scheme, experts_only=True, label="INT8 experts")


_READERS: Mapping[str, Callable[[ConfigView, ConfigView], Quantization]] = {
    "fp8": _fp8,
    "fbgemm-fp8": _fbgemm_fp8,
    "awq": _awq,
    "awq-marlin": _awq,
    "gptq": _gptq,
    "gptq-marlin": _gptq,
    "auto-round": _auto_round,
    "intel/auto-round": _auto_round,
    "bitsandbytes": _bitsandbytes,
    "mxfp4": _mxfp4,
    "compressed-tensors": _compressed_tensors,
    "modelopt": _modelopt,
    "modelopt-fp4": _modelopt,
    "quark": _quark,
    "experts-int8": _experts_int8,
}
