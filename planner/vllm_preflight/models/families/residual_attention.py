"""Alice AI: delta attention beside gated attention, and attention over earlier blocks.

Source: vLLM 0.33 models/alice_ai.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.architecture import Architecture, AttentionCache, Layer, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import AttentionShape, attention_weights, norm
from vllm_preflight.models.parts.common import (
    assemble,
    head_dim,
    layer_kinds,
    num_hidden_layers,
    rope_dims,
    rope_tables,
)
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.feed_forward import dense_intermediate, feed_forward
from vllm_preflight.models.parts.linear_attention import KimiDelta
from vllm_preflight.models.parts.reader import Reader

_MIXTURE = DecoderTraits(mixture=True, correction_bias=True, shared_expert_gate=True)


def read_alice_ai(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Kimi's delta attention or a gated attention with normed queries and keys, then experts."""
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    kv_heads = config.integer("num_key_value_heads", default=num_heads)
    width = head_dim(config, hidden_size, num_heads)
    shape = AttentionShape(
        hidden_size, num_heads, kv_heads, width, width, qk_norm="head", gated_output=True
    )
    delta = KimiDelta(
        hidden_size,
        config.integer("linear_num_key_heads"),
        config.integer("linear_key_head_dim"),
        config.integer("linear_conv_kernel_dim", default=4),
    )
    num_layers = num_hidden_layers(config)
    norms = (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))
    layers: list[Layer] = []
    for index, kind in enumerate(layer_kinds(config, num_layers)):
        block = feed_forward(config, _MIXTURE, index)
        recurrent = kind == "linear_attention"
        # The first layer has no earlier block its attention could read.
        banks = ("mlp",) if index == 0 else ("attn", "mlp")
        layers.append(
            Layer(
                (delta.cache(),)
                if recurrent
                else (AttentionCache(kv_heads, width, width, num_heads),),
                (
                    *(delta.weights() if recurrent else attention_weights(shape)),
                    *block.weights,
                    *norms,
                    *(weight for bank in banks for weight in _residual(bank, hidden_size)),
                ),
                block.moe,
            )
        )
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, width)),
        extra_head=_residual("final", hidden_size),
        intermediate_size=dense_intermediate(config, hidden_size),
    )


def _residual(name: str, hidden_size: int) -> tuple[Weight, ...]:
    return (
        Weight(f"{name}_res_proj", 1, hidden_size),
        norm(f"{name}_res_norm", hidden_size),
    )


READERS: Mapping[str, Reader] = {"alice_ai": read_alice_ai}
