"""openPangu Pro MoE V2: learned keys and values that every query may attend to.

Source: vLLM 0.33 models/openpangu.py (OpenPanguSinkAttention).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vllm_preflight.models.architecture import Architecture, Layer, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.decoder import read_decoder
from vllm_preflight.models.parts.reader import Reader


def read_pangu_pro(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """A mixture with normed keys, values of their own width and sinks in every layer."""
    width = config.integer("qk_nope_dim") + config.integer("qk_rope_dim")
    values = config.integer("v_channels")
    rope = config.integer("qk_rope_dim")
    base = read_decoder(config.with_raw(head_dim=width, v_head_dim=values, rotary_dim=rope), outer)
    sinks = config.integer("param_sink_number", default=0)
    if not sinks:
        return base
    heads = base.num_kv_heads
    extra: tuple[Weight, ...] = (_sink("param_sink_key", sinks * width, heads),)
    if config.flag("param_sink_with_value"):
        extra += (_sink("param_sink_value", sinks * values, heads),)
    built = {
        layer: Layer(layer.caches, (*layer.weights, *extra), layer.moe)
        for layer in base.layer_counts
    }
    return replace(base, layers=tuple(built[layer] for layer in base.layers))


def _sink(name: str, elements: int, heads: int) -> Weight:
    return Weight(f"self_attn.{name}", heads, elements, Split.KV_HEADS, units=heads)


READERS: Mapping[str, Reader] = {"PanguProMoE": read_pangu_pro}
