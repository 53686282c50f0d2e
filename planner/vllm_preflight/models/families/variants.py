"""Decoders whose layers differ in kind: Nemotron-NAS and Mllama.

Nemotron-NAS drops or narrows blocks layer by layer; Mllama puts cross-attention layers,
which read image features, between the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Architecture, AttentionCache, Layer, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.attention import attention_shape
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    mlp_weights,
    norm,
)
from vllm_preflight.models.parts.common import (
    assemble,
    head_dim,
    num_hidden_layers,
    rope_dims,
    rope_tables,
)
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.reader import Reader

_LLAMA = DecoderTraits(mlp_bias=False)


def read_nemotron_nas(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Llama-like layers with `block_configs`: heads per group and width of each layer."""
    num_layers = num_hidden_layers(config)
    blocks = config.items("block_configs")
    if len(blocks) < num_layers:
        raise _bad_blocks(f"lists {len(blocks)} block_configs for {num_layers} layers")
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    layers = [_nas_layer(config, hidden_size, num_heads, block) for block in blocks[:num_layers]]
    width = head_dim(config, hidden_size, num_heads)
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=num_heads,
        num_kv_heads=max(
            (
                cache.num_kv_heads
                for layer in layers
                for cache in layer.caches
                if isinstance(cache, AttentionCache)
            ),
            default=num_heads,
        ),
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, width)),
    )


def _nas_layer(config: ConfigView, hidden_size: int, num_heads: int, block: object) -> Layer:
    if not isinstance(block, Mapping):
        raise _bad_blocks("has a block_configs entry that is no object")
    view = ConfigView(cast(Mapping[str, Any], block), where="block_configs[].")
    attention, feed_forward = view.section("attention"), view.section("ffn")
    if attention is None or feed_forward is None:
        raise _bad_blocks("has a block_configs entry without attention or ffn")
    for part in (attention, feed_forward):
        if part.flag("replace_with_linear") or part.flag("sparsify"):
            raise _bad_blocks("replaces or sparsifies blocks")
    weights: tuple[Weight, ...] = ()
    caches: tuple[AttentionCache, ...] = ()
    if not attention.flag("no_op"):
        group = max(1, attention.integer("n_heads_in_group"))
        view = config.with_defaults({"num_key_value_heads": num_heads // group})
        shape = attention_shape(view, _LLAMA)
        weights += (*attention_weights(shape), norm("input_layernorm", hidden_size))
        caches = (_cache(shape),)
    if not feed_forward.flag("no_op"):
        # Two thirds of the multiple, up to a multiple of 256.
        inner = int(2 * feed_forward.number("ffn_mult") * hidden_size / 3)
        inner = -(-inner // 256) * 256
        weights += mlp_weights(hidden_size, inner)
        weights += (norm("post_attention_layernorm", hidden_size),)
    return Layer(caches, weights)


def _bad_blocks(what: str) -> UnsupportedArchitecture:
    return UnsupportedArchitecture(
        f"The Nemotron-NAS config {what}.",
        "Give a complete config.json with plain attention and feed-forward blocks.",
        keys=("block_configs", "num_hidden_layers"),
    )


def _cache(shape: AttentionShape) -> AttentionCache:
    return AttentionCache(shape.num_kv_heads, shape.head_dim, shape.head_dim_v, shape.num_heads)


def read_mllama_text(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Llama layers with gated cross-attention at `cross_attention_layers`."""
    shape = attention_shape(config, _LLAMA)
    hidden_size = shape.hidden_size
    inner = config.integer("intermediate_size")
    block = (*mlp_weights(hidden_size, inner), *_two_norms(hidden_size))
    plain = Layer((_cache(shape),), (*attention_weights(shape), *block))
    cross_shape = replace(shape, qk_norm="head")
    cross = Layer(
        (replace(_cache(shape), kind="cross"),),
        (*attention_weights(cross_shape, "cross_attn"), *block, Weight("cross_attn_gates", 2)),
    )
    places = set(config.items("cross_attention_layers"))
    layers = [cross if index in places else plain for index in range(num_hidden_layers(config))]
    # Eight tokens beyond the vocabulary mark images; they have no output.
    extra = Weight("model.embed_tokens.extra", 8, hidden_size)
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, shape.head_dim)),
        extra_embeddings=(extra,),
        intermediate_size=inner,
    )


def _two_norms(hidden_size: int) -> tuple[Weight, ...]:
    return (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))


READERS: Mapping[str, Reader] = {
    "nemotron-nas": read_nemotron_nas,
    "mllama_text_model": read_mllama_text,
}
