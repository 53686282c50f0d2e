"""The scheme a checkpoint's name implies, put on the config of the model it was made from.

A name is a claim: `X-AWQ` says 4-bit AWQ, and the group size, the modules left in 16 bit and
the layout of scales are what publishers of that scheme usually write (AutoAWQ, GPTQModel,
llm-compressor and ModelOpt with their defaults). What is built here is an assumption, and is
labelled so by whoever uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm_preflight.models.architecture import Architecture, StateCache
from vllm_preflight.models.checkpoint_names import Precision
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.quantization import read_quantization

# Modules that the usual tools leave in 16 bit: the head, routers and everything before the text.
_KEPT = (
    "lm_head",
    "re:.*(visual|vision|image|audio|speech|projector|connector|embed_tokens).*",
    r"re:.*\.(gate|router|shared_expert_gate)$",
)

SAYS: Mapping[Precision, str] = {
    "16-bit": "16-bit weights",
    "fp8": "FP8 weights with dynamic activations",
    "awq": "AWQ, 4 bit in groups of 128",
    "gptq-int4": "GPTQ, 4 bit in groups of 128",
    "gptq-int8": "GPTQ, 8 bit in groups of 128",
    "w4a16": "INT4 weights in groups of 128 (compressed-tensors)",
    "int4": "INT4 weights in groups of 128 (compressed-tensors)",
    "w8a16": "INT8 weights by channel (compressed-tensors)",
    "w8a8": "INT8 weights and activations (compressed-tensors)",
    "int8": "INT8 weights and activations (compressed-tensors)",
}
_FOUR_BIT = frozenset[Precision]({"awq", "gptq-int4", "w4a16", "int4"})


def with_implied_scheme(config: Mapping[str, Any], precision: Precision) -> dict[str, Any] | None:
    """The 16-bit config with the quantisation its name implies.

    None where the base is quantised itself, or the word leaves the scheme open: NVFP4, of which
    published checkpoints of one size differ by half their weights, and 4 bit on a model with
    state-space or linear-attention layers, which publishers treat differently.

    Raises UnsupportedArchitecture for a config that is not understood.
    """
    if read_quantization(config).method != "none" or precision not in SAYS:
        return None
    if precision in _FOUR_BIT and _has_states(read_architecture(config)):
        return None
    section = _section(precision)
    return dict(config) if section is None else {**config, "quantization_config": section}


def _has_states(architecture: Architecture) -> bool:
    caches = (cache for layer in architecture.layers for cache in layer.caches)
    return any(isinstance(cache, StateCache) for cache in caches)


def _section(precision: Precision) -> dict[str, Any] | None:
    """`quantization_config` as the usual tool writes it; None for 16-bit weights."""
    kept = list(_KEPT)
    match precision:
        case "fp8":
            return {"quant_method": "fp8", "activation_scheme": "dynamic", "ignored_layers": kept}
        case "awq":
            return {
                "quant_method": "awq",
                "bits": 4,
                "group_size": 128,
                "zero_point": True,
                "modules_to_not_convert": kept,
            }
        case "gptq-int4" | "gptq-int8":
            bits = 4 if precision == "gptq-int4" else 8
            return {
                "quant_method": "gptq",
                "bits": bits,
                "group_size": 128,
                "sym": True,
                "desc_act": False,
                "modules_to_not_convert": kept,
            }
        case "w4a16" | "int4":
            weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}
            return _compressed("pack-quantized", weights, None)
        case "w8a16":
            weights = {"num_bits": 8, "type": "int", "strategy": "channel"}
            return _compressed("pack-quantized", weights, None)
        case "w8a8" | "int8":
            weights = {"num_bits": 8, "type": "int", "strategy": "channel"}
            inputs = {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True}
            return _compressed("int-quantized", weights, inputs)
        case _:
            return None


def _compressed(
    form: str, weights: Mapping[str, Any], inputs: Mapping[str, Any] | None
) -> dict[str, Any]:
    group = {
        "targets": ["Linear"],
        "weights": {"symmetric": True, "dynamic": False, **weights},
        "input_activations": None if inputs is None else {"symmetric": True, **inputs},
    }
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"group_0": group},
        "ignore": list(_KEPT),
    }
