"""Decoders with grouped-query attention: dense and mixture-of-experts families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    Role,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.attention import (
    attention_shape,
    layer_chunks,
    layer_shape,
    layer_windows,
)
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    inverse_frequencies,
    linear,
    norm,
)
from vllm_preflight.models.parts.common import (
    assemble,
    max_position,
    num_hidden_layers,
    rope_dims,
    rope_tables,
)
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.feed_forward import dense_intermediate, feed_forward
from vllm_preflight.models.parts.predictor import predictor_layers
from vllm_preflight.models.parts.reader import Reader
from vllm_preflight.models.parts.traits import TRAITS

# Families whose config keeps attention and feed-forward keys in sections of their own.
_SECTIONS = ("attn_config", "ffn_config")


def read_decoder(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of a family listed in `TRAITS`."""
    traits = TRAITS[config.model_type]
    if traits.headless and (outer or config).architectures:
        # A class of its own, which runs in vLLM's code and generates.
        traits = replace(traits, headless=False, transformers_backend=False)
    config = config.flattened(*_SECTIONS).with_defaults(traits.defaults)
    shape = attention_shape(config, traits)
    num_layers = num_hidden_layers(config)
    spans = (
        layer_chunks(config, num_layers)
        if traits.chunked
        else layer_windows(config, traits, num_layers)
    )
    layers = [
        decoder_layer(config, traits, layer_shape(config, shape, index, span), index, span)
        for index, span in enumerate(spans)
    ]
    has_bias = traits.lm_head_bias or config.flag("lm_head_bias")
    has_ropes = traits.rotary and not config.flag("alibi")
    dims = rope_dims(config, shape.head_dim) if has_ropes else ()
    architecture = assemble(
        config,
        layers,
        tied=traits.tied,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=() if traits.transformers_backend else rope_tables(config, dims),
        predictor_layers=predictor_layers(config, traits, layers),
        extra_embeddings=(
            *_extra_embeddings(config, traits, shape.hidden_size),
            *(inverse_frequencies(dims) if traits.transformers_backend else ()),
        ),
        norm_bias=traits.norm_bias,
        final_norm=_has_final_norm(config, traits),
        lm_head_bias=has_bias and not traits.transformers_backend,
        unloaded=_unloaded(config, traits, has_bias),
        intermediate_size=dense_intermediate(config, shape.hidden_size),
        embedding_size=config.integer("word_embed_proj_dim", default=0),
    )
    if traits.headless and outer is None and not architecture.architecture:
        head = tuple(weight for weight in architecture.head if weight.role is not Role.LM_HEAD)
        return replace(architecture, head=head, task="embed")
    return architecture


def decoder_layer(
    config: ConfigView,
    traits: DecoderTraits,
    shape: AttentionShape,
    index: int,
    span: int | None,
) -> Layer:
    """Layer `index`: attention, feed-forward and norms, with the cache it keeps.

    `span` is the window or chunk in tokens it attends to, None for all.
    """
    block = feed_forward(config, traits, index)
    cache = AttentionCache(
        shape.num_kv_heads,
        shape.head_dim,
        shape.head_dim_v,
        shape.num_heads,
        window=None if traits.chunked else span,
        chunk=span if traits.chunked else None,
        # Embedding models made of decoders attend both ways and cache nothing.
        kind="decoder" if config.flag("is_causal", default=True) else "encoder_only",
    )
    attention = attention_weights(shape)
    if traits.headless:
        # Keys and values are plain column-parallel layers there, not dealt out by heads.
        attention = tuple(
            replace(weight, split=Split.COLUMN, units=1)
            if weight.split is Split.KV_HEADS
            else weight
            for weight in attention
        )
    return Layer(
        (cache,) if shape.own_kv else (),
        (
            *attention,
            *block.weights,
            *_layer_norms(config, traits, shape.hidden_size),
            *_unscaled_norms(config, traits, shape.head_dim),
        ),
        block.moe,
    )


def _layer_norms(config: ConfigView, traits: DecoderTraits, hidden_size: int) -> tuple[Weight, ...]:
    """The hidden-size norms of one layer."""
    if not traits.norm_weight:
        return ()
    count = traits.norms
    if config.model_type == "falcon":
        count = _falcon_norms(config)
    if config.flag(traits.more_norms_key):
        count += 2
    if config.model_type == "stablelm" and config.flag("use_parallel_residual"):
        count = 1
    return tuple(
        norm(f"norm_{number}", hidden_size, bias=traits.norm_bias) for number in range(count)
    )


def _unscaled_norms(config: ConfigView, traits: DecoderTraits, width: int) -> tuple[Weight, ...]:
    if not traits.qk_norm_unscaled or not config.flag("use_qk_norm", default=True):
        return ()
    return (Weight("self_attn.qk_norm", width, in_checkpoint=False),)


def _falcon_norms(config: ConfigView) -> int:
    if config.flag("new_decoder_architecture"):
        return config.integer("num_ln_in_parallel_attn", default=2)
    return 1 if config.flag("parallel_attn", default=True) else 2


def _has_final_norm(config: ConfigView, traits: DecoderTraits) -> bool:
    # OPT-350m normalises after each block and so has none at the end.
    return (
        traits.final_norm
        and traits.norm_weight
        and config.flag("do_layer_norm_before", default=True)
    )


def _unloaded(config: ConfigView, traits: DecoderTraits, has_bias: bool) -> tuple[Weight, ...]:
    """What the checkpoint stores beside the weights: causal masks, an unused head bias."""
    weights: tuple[Weight, ...] = ()
    if has_bias and traits.transformers_backend:
        weights += (Weight("lm_head.bias", config.integer("vocab_size")),)
    if traits.stored_mask:
        mask = max_position(config)
        weights += (Weight("attn.bias", mask, mask, copies=num_hidden_layers(config)),)
    return weights


def _extra_embeddings(
    config: ConfigView, traits: DecoderTraits, hidden_size: int
) -> tuple[Weight, ...]:
    """Learned positions, a norm or projections beside the token embedding."""
    extra: tuple[Weight, ...] = ()
    if traits.learned_positions is not None:
        positions = max_position(config) + traits.learned_positions
        extra += (Weight("model.embed_positions", positions, hidden_size),)
    if traits.embedding_norm:
        extra += (norm("model.embedding_norm", hidden_size, bias=traits.norm_bias),)
    narrow = config.integer("word_embed_proj_dim", default=hidden_size)
    if narrow != hidden_size:
        extra += linear("model.project_in", hidden_size, narrow)
        extra += linear("model.project_out", narrow, hidden_size)
    if traits.causal_mask:
        mask = max_position(config)
        extra += (Weight("model.bias", mask, mask, dtype="uint8", in_checkpoint=False),)
    additional = config.integer("additional_vocab_size", default=0)
    if additional:
        extra += (Weight("model.embed_tokens.new_embedding", additional, hidden_size),)
    return extra


READERS: Mapping[str, Reader] = dict.fromkeys(TRAITS, read_decoder)
