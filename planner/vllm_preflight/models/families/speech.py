"""Audio towers of speech models: Whisper-like encoders and conformers with projectors."""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.models.architecture import Encoder, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.audio import WHISPER_LARGE, whisper_layers
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    split_pair,
    tower_layers,
)
from vllm_preflight.models.parts.qformer import qformer

# Whisper's keys in the newer spelling.
_SPELLINGS = {
    "d_model": "hidden_size",
    "encoder_layers": "num_hidden_layers",
    "encoder_ffn_dim": "intermediate_size",
    "encoder_attention_heads": "num_attention_heads",
}


def whisper_view(config: ConfigView) -> ConfigView:
    """An encoder's config in Whisper's own spelling of the keys."""
    renamed = {
        old: config.get(new)
        for old, new in _SPELLINGS.items()
        if config.get(old) is None and config.get(new) is not None
    }
    return config.with_raw(**renamed).with_defaults(WHISPER_LARGE)


def audio_flamingo_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Audio Flamingo 3: transformers' Whisper encoder and two projections, all whole."""
    config = whisper_view(config)
    width, positions = config.integer("d_model"), config.integer("max_source_positions")
    bias = config.flag("projector_bias", default=True)
    weights = (
        *whisper_layers(config, split=False),
        Weight("audio_tower.embed_positions", positions, width),
        *projection("multi_modal_projector.linear_1", text_hidden, width, bias=bias),
        *projection("multi_modal_projector.linear_2", text_hidden, text_hidden, bias=bias),
    )
    return Encoder("audio", weights, width, positions // 2)


def glm_asr_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """GLM-ASR: a rotary encoder with biased keys, four frames merged and projected."""
    config = whisper_view(config)
    width = config.integer("d_model")
    shape = TowerShape(width, config.integer("encoder_layers"), config.integer("encoder_ffn_dim"))
    weights = (
        *patches("audio_tower.conv1", width, 3 * config.integer("num_mel_bins")),
        *patches("audio_tower.conv2", width, 3 * width),
        *tower_layers(shape, "audio_tower.layers"),
        norm("audio_tower.norm", width, bias=True),
        *split_pair("multi_modal_projector.linear", 2 * text_hidden, text_hidden, 4 * width),
    )
    return Encoder("audio", weights, width)


def moss_transcribe_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """MOSS Transcribe Diarize: Whisper, merged frames through two projections and a norm."""
    config = whisper_view(config)
    width, positions = config.integer("d_model"), config.integer("max_source_positions")
    merged = width * config.integer("audio_merge_size", default=4)
    bias = config.flag("projector_bias", default=True)
    weights = (
        *whisper_layers(config),
        Weight("audio_tower.embed_positions", positions, width),
        *projection("vq_adaptor.layers.0", text_hidden, merged, bias=bias),
        *projection("vq_adaptor.layers.2", text_hidden, text_hidden, bias=bias),
        norm("vq_adaptor.layers.3", text_hidden, bias=True),
    )
    return Encoder("audio", weights, width)


def granite_speech_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Granite Speech: a conformer with a CTC branch, and a query transformer over windows.

    Attention and convolutions are whole on every rank (vLLM 0.33 models/granite_speech.py).
    """
    encoder = (config.section("encoder_config") or ConfigView({})).with_defaults(
        {
            "input_dim": 160,
            "num_layers": 10,
            "hidden_dim": 1024,
            "feedforward_mult": 4,
            "num_heads": 8,
            "dim_head": 128,
            "output_dim": 42,
            "max_pos_emb": 512,
            "conv_kernel_size": 15,
            "conv_expansion_factor": 2,
        }
    )
    width, depth = encoder.integer("hidden_dim"), encoder.integer("num_layers")
    out = encoder.integer("output_dim")
    name = "encoder.layers"
    layer = (
        *(
            weight
            for half in ("ff1", "ff2")
            for weight in (
                norm(f"{name}.{half}.pre_norm", width, bias=True),
                *_halves(f"{name}.{half}", encoder.integer("feedforward_mult") * width, width),
            )
        ),
        *_conformer_attention(name, encoder, width),
        *_conformer_convolution(name, encoder, width),
        norm(f"{name}.post_norm", width, bias=True),
    )
    queries = config.section("projector_config") or ConfigView({})
    narrow = queries.integer("hidden_size", default=768)
    window = config.integer("window_size", default=15) // max(
        1, config.integer("downsample_rate", default=5)
    )
    weights = (
        *projection("encoder.input_linear", width, encoder.integer("input_dim")),
        *(replace(weight, copies=depth) for weight in layer),
        *projection("encoder.out", out, width, split=Split.COLUMN),
        *projection("encoder.out_mid", width, out, split=Split.ROW),
        Weight("projector.query", window, narrow),
        *qformer(queries, "projector.qformer"),
        *projection("projector.linear", text_hidden, narrow),
    )
    return Encoder("audio", weights, width)


def _halves(name: str, inner: int, width: int) -> tuple[Weight, ...]:
    return split_pair(f"{name}.proj", inner, width, width)


def _conformer_attention(name: str, config: ConfigView, width: int) -> tuple[Weight, ...]:
    heads, head = config.integer("num_heads"), config.integer("dim_head")
    return (
        norm(f"{name}.attn.pre_norm", width, bias=True),
        *projection(f"{name}.attn.to_qkv", 3 * heads * head, width, bias=False),
        *projection(f"{name}.attn.to_out", width, heads * head),
        Weight(f"{name}.attn.rel_pos_emb", 2 * config.integer("max_pos_emb") + 1, head),
    )


def _conformer_convolution(name: str, config: ConfigView, width: int) -> tuple[Weight, ...]:
    inner = width * config.integer("conv_expansion_factor")
    return (
        norm(f"{name}.conv.norm", width, bias=True),
        *projection(f"{name}.conv.up", 2 * inner, width),
        Weight(f"{name}.conv.depth", inner, config.integer("conv_kernel_size")),
        # A batch normalisation: scale, shift, running mean and variance.
        Weight(f"{name}.conv.batch_norm", 4 * inner),
        *projection(f"{name}.conv.down", width, inner),
    )


def voxtral_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Voxtral: Whisper with stored positions, merged frames through two unbiased layers."""
    config = whisper_view(config)
    width, positions = config.integer("d_model"), config.integer("max_source_positions")
    merged = width * config.integer("downsample_factor", default=4)
    weights = (
        *whisper_layers(config),
        Weight("audio_tower.embed_positions", positions, width),
        *projection("audio_language_adapter.w_in", text_hidden, merged, bias=False),
        *projection("audio_language_adapter.w_out", text_hidden, text_hidden, bias=False),
    )
    return Encoder("audio", weights, width)


def ultravox_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Ultravox: Whisper with stored positions, stacked frames through a gated projector."""
    stack = config.integer("stack_factor", default=8)
    inner = config.integer("projector_width", default=4096)
    gated = config.text("projector_act", default="swiglu") == "swiglu"
    config = whisper_view(config)
    width, positions = config.integer("d_model"), config.integer("max_source_positions")
    middle = inner // 2 if gated else inner
    last = middle if config.flag("projector_ln_mid") else text_hidden
    name = "multi_modal_projector"
    weights = (
        *whisper_layers(config),
        Weight("audio_tower.embed_positions", positions, width),
        norm(f"{name}.ln_pre", width * stack),
        *projection(f"{name}.linear_1", inner, width * stack, bias=False),
        *projection(f"{name}.linear_2", text_hidden, middle, bias=False),
        norm(f"{name}.ln", last),
    )
    return Encoder("audio", weights, width)


def kimi_audio_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Kimi-Audio: Whisper large v3 from the checkpoint's own folder, two projections, a norm."""
    whisper = ConfigView({}, WHISPER_LARGE)
    width, positions = whisper.integer("d_model"), whisper.integer("max_source_positions")
    merged = config.integer("kimia_adaptor_input_dim", default=4 * width)
    weights = (
        *whisper_layers(whisper),
        Weight("audio_tower.embed_positions", positions, width),
        *projection("vq_adaptor.layers.0", text_hidden, merged),
        *projection("vq_adaptor.layers.3", text_hidden, text_hidden),
        norm("vq_adaptor.layers.4", text_hidden, bias=True),
    )
    return Encoder("audio", weights, width)


def minicpmo_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """MiniCPM-o: transformers' Whisper encoder and two projections, all whole."""
    config = whisper_view(config)
    width, positions = config.integer("d_model"), config.integer("max_source_positions")
    narrow = config.integer("encoder_ffn_dim") // 4
    weights = (
        *whisper_layers(config, split=False),
        Weight("apm.embed_positions", positions, width),
        *projection("audio_projection_layer.linear1", text_hidden, narrow),
        *projection("audio_projection_layer.linear2", text_hidden, text_hidden),
    )
    return Encoder("audio", weights, width)
