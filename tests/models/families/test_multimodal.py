"""Wrappers: where the text model is, which towers stand beside it, how they are split."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Architecture, Encoder, Split
from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.families.multimodal import TEXT_READERS, WRAPPERS
from vllm_preflight.models.parameters import count_parameters

TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 4096,
}


def catalogued(model: str) -> Architecture:
    entry = catalog_entry(model)
    assert entry is not None
    return read_architecture(entry.config)


def elements(encoder: Encoder) -> int:
    return sum(weight.elements for weight in encoder.weights if weight.in_checkpoint)


def test_text_types_of_wrappers_are_read() -> None:
    assert {wrapper.text_type for wrapper in WRAPPERS.values()} <= set(TEXT_READERS)


def test_flat_and_nested_configs_say_the_same() -> None:
    vision = {"depth": 2, "embed_dim": 32, "mlp_ratio": 4, "num_heads": 2}
    flat = read_architecture({"model_type": "qwen2_vl", **TEXT, "vision_config": vision})
    nested = read_architecture(
        {"model_type": "qwen2_vl", "text_config": TEXT, "vision_config": vision}
    )
    assert flat.layers == nested.layers
    assert flat.encoders == nested.encoders
    assert flat.model_type == "qwen2_vl"


@pytest.mark.parametrize(
    ("model", "kind", "published"),
    [
        # Totals of the towers with their projectors, from the checkpoints' headers:
        # the published total less the text model's.
        ("google/gemma-4-31B-it", "vision", 575_743_536),
        ("google/gemma-4-26B-A4B-it", "vision", 572_794_416),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "vision", 676_550_144),
    ],
)
def test_tower_sizes(model: str, kind: str, published: int) -> None:
    (encoder,) = (found for found in catalogued(model).encoders if found.kind == kind)
    assert elements(encoder) == published


def test_towers_are_divided_or_whole() -> None:
    (divided,) = catalogued("Qwen/Qwen2.5-VL-7B-Instruct").encoders
    splits = {weight.name: weight.split for weight in divided.weights}
    assert splits["visual.blocks.attn.q_proj"] is Split.COLUMN
    assert splits["visual.blocks.attn.proj"] is Split.ROW
    assert splits["visual.patch_embed"] is Split.REPLICATED
    (whole,) = catalogued("google/gemma-4-31B-it").encoders
    assert {weight.split for weight in whole.weights} == {Split.REPLICATED}


def test_an_audio_tower_is_cut_only_by_whole_heads() -> None:
    towers = {
        found.kind: found for found in catalogued("Qwen/Qwen3-Omni-30B-A3B-Instruct").encoders
    }
    assert set(towers) == {"vision", "audio"}
    query = next(w for w in towers["audio"].weights if w.name.endswith("q_proj"))
    assert query.units == 20


def test_deepstack_keeps_a_buffer_over_the_batch() -> None:
    found = catalogued("Qwen/Qwen3-VL-4B-Instruct")
    assert found.batch_buffer_width == 3 * 2560
    assert catalogued("Qwen/Qwen3.5-9B").batch_buffer_width == 0


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("google/gemma-3-27b-it", 256),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 16384),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 17 * 144),
        ("google/gemma-4-31B-it", 280),
    ],
)
def test_most_tokens_of_an_image(model: str, tokens: int) -> None:
    assert [found.max_tokens_per_item for found in catalogued(model).encoders] == [tokens]


def test_a_null_tower_is_absent() -> None:
    found = catalogued("google/gemma-4-E2B-it")
    assert [encoder.kind for encoder in found.encoders] == ["vision"]


def test_classes_with_other_towers_are_refused() -> None:
    config = {
        "model_type": "deepseek_vl_v2",
        "architectures": ["DeepseekOCR9ForCausalLM"],
        "language_config": TEXT,
    }
    with pytest.raises(UnsupportedArchitecture, match="DeepseekOCR9"):
        read_architecture(config)


def test_towers_of_other_makes_are_refused() -> None:
    config = {
        "model_type": "llava",
        "text_config": {"model_type": "llama"},
        "vision_config": {"model_type": "mystery_vision"},
    }
    with pytest.raises(UnsupportedArchitecture) as caught:
        read_architecture(config)
    assert caught.value.keys == ("vision_config.model_type",)


def test_nested_text_configs_take_their_class_defaults() -> None:
    # llava-1.5-7b-hf: its text config says little beyond the vocabulary; the Hub
    # publishes 7,063,427,072 parameters.
    found = read_architecture(
        {
            "model_type": "llava",
            "text_config": {
                "model_type": "llama",
                "max_position_embeddings": 4096,
                "vocab_size": 32064,
            },
            "vision_config": {
                "model_type": "clip_vision_model",
                "hidden_size": 1024,
                "image_size": 336,
                "intermediate_size": 4096,
                "num_attention_heads": 16,
                "num_hidden_layers": 24,
                "patch_size": 14,
            },
        }
    )
    assert (found.hidden_size, len(found.layers), found.vocab_size) == (4096, 32, 32064)
    assert [encoder.max_tokens_per_item for encoder in found.encoders] == [576]
    assert count_parameters(found).total == 7_063_427_072


QWEN2_1_5B: dict[str, Any] = {
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize(
    ("config", "published"),
    [
        # openai/whisper-large-v3
        (
            {
                "model_type": "whisper",
                "d_model": 1280,
                "encoder_layers": 32,
                "decoder_layers": 32,
                "encoder_ffn_dim": 5120,
                "decoder_ffn_dim": 5120,
                "encoder_attention_heads": 20,
                "decoder_attention_heads": 20,
                "vocab_size": 51866,
                "num_mel_bins": 128,
            },
            1_543_490_560,
        ),
        # OpenGVLab/InternVL3-1B
        (
            {
                "model_type": "internvl_chat",
                "llm_config": {
                    "model_type": "qwen2",
                    "hidden_size": 896,
                    "intermediate_size": 4864,
                    "num_hidden_layers": 24,
                    "num_attention_heads": 14,
                    "num_key_value_heads": 2,
                    "vocab_size": 151674,
                    "tie_word_embeddings": False,
                },
                "vision_config": {"qkv_bias": True, "norm_type": "layer_norm"},
                "downsample_ratio": 0.5,
            },
            938_193_024,
        ),
        # HuggingFaceTB/SmolVLM-256M-Instruct
        (
            {
                "model_type": "smolvlm",
                "scale_factor": 4,
                "text_config": {
                    "model_type": "llama",
                    "hidden_size": 576,
                    "intermediate_size": 1536,
                    "num_hidden_layers": 30,
                    "num_attention_heads": 9,
                    "num_key_value_heads": 3,
                    "vocab_size": 49280,
                },
                "vision_config": {
                    "hidden_size": 768,
                    "num_attention_heads": 12,
                    "image_size": 512,
                    "patch_size": 16,
                },
            },
            256_484_928,
        ),
        # Qwen/Qwen2-Audio-7B-Instruct
        (
            {
                "model_type": "qwen2_audio",
                "text_config": {
                    "model_type": "qwen2",
                    "intermediate_size": 11008,
                    "vocab_size": 156032,
                },
                "audio_config": {"model_type": "qwen2_audio_encoder"},
            },
            8_397_094_912,
        ),
        # mistral-community/pixtral-12b
        (
            {
                "model_type": "llava",
                "text_config": {
                    "model_type": "mistral",
                    "hidden_size": 5120,
                    "num_hidden_layers": 40,
                    "head_dim": 128,
                    "vocab_size": 131072,
                },
                "vision_config": {"model_type": "pixtral"},
            },
            12_682_739_712,
        ),
        # rednote-hilab/dots.ocr
        ({"model_type": "dots_ocr", **QWEN2_1_5B, "vision_config": {}}, 3_039_179_264),
        # openbmb/MiniCPM-V-4_5
        (
            {
                "model_type": "minicpmv",
                "version": 4.5,
                "hidden_size": 4096,
                "intermediate_size": 12288,
                "num_hidden_layers": 36,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "vocab_size": 151748,
                "tie_word_embeddings": False,
                "vision_config": {},
            },
            8_695_895_280,
        ),
    ],
)
def test_totals_of_wrappers_that_are_not_catalogued(config: dict[str, Any], published: int) -> None:
    assert count_parameters(read_architecture(config)).total == published


def test_unknown_versions_are_refused() -> None:
    config: dict[str, Any] = {"model_type": "minicpmv", "version": 9.9, **QWEN2_1_5B}
    with pytest.raises(UnsupportedArchitecture) as caught:
        read_architecture(config)
    assert "version" in caught.value.keys


def test_llava_builds_layers_up_to_the_one_it_reads() -> None:
    config: dict[str, Any] = {
        "model_type": "llava",
        "text_config": {"model_type": "llama"},
        "vision_config": {"model_type": "clip_vision_model"},
    }
    (before_last,) = read_architecture(config).encoders
    (last,) = read_architecture({**config, "vision_feature_layer": -1}).encoders
    query = "vision_tower.layers.attn.q_proj"
    assert [w.copies for w in before_last.weights if w.name == query] == [23]
    assert [w.copies for w in before_last.unloaded if w.name == query] == [1]
    assert [w.copies for w in last.weights if w.name == query] == [24]
    assert last.unloaded == ()


def test_whisper_caches_itself_and_its_audio() -> None:
    config = {
        "model_type": "whisper",
        "d_model": 64,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_ffn_dim": 128,
        "decoder_ffn_dim": 128,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "vocab_size": 100,
    }
    found = read_architecture(config)
    kinds = [getattr(cache, "kind", "") for cache in found.layers[0].caches]
    assert kinds == ["decoder", "cross"]
    assert found.max_position == 448


def test_mllama_reads_images_by_cross_attention() -> None:
    found = catalogued("meta-llama/Llama-3.2-11B-Vision-Instruct")
    kinds = [getattr(cache, "kind", "") for layer in found.layers for cache in layer.caches]
    assert kinds.count("cross") == 8
    assert kinds.count("decoder") == 32


def test_nemotron_nas_drops_blocks() -> None:
    found = catalogued("nvidia/Llama-3_3-Nemotron-Super-49B-v1")
    assert sum(bool(layer.caches) for layer in found.layers) == 49
    assert len(found.layers) == 80


@pytest.mark.parametrize(
    ("model", "heads"),
    [
        ("zai-org/GLM-4.5V", [12]),
        ("Qwen/Qwen3-VL-4B-Instruct", [16]),
        # Whole on every rank, or kept whole where the ranks do not divide the heads.
        ("google/gemma-4-31B-it", [0]),
        ("moonshotai/Kimi-K3", [0]),
    ],
)
def test_the_heads_that_ranks_must_divide_are_known(model: str, heads: list[int]) -> None:
    assert [encoder.divided_heads for encoder in catalogued(model).encoders] == heads
