"""Per-module rules of GPTQ, auto-round and Quark checkpoints.

Source: vLLM 0.33 layers/quantization: utils/gptq_utils.py (get_dynamic_override),
inc/config_parser (extra_config), quark/quark.py (layer_quant_config).
"""

from __future__ import annotations

import re
from dataclasses import replace

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.quantization_groups import group_size, members
from vllm_preflight.models.weight_scheme import WeightScheme

Rules = tuple[tuple[str, WeightScheme | None], ...]

_EXPRESSION = re.compile(r"[*+?^$|()\[\]{}\\]")
_FULL_BITS = 16


def dynamic_rules(section: ConfigView, default: WeightScheme) -> Rules:
    """GPTQ's `dynamic`: expressions with "-:" leave modules in 16 bit, others change them."""
    rules: list[tuple[str, WeightScheme | None]] = []
    for name, entry in members(section.section("dynamic")):
        sign, _, pattern = name.partition(":")
        if sign not in {"+", "-"}:
            sign, pattern = "+", name
        rules.append((f"re:{pattern}", None if sign == "-" else _changed(default, entry)))
    return tuple(rules)


def extra_rules(section: ConfigView, default: WeightScheme) -> Rules:
    """auto-round's `extra_config`: modules by path or by expression, 16 bits for none."""
    rules: list[tuple[str, WeightScheme | None]] = []
    for name, entry in members(section.section("extra_config")):
        kept = entry.integer("bits", default=default.bits) >= _FULL_BITS
        path = f"re:(?:.*\\.)?{name}" if _EXPRESSION.search(name) else name
        rules.append((path, None if kept else _changed(default, entry)))
    return tuple(rules)


def _changed(scheme: WeightScheme, entry: ConfigView) -> WeightScheme:
    if entry.get("group_size") is not None:
        scheme = replace(scheme, group_size=group_size(entry, "group_size"))
    if entry.get("sym") is not None:
        scheme = replace(scheme, zero_points=not entry.flag("sym", default=True))
    return replace(scheme, bits=entry.integer("bits", default=scheme.bits))


def quark_scheme(group: ConfigView, where: str) -> WeightScheme | None:
    """The scheme of a Quark group, None where it leaves the weights in 16 bit.

    Raises:
        UnsupportedArchitecture: a number format or a list of them that is not described.
    """
    stored = group.get("weight")
    if stored is None:
        return None
    weight = group.section("weight")
    number = "several in a list" if weight is None else weight.text("dtype")
    if weight is not None and number == "fp4":
        return WeightScheme("mxfp4", bits=4, group_size=32)
    if weight is not None and number == "fp8_e4m3":
        tensor = weight.text("qscheme") == "per_tensor"
        return WeightScheme("fp8_tensor" if tensor else "fp8_channel")
    if number == "int8":
        return WeightScheme("int8_channel")
    raise UnsupportedArchitecture(
        f"The Quark number format {number!r} is not supported here.",
        f"The key that decides is quantization_config.{where}.weight.",
        keys=(f"quantization_config.{where}.weight",),
    )


def layer_rules(section: ConfigView) -> Rules:
    """Quark's `layer_quant_config`: modules by glob."""
    return tuple(
        (name, quark_scheme(entry, f"layer_quant_config.{name}"))
        for name, entry in members(section.section("layer_quant_config"))
    )
