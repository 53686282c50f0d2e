"""The query transformer of BLIP-2, which Granite Speech and Granite Vision use too."""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.models.architecture import Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import projection

# Defaults of transformers' Blip2QFormerConfig.
QFORMER = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "intermediate_size": 3072,
    "cross_attention_frequency": 2,
    "encoder_hidden_size": 1408,
}


def qformer(config: ConfigView, name: str = "qformer") -> tuple[Weight, ...]:
    """Biased self-attention layers, some with cross-attention to the features; whole."""
    config = config.with_defaults(QFORMER)
    width, inner = config.integer("hidden_size"), config.integer("intermediate_size")
    features = config.integer("encoder_hidden_size")
    depth = config.integer("num_hidden_layers")
    crossed = -(-depth // max(1, config.integer("cross_attention_frequency")))
    layer = (
        *_attention(f"{name}.attention", width, width),
        *projection(f"{name}.intermediate", inner, width),
        *projection(f"{name}.output", width, inner),
        norm(f"{name}.output.norm", width, bias=True),
    )
    cross = _attention(f"{name}.crossattention", width, features)
    return (
        norm(f"{name}.layernorm", width, bias=True),
        *(replace(weight, copies=depth) for weight in layer),
        *(replace(weight, copies=crossed) for weight in cross),
    )


def _attention(name: str, width: int, features: int) -> tuple[Weight, ...]:
    return (
        *projection(f"{name}.query", width, width),
        *projection(f"{name}.key", width, features),
        *projection(f"{name}.value", width, features),
        *projection(f"{name}.dense", width, width),
        norm(f"{name}.norm", width, bias=True),
    )
