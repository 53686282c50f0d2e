"""Decoders that run their layers more than once, each pass with a cache of its own.

IQuest LoopCoder, HRM-Text and Dory (vLLM 0.33 models/iquest_loopcoder.py, hrm_text.py and
dory.py): weights are held once, keys and values once per pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vllm_preflight.models.architecture import Architecture, AttentionCache, Layer, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.attention import attention_shape
from vllm_preflight.models.parts.blocks import attention_weights, linear, mlp_weights, norm
from vllm_preflight.models.parts.common import (
    assemble,
    layer_kinds,
    num_hidden_layers,
    rope_dims,
    rope_tables,
)
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.reader import Reader

_PLAIN = DecoderTraits(qkv_bias=False, output_bias=False)


def read_loop_coder(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """IQuest LoopCoder: the first pass attends to all, later ones within a window too."""
    shape = attention_shape(config, _PLAIN)
    full = AttentionCache(shape.num_kv_heads, shape.head_dim, shape.head_dim, shape.num_heads)
    loops = config.integer("loop_num", default=2)
    local = replace(full, window=config.integer("loop_window_size", default=64))
    weights = (
        *attention_weights(shape),
        *mlp_weights(shape.hidden_size, config.integer("intermediate_size")),
        norm("input_layernorm", shape.hidden_size),
        norm("post_attention_layernorm", shape.hidden_size),
        *linear(
            "gate_projection",
            shape.num_heads,
            shape.head_dim,
            split=Split.COLUMN,
            bias=True,
        ),
    )
    layer = Layer((full, *(local,) * (loops - 1)), weights)
    return assemble(
        config,
        (layer,) * num_hidden_layers(config),
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, shape.head_dim)),
        intermediate_size=config.integer("intermediate_size"),
    )


def read_hrm_text(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """HRM-Text: a low stack run `L_cycles` times in each of `H_cycles`, a high one after it.

    Queries, keys, values and a gate are one projection; its norms have no weights.
    """
    shape = attention_shape(config, DecoderTraits(output_gate="projection"))
    shape = replace(shape, num_kv_heads=shape.num_heads)
    cache = AttentionCache(shape.num_heads, shape.head_dim, shape.head_dim, shape.num_heads)
    high, low = config.integer("H_cycles"), config.integer("L_cycles")
    weights = (
        *attention_weights(shape),
        *mlp_weights(
            shape.hidden_size, config.integer("intermediate_size"), bias=config.flag("mlp_bias")
        ),
    )
    stack = config.integer("num_layers_per_stack")
    return assemble(
        config,
        (
            *(Layer((cache,) * (high * low), weights),) * stack,
            *(Layer((cache,) * high, weights),) * stack,
        ),
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, shape.head_dim)),
        extra_embeddings=(Weight("model.z_L_init", shape.hidden_size),),
        final_norm=False,
        intermediate_size=config.integer("intermediate_size"),
    )


def read_dory(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Dory: attention or a dense block a layer, every weight normed by learned scales.

    The layers between the first and the last ones run `n_recurrent_loops` times.
    """
    shape = attention_shape(config, DecoderTraits(output_gate="projection"))
    hidden_size, inner = shape.hidden_size, config.integer("intermediate_size")
    num_layers = num_hidden_layers(config)
    first = config.integer("n_input_layers", default=0)
    recurrent = range(first, first + config.integer("n_recurrent_layers", default=0))
    per_loop = config.text("recurrent_kv_cache_mode", default="per_loop") == "per_loop"
    loops = config.integer("n_recurrent_loops", default=1) if per_loop else 1
    width = shape.num_heads * shape.head_dim
    attention = (
        *attention_weights(shape, "mixer"),
        Weight("mixer.sqk", width, split=Split.COLUMN),
        Weight("mixer.s_gate", width, split=Split.COLUMN),
        Weight("attn_alpha", hidden_size),
    )
    dense = (
        *mlp_weights(hidden_size, inner, prefix="mlp"),
        Weight("mlp.suv", 2 * inner, split=Split.COLUMN),
        Weight("mlp_alpha", hidden_size),
    )
    full = AttentionCache(shape.num_kv_heads, shape.head_dim, shape.head_dim, shape.num_heads)
    local = replace(full, window=config.integer("sliding_window"))
    layers: list[Layer] = []
    for index, kind in enumerate(layer_kinds(config, num_layers)):
        if kind == "mlp":
            layers.append(Layer((), dense))
            continue
        cache = local if kind == "sliding_attention" else full
        layers.append(Layer((cache,) * (loops if index in recurrent else 1), attention))
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=rope_tables(config, (shape.head_dim,)),
        extra_head=(Weight("lm_head.logit_scale", config.integer("vocab_size")),),
        final_norm=False,
        intermediate_size=inner,
    )


READERS: Mapping[str, Reader] = {
    "iquestloopcoder": read_loop_coder,
    "hrm_text": read_hrm_text,
    "dory": read_dory,
}
