"""Zamba2: Mamba-2 layers, some behind a transformer block that they share."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    linear,
    mlp_weights,
    norm,
)
from vllm_preflight.models.parts.common import assemble, num_hidden_layers, rope_tables
from vllm_preflight.models.parts.reader import Reader
from vllm_preflight.models.parts.state_space import Mamba2

# What the class fills in for its 54 layers (transformers configuration_zamba2.py).
_HYBRID_OF_54 = frozenset({6, 12, 18, 24, 30, 36, 42, 47, 51})


def _hybrid_layers(config: ConfigView, num_layers: int) -> frozenset[int]:
    kinds = [str(kind) for kind in config.items("layers_block_type")[:num_layers]]
    if len(kinds) == num_layers:
        return frozenset(index for index, kind in enumerate(kinds) if kind == "hybrid")
    listed = config.items("hybrid_layer_ids")
    if listed:
        return frozenset(index for index in listed if isinstance(index, int))
    if num_layers == 54:
        return _HYBRID_OF_54
    raise UnsupportedArchitecture(
        f"The config does not say which of its {num_layers} layers attend.",
        "Give a complete config.json.",
        keys=("layers_block_type", "hybrid_layer_ids"),
    )


def _adapters(config: ConfigView, shape: AttentionShape, intermediate: int) -> tuple[Weight, ...]:
    """What each use of the shared block adds to it of its own."""
    rank = config.integer("adapter_rank", default=128)
    weights: tuple[Weight, ...] = ()
    if config.flag("use_shared_attention_adapter"):
        rows = shape.num_heads * shape.head_dim
        for name in ("q", "k", "v"):
            prefix = f"shared_transformer.self_attn.linear_{name}_adapter"
            weights += linear(f"{prefix}.0", rank, shape.hidden_size, split=Split.COLUMN)
            weights += linear(f"{prefix}.1", rows, rank, split=Split.COLUMN)
    if config.flag("use_shared_mlp_adapter", default=True):
        prefix = "shared_transformer.feed_forward.gate_up_proj_adapter"
        weights += linear(f"{prefix}.0", rank, config.integer("hidden_size"), split=Split.COLUMN)
        weights += linear(f"{prefix}.1", 2 * intermediate, rank, split=Split.COLUMN)
    return weights


def read_zamba2(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of Zamba2.

    The shared blocks see the hidden state beside the embedding, so their attention is
    twice as wide; each use keeps keys and values of its own.
    """
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    kv_heads = config.integer("num_key_value_heads", default=num_heads)
    width = config.integer("attention_head_dim", default=2 * hidden_size // max(1, num_heads))
    shape = AttentionShape(2 * hidden_size, num_heads, kv_heads, width, width)
    heads = config.integer("n_mamba_heads", default=8)
    inner = config.integer("mamba_expand", default=2) * hidden_size
    mixer = Mamba2(
        hidden_size,
        heads,
        inner // max(1, heads),
        config.integer("mamba_ngroups", default=1),
        config.integer("mamba_d_state", default=64),
        config.integer("mamba_d_conv", default=4),
        conv_bias=config.flag("use_conv_bias", default=True),
        proj_bias=config.flag("add_bias_linear"),
        chunk=config.integer("mamba_chunk_size", "chunk_size", default=256),
    )
    intermediate = config.integer("intermediate_size", default=4 * hidden_size)
    num_layers = num_hidden_layers(config)
    recurrent = Layer(
        (mixer.cache(),), (norm("input_layernorm", hidden_size), *mixer.weights("mamba"))
    )
    attended = Layer(
        (AttentionCache(kv_heads, width, width, num_heads), mixer.cache()),
        (
            *recurrent.weights,
            *linear("linear", hidden_size, hidden_size),
            *_adapters(config, shape, intermediate),
        ),
    )
    hybrid = _hybrid_layers(config, num_layers)
    blocks = min(config.integer("num_mem_blocks", default=1), max(1, len(hybrid)))
    rotated = config.flag("use_mem_rope")
    return assemble(
        config,
        [attended if index in hybrid else recurrent for index in range(num_layers)],
        tied=True,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        ropes=rope_tables(config, (width,)) if rotated else (),
        extra_embeddings=_shared_block(shape, hidden_size, intermediate) * blocks,
        intermediate_size=intermediate,
    )


def _shared_block(shape: AttentionShape, hidden_size: int, intermediate: int) -> tuple[Weight, ...]:
    prefix = "shared_transformer"
    projected = attention_weights(shape, f"{prefix}.self_attn")
    output = f"{prefix}.self_attn.o_proj"
    return (
        *(weight for weight in projected if weight.name != output),
        *linear(output, hidden_size, shape.num_heads * shape.head_dim, split=Split.ROW),
        *mlp_weights(hidden_size, intermediate, prefix=f"{prefix}.feed_forward"),
        norm(f"{prefix}.input_layernorm", 2 * hidden_size),
        norm(f"{prefix}.pre_ff_layernorm", hidden_size),
    )


READERS: Mapping[str, Reader] = {"zamba2": read_zamba2}
