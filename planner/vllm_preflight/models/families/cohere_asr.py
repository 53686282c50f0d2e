"""Cohere's speech recognition: a conformer with relative positions, and a cross-attending decoder.

vLLM 0.33 models/cohere_asr.py, which reads the maker's own sections `encoder`, `transf_decoder`
and `head`; a config in transformers' spelling lacks them, and vLLM fails on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Encoder,
    Layer,
    Role,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    lm_head,
    mlp_weights,
    norm,
)
from vllm_preflight.models.parts.common import check_positive, model_dtype, num_hidden_layers
from vllm_preflight.models.parts.encoders import patches, projection
from vllm_preflight.models.parts.reader import Reader


def read_cohere_asr(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The whole model; its length is the decoder's."""
    encoder, head = _section(config, "encoder"), _section(config, "head")
    decoder = _section(config, "transf_decoder").section("config_dict") or config
    width, num_heads = decoder.integer("hidden_size"), decoder.integer("num_attention_heads")
    vocab_size, inner = head.integer("num_classes"), decoder.integer("inner_size")
    check_positive(width, vocab_size, num_heads, num_heads)
    positions = decoder.integer("max_sequence_length")
    head_dim = width // num_heads
    shape = AttentionShape(
        width, num_heads, num_heads, head_dim, head_dim, qkv_bias=True, output_bias=True
    )
    cache = AttentionCache(num_heads, head_dim, head_dim, num_heads)
    layer = Layer(
        (cache, replace(cache, kind="cross")),
        (
            *attention_weights(shape, "first_sub_layer"),
            *attention_weights(shape, "second_sub_layer"),
            *mlp_weights(width, inner, gated=False, bias=True),
            *(norm(f"layer_norm_{place}", width, bias=True) for place in (1, 2, 3)),
        ),
    )
    return Architecture(
        model_type=config.model_type,
        architecture=next(iter(config.architectures), ""),
        dtype=model_dtype(config, outer),
        hidden_size=width,
        vocab_size=vocab_size,
        max_position=positions,
        num_attention_heads=num_heads,
        num_kv_heads=num_heads,
        embeddings=(
            # Whole on every rank, and not padded.
            Weight("decoder.token_embedding", vocab_size, width, role=Role.EMBEDDING),
            norm("decoder.layer_norm", width, bias=True),
            Weight("decoder.position_embedding", positions, width, in_checkpoint=False),
        ),
        layers=(layer,) * num_hidden_layers(decoder, "num_layers"),
        head=(
            norm("decoder.final_layer_norm", width, bias=True),
            *lm_head(vocab_size, head.integer("hidden_size", default=width), bias=True),
        ),
        tied_embeddings=False,
        intermediate_size=inner,
        encoders=(_encoder(encoder, width),),
    )


def _section(config: ConfigView, name: str) -> ConfigView:
    found = config.section(name)
    if found is None:
        raise UnsupportedArchitecture(
            f"The config has no section {name!r}, which vLLM's class reads.",
            "Give the config.json of the maker's repository.",
            keys=(name,),
        )
    return found


def _encoder(config: ConfigView, decoder_width: int) -> Encoder:
    width, channels = config.integer("d_model"), config.integer("subsampling_conv_channels")
    channels = width if channels < 1 else channels
    halvings = max(1, config.integer("subsampling_factor").bit_length() - 1)
    left = config.integer("feat_in")
    for _ in range(halvings):
        left = (left + 1) // 2
    # Sines of all distances, either way.
    positions = 2 * config.integer("pos_emb_max_len", default=5000) - 1
    layer = _layer(config, width, config.integer("n_heads"))
    weights = (
        *patches("encoder.pre_encode.conv.0", channels, 9),
        *(
            replace(weight, copies=halvings - 1)
            for weight in (
                *patches("encoder.pre_encode.conv.depth", channels, 9),
                *patches("encoder.pre_encode.conv.point", channels, channels),
            )
        ),
        *projection("encoder.pre_encode.out", width, channels * left),
        *(replace(weight, copies=config.integer("n_layers")) for weight in layer),
        Weight("encoder.pos_enc", positions, width, in_checkpoint=False),
    )
    if width != decoder_width:
        weights += projection("encoder_decoder_proj", decoder_width, width)
    return Encoder("audio", weights, width)


def _layer(config: ConfigView, width: int, heads: int) -> tuple[Weight, ...]:
    inner = width * config.integer("ff_expansion_factor", default=4)
    bias = config.flag("use_bias", default=True)
    norms = ("feed_forward1", "conv", "self_att", "feed_forward2", "out")
    return (
        *(norm(f"encoder.layers.norm_{name}", width, bias=True) for name in norms),
        *(
            weight
            for half in ("feed_forward1", "feed_forward2")
            for weight in (
                *projection(f"encoder.layers.{half}.linear1", inner, width, bias=bias),
                *projection(f"encoder.layers.{half}.linear2", width, inner, bias=bias),
            )
        ),
        *(
            weight
            for part in ("q", "k", "v", "out")
            for weight in projection(
                f"encoder.layers.self_attn.linear_{part}", width, width, bias=bias
            )
        ),
        *projection("encoder.layers.self_attn.linear_pos", width, width, bias=False),
        Weight("encoder.layers.self_attn.pos_biases", 2 * heads, width // max(1, heads)),
        *projection("encoder.layers.conv.pointwise_conv1", 2 * width, width, bias=bias),
        *patches(
            "encoder.layers.conv.depthwise_conv",
            width,
            config.integer("conv_kernel_size"),
            bias=bias,
        ),
        # A batch normalisation: scale, shift, running mean and variance.
        Weight("encoder.layers.conv.batch_norm", 4 * width),
        *projection("encoder.layers.conv.pointwise_conv2", width, width, bias=bias),
    )


READERS: Mapping[str, Reader] = {"cohere_asr": read_cohere_asr}
