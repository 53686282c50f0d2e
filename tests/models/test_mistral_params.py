"""Mistral's params.json, read as vLLM reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import AttentionCache
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.local import load_folder
from vllm_preflight.models.mistral_params import config_of_params
from vllm_preflight.models.parameters import count_parameters
from vllm_preflight.models.quantization import read_quantization

TEXT: dict[str, Any] = {
    "dim": 512,
    "n_layers": 4,
    "head_dim": 64,
    "hidden_dim": 1024,
    "n_heads": 8,
    "n_kv_heads": 2,
    "norm_eps": 1e-5,
    "vocab_size": 1024,
    "rope_theta": 1e6,
}
# Embedding and head, a layer's attention, feed-forward block and norms, the last norm.
TEXT_TOTAL = 2 * 1024 * 512 + 4 * (512 * 64 * (8 + 2 + 2 + 8) + 3 * 512 * 1024 + 2 * 512) + 512
VISION = {
    "hidden_size": 128,
    "num_channels": 3,
    "image_size": 448,
    "patch_size": 14,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "adapter_bias": False,
    "mm_projector_id": "patch_merge",
    "spatial_merge_size": 2,
    "add_pre_mm_projector_layer_norm": True,
}
WHISPER = {
    "encoder_args": {
        "audio_encoding_args": {"num_mel_bins": 128},
        "dim": 64,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 128,
        "max_source_positions": 1500,
    },
    "downsample_args": {"downsample_factor": 4},
}


def read(**changes: Any):
    return read_architecture(config_of_params({**TEXT, **changes}))


def test_a_text_model() -> None:
    found = read()
    assert found.architecture == "MistralForCausalLM" and found.dtype == "bfloat16"
    assert count_parameters(found).total == TEXT_TOTAL
    assert found.max_position == 128_000
    assert found.layers[0].caches == (AttentionCache(2, 64, 64, 8),)
    assert read(max_position_embeddings=32768).max_position == 32768


def test_windows_repeat_over_the_layers() -> None:
    found = read(sliding_window=[None, 4096])
    windows = [
        cache.window
        for layer in found.layers
        for cache in layer.caches
        if isinstance(cache, AttentionCache)
    ]
    assert windows == [None, 4096, None, 4096]
    with pytest.raises(UnsupportedArchitecture, match="different sizes"):
        read(sliding_window=[1024, 4096])


def test_yarn_scales_the_rope() -> None:
    rope = read(yarn={"factor": 8, "original_max_position_embeddings": 16384}).ropes[0]
    assert rope.positions == 8 * 16384


@pytest.mark.parametrize("key", ["vision_encoder", "multimodal"])
def test_pictures(key: str) -> None:
    found = read(**{key: VISION})
    assert found.architecture == "PixtralForConditionalGeneration"
    (tower,) = found.encoders
    assert tower.kind == "vision" and found.layers[0].caches == (AttentionCache(2, 64, 64, 8),)
    projector = sum(
        weight.elements for weight in tower.weights if "vision_language_adapter" in weight.name
    )
    assert projector == 512 * 128 + 512 * 512


def test_speech() -> None:
    found = read(multimodal={"whisper_model_args": WHISPER})
    assert found.architecture == "VoxtralForConditionalGeneration"
    assert found.encoders[0].hidden_size == 64


def test_fp8_and_what_is_not_understood() -> None:
    config = config_of_params({**TEXT, "quantization": {"qformat_weight": "fp8_e4m3"}})
    assert read_quantization(config).label.startswith("FP8")
    for changes in (
        {"quantization": {"qformat_weight": "nvfp4"}},
        {"model_type": "mamba"},
        {"moe": {"num_experts": 8, "num_experts_per_tok": 2}},
    ):
        with pytest.raises(UnsupportedArchitecture, match=r"params\.json"):
            config_of_params({**TEXT, **changes})


def test_a_folder_that_holds_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps(TEXT), encoding="utf-8")
    model = load_folder(tmp_path, lambda _: None)
    assert model.provenance.startswith("params.json in the local folder")
    assert count_parameters(model.architecture).total == TEXT_TOTAL
    # vLLM's older releases, and this reader, take the config.json beside it.
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    with pytest.raises(UnsupportedArchitecture):
        load_folder(tmp_path, lambda _: None)
