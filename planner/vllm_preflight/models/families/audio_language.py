"""Audio towers of audio-language models: Fun-Audio-Chat, MiDashengLM and MOSS-Audio.

vLLM 0.33 models/funaudiochat.py, midashenglm.py and moss_audio.py.
"""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.models.architecture import Encoder, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.audio import WHISPER_LARGE
from vllm_preflight.models.parts.blocks import norm
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    split_pair,
    tower_layers,
)


def fun_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """Fun-Audio-Chat: a Whisper-like encoder, and an embedding of speech codes beside it.

    Attention is divided over the ranks, the feed-forward blocks are whole.
    """
    config = config.with_defaults({**WHISPER_LARGE, "codebook_size": 6565})
    width, out = config.integer("d_model"), config.integer("output_dim", default=text_hidden)
    inner, depth = config.integer("encoder_ffn_dim"), config.integer("encoder_layers")
    shape = TowerShape(width, depth, inner, key_bias=True)
    layers = tuple(
        replace(weight, split=Split.REPLICATED) if ".mlp." in weight.name else weight
        for weight in tower_layers(shape, "continuous_audio_tower.layers")
    )
    weights = (
        *patches("continuous_audio_tower.conv1", width, 3 * config.integer("num_mel_bins")),
        *patches("continuous_audio_tower.conv2", width, 3 * width),
        *layers,
        norm("continuous_audio_tower.ln_post", width, bias=True),
        *projection("continuous_audio_tower.proj", out, width),
        Weight("continuous_audio_tower.audio_bos_eos_token", 2, out),
        Weight(
            "continuous_audio_tower.positional_embedding",
            config.integer("max_source_positions"),
            width,
            dtype="float32",
            in_checkpoint=False,
        ),
        Weight("audio_tower.embed_tokens", config.integer("codebook_size"), out),
        *projection("audio_tower.output_matching", out, out, bias=False),
        *projection("audio_tower.continual_output_matching", out, out, bias=False),
    )
    return Encoder("audio", weights, width)


def dasheng_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """MiDashengLM: a spectrogram in square patches, and five of its frames projected."""
    config = config.with_defaults(
        {
            "embed_dim": 768,
            "patch_size": 16,
            "patch_stride": 16,
            "input_channels": 1,
            "target_length": 1012,
            "depth": 12,
            "mlp_ratio": 4,
            "qkv_bias": True,
            "n_mels": 64,
            "n_fft": 512,
            "win_length": 512,
        }
    )
    width, mels = config.integer("embed_dim"), config.integer("n_mels")
    patch, stride = config.integer("patch_size"), max(1, config.integer("patch_stride"))
    shape = TowerShape(
        width,
        config.integer("depth"),
        int(width * config.number("mlp_ratio")),
        qkv_bias=config.flag("qkv_bias"),
        scales=2 if config.get("init_values") else 0,
    )
    merged = width * config.integer("subsample_factor", default=5)
    columns = config.integer("input_channels") * patch * patch
    weights = (
        *patches("audio_encoder.patch_embed.proj", width, columns),
        Weight("audio_encoder.time_pos_embed", width, config.integer("target_length") // stride),
        Weight("audio_encoder.freq_pos_embed", width, mels // stride),
        # A batch normalisation: scale, shift, running mean and variance.
        Weight("audio_encoder.init_bn", 4 * mels),
        *tower_layers(shape, "audio_encoder.blocks"),
        norm("audio_encoder.norm", width, bias=True),
        Weight(
            "audio_encoder.front_end.spectrogram_window",
            config.integer("win_length"),
            in_checkpoint=False,
        ),
        Weight(
            "audio_encoder.front_end.melscale_fbanks",
            config.integer("n_fft") // 2 + 1,
            mels,
            in_checkpoint=False,
        ),
        *split_pair("audio_projector.net", text_hidden, text_hidden, merged),
    )
    return Encoder("audio", weights, width)


def moss_audio(config: ConfigView, text_hidden: int) -> Encoder:
    """MOSS-Audio: strided convolutions, Whisper layers, gated adapters at several depths."""
    config = config.with_defaults(
        {
            **WHISPER_LARGE,
            "downsample_hidden_size": 480,
            "adapter_hidden_size": 8192,
        }
    )
    width, channels = config.integer("d_model"), config.integer("downsample_hidden_size")
    out = config.integer("output_dim", default=width)
    inner = config.integer("adapter_hidden_size")
    shape = TowerShape(
        width,
        config.integer("encoder_layers"),
        config.integer("encoder_ffn_dim"),
        key_bias=False,
    )
    depths = len(config.items("deepstack_encoder_layer_indexes"))
    depths = min(depths, config.integer("deepstack_num_inject_layers", default=depths))
    adapter = (
        *projection("audio_adapter.gate_up", 2 * inner, out, bias=False, split=Split.COLUMN),
        *projection("audio_adapter.down_proj", text_hidden, inner, bias=False, split=Split.ROW),
    )
    weights: tuple[Weight, ...] = (
        *patches("audio_encoder.conv1", channels, 9),
        *patches("audio_encoder.conv2", channels, 9 * channels),
        *patches("audio_encoder.conv3", channels, 9 * channels),
        *projection(
            "audio_encoder.stem_proj", width, channels * ((config.integer("num_mel_bins") + 7) // 8)
        ),
        *tower_layers(shape, "audio_encoder.layers"),
        norm("audio_encoder.layer_norm", width, bias=True),
        *(replace(weight, copies=1 + depths) for weight in adapter),
    )
    if out != width:
        weights += projection("audio_encoder.out_proj", out, width, bias=False)
    return Encoder("audio", weights, width)
