"""Audio towers: the Whisper-like encoder of Qwen, the conformers of Gemma."""

from __future__ import annotations

from vllm_preflight.models.architecture import Encoder, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision import soft_embedder
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    tower_layers,
)

WHISPER_LARGE = {
    "d_model": 1280,
    "encoder_layers": 32,
    "encoder_ffn_dim": 5120,
    "encoder_attention_heads": 20,
    "num_mel_bins": 128,
    "max_source_positions": 1500,
}


def qwen3_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Qwen3-Omni: three strided convolutions and a transformer."""
    config = config.with_defaults(
        {
            "d_model": 1280,
            "encoder_layers": 32,
            "encoder_ffn_dim": 5120,
            "downsample_hidden_size": 480,
            "num_mel_bins": 128,
        }
    )
    width, channels = config.integer("d_model"), config.integer("downsample_hidden_size")
    bins = config.integer("num_mel_bins")
    for _ in range(3):
        bins = (bins + 1) // 2
    shape = TowerShape(
        width,
        config.integer("encoder_layers"),
        config.integer("encoder_ffn_dim"),
        units=config.integer("encoder_attention_heads", default=20),
    )
    positions = config.integer("max_source_positions", default=1500)
    weights = (
        *patches("audio_tower.conv2d1", channels, 9),
        *patches("audio_tower.conv2d2", channels, 9 * channels),
        *patches("audio_tower.conv2d3", channels, 9 * channels),
        *projection("audio_tower.conv_out", width, channels * bins, bias=False),
        *tower_layers(shape, "audio_tower.layers"),
        # Sinusoidal positions vLLM computes and keeps.
        Weight(
            "audio_tower.positional_embedding",
            positions,
            width,
            dtype="float32",
            in_checkpoint=False,
        ),
        norm("audio_tower.ln_post", width, bias=True),
        *projection("audio_tower.proj1", width, width),
        *projection("audio_tower.proj2", config.integer("output_dim", default=text_hidden), width),
    )
    return Encoder("audio", weights, width)


def qwen2_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Qwen2-Audio: Whisper's encoder with stored positions, and one projection."""
    config = config.with_defaults(WHISPER_LARGE)
    width, positions = config.integer("d_model"), config.integer("max_source_positions")
    weights = (
        *whisper_layers(config, split=False),
        Weight("audio_tower.embed_positions", positions, width),
        *projection("multi_modal_projector.linear", text_hidden, width),
    )
    return Encoder("audio", weights, width, positions // 2)


def qwen2_5_omni_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Qwen2.5-Omni: Whisper's encoder with computed positions, a projection, two tokens."""
    config = config.with_defaults(WHISPER_LARGE)
    width = config.integer("d_model")
    out = config.integer("output_dim", default=text_hidden)
    weights = (
        *whisper_layers(config),
        Weight(
            "audio_tower.positional_embedding",
            config.integer("max_source_positions"),
            width,
            dtype="float32",
            in_checkpoint=False,
        ),
        *projection("audio_tower.proj", out, width),
        Weight("audio_tower.audio_bos_eos_token", 2, out),
    )
    return Encoder("audio", weights, width)


def whisper_layers(config: ConfigView, *, split: bool = True) -> tuple[Weight, ...]:
    """Whisper's encoder less its positions: two convolutions, layers, a norm.

    `split` is false where vLLM runs transformers' own module, whole on every rank.
    """
    width = config.integer("d_model")
    shape = TowerShape(
        width,
        config.integer("encoder_layers"),
        config.integer("encoder_ffn_dim"),
        key_bias=False,
        split=split,
        units=config.integer("encoder_attention_heads"),
    )
    return (
        *patches("audio_tower.conv1", width, 3 * config.integer("num_mel_bins")),
        *patches("audio_tower.conv2", width, 3 * width),
        *tower_layers(shape, "audio_tower.layers"),
        norm("audio_tower.layer_norm", width, bias=True),
    )


def gemma3n_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Gemma 3n: a conformer of 12 blocks, and its embedder; 188 tokens for 30 seconds."""
    config = config.with_defaults(
        {"hidden_size": 1536, "vocab_size": 128, "conf_num_hidden_layers": 12}
    )
    width = config.integer("hidden_size")
    layers = config.integer("conf_num_hidden_layers")
    weights = (
        *_conformer(config, width, layers, head_width=width // 8),
        *soft_embedder("embed_audio", config.integer("vocab_size"), width, text_hidden),
    )
    return Encoder("audio", weights, width, 188)


def gemma4_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Gemma 4: a conformer with an output projection; 750 tokens for 30 seconds."""
    config = config.with_defaults(
        {
            "hidden_size": 1024,
            "num_hidden_layers": 12,
            "num_attention_heads": 8,
            "output_proj_dims": 1536,
        }
    )
    width, out = config.integer("hidden_size"), config.integer("output_proj_dims")
    layers = config.integer("num_hidden_layers")
    heads = max(1, config.integer("num_attention_heads"))
    weights: tuple[Weight, ...] = (
        *_conformer(config, width, layers, head_width=width // heads),
        *projection("audio_tower.output_proj", out, width),
        *projection("embed_audio.embedding_projection", text_hidden, out, bias=False),
        Weight("embed_audio.embedding_pre_projection_norm", out, in_checkpoint=False),
    )
    if config.flag("use_clipped_linears", default=True):
        # Four bounds for each of a block's ten linears.
        weights += (Weight("audio_tower.layers.bounds", 40, copies=layers),)
    return Encoder("audio", weights, width, 750)


def gemma4_unified_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Gemma 4 12B: frames of the waveform, projected as they are."""
    width = config.integer("output_proj_dims", "audio_embed_dim", default=640)
    weights = projection("embed_audio.embedding_projection", text_hidden, width, bias=False)
    return Encoder("audio", weights, width, 750)


def _conformer(
    config: ConfigView, width: int, layers: int, *, head_width: int
) -> tuple[Weight, ...]:
    """Two convolutions that shorten the spectrogram and the conformer blocks behind."""
    first, second = 128, 32
    kernel = config.integer("conf_conv_kernel_size", "conv_kernel_size", default=5)
    return (
        Weight("audio_tower.conv_0", first, 9),
        norm("audio_tower.conv_0.norm", first),
        Weight("audio_tower.conv_1", second, 9 * first),
        norm("audio_tower.conv_1.norm", second),
        # 128 mel bins, halved twice.
        *projection("audio_tower.input_proj_linear", width, second * 32, bias=False),
        Weight("audio_tower.layers.feed_forward", 4 * width, 4 * width, copies=layers),
        Weight("audio_tower.layers.attention", 5 * width, width, copies=layers),
        Weight("audio_tower.layers.attention.per_dim_scale", head_width, copies=layers),
        Weight("audio_tower.layers.convolution", 3 * width, width, copies=layers),
        Weight("audio_tower.layers.depthwise", width, kernel, copies=layers),
        Weight("audio_tower.layers.norms", 9 * width, copies=layers),
    )
