"""Manifold-constrained hyper-connections: several residual streams mixed in float32.

Shapes: transformers modeling_deepseek_v4.py (DeepseekV4HyperConnection, HyperHead).
"""

from __future__ import annotations

from vllm_preflight.models.architecture import Weight
from vllm_preflight.models.config_view import ConfigView


def hyper_connection(name: str, config: ConfigView, hidden_size: int) -> tuple[Weight, ...]:
    """What mixes `hc_mult` streams into and out of one sublayer; nothing without streams."""
    streams = config.integer("hc_mult", default=0)
    if not streams:
        return ()
    mixes = (2 + streams) * streams
    return (
        Weight(f"{name}.fn", mixes, streams * hidden_size, dtype="float32"),
        Weight(f"{name}.base", mixes, dtype="float32"),
        Weight(f"{name}.scale", 3, dtype="float32"),
    )


def hyper_head(config: ConfigView, hidden_size: int) -> tuple[Weight, ...]:
    """What joins the streams before the final norm (DeepSeek V4)."""
    streams = config.integer("hc_mult", default=0)
    if not streams:
        return ()
    return (
        Weight("model.hc_head.hc_fn", streams, streams * hidden_size, dtype="float32"),
        Weight("model.hc_head.hc_base", streams, dtype="float32"),
        Weight("model.hc_head.hc_scale", 1, dtype="float32"),
    )
