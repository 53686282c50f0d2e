"""Whisper: an audio encoder and a decoder that reads it by cross-attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Encoder,
    Layer,
    Role,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.audio import whisper_layers
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    mlp_weights,
    norm,
)
from vllm_preflight.models.parts.common import check_positive, model_dtype, num_hidden_layers
from vllm_preflight.models.parts.reader import Reader


def whisper_encoder(config: ConfigView, text_hidden: int) -> Encoder:
    """Two convolutions, stored positions and transformer layers without key biases."""
    del text_hidden
    width = config.integer("d_model")
    positions = config.integer("max_source_positions", default=1500)
    weights = (
        *whisper_layers(config.with_defaults({"num_mel_bins": 80})),
        Weight("encoder.embed_positions", positions, width),
    )
    return Encoder("audio", weights, width, positions)


def read_whisper(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The whole model: its length is the decoder's, its head the embedding's copy."""
    width = config.integer("d_model")
    num_heads = config.integer("decoder_attention_heads")
    vocab_size = config.integer("vocab_size")
    check_positive(width, vocab_size, num_heads, num_heads)
    head_dim = width // num_heads
    length = config.integer("max_target_positions", default=448)
    shape = AttentionShape(width, num_heads, num_heads, head_dim, head_dim)
    cache = AttentionCache(num_heads, head_dim, head_dim, num_heads)
    inner = config.integer("decoder_ffn_dim")
    layer = Layer(
        (cache, replace(cache, kind="cross")),
        (
            *_attention(shape, "self_attn"),
            *_attention(shape, "encoder_attn"),
            *mlp_weights(width, inner, gated=False, bias=True),
            *(norm(f"norm_{place}", width, bias=True) for place in range(3)),
        ),
    )
    return Architecture(
        model_type=config.model_type,
        architecture=next(iter(config.architectures), ""),
        dtype=model_dtype(config, outer),
        hidden_size=width,
        vocab_size=vocab_size,
        max_position=max(1, length),
        num_attention_heads=num_heads,
        num_kv_heads=num_heads,
        embeddings=(
            # Whole on every rank, and not padded.
            Weight("model.decoder.embed_tokens", vocab_size, width, role=Role.EMBEDDING),
            Weight("model.decoder.embed_positions", length, width),
        ),
        layers=(layer,) * num_hidden_layers(config, "decoder_layers"),
        head=(norm("model.decoder.layer_norm", width, bias=True),),
        tied_embeddings=True,
        intermediate_size=inner,
        encoders=(whisper_encoder(config, width),),
    )


def _attention(shape: AttentionShape, prefix: str) -> tuple[Weight, ...]:
    """Biased queries, values and outputs; keys have no bias."""
    biased = replace(shape, qkv_bias=True, output_bias=True)
    weights = attention_weights(biased, prefix)
    return tuple(weight for weight in weights if weight.name != f"{prefix}.k_proj.bias")


READERS: Mapping[str, Reader] = {"whisper": read_whisper}
