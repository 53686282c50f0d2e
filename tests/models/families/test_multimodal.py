"""Wrappers: where the text model is, which towers stand beside it, how they are split."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Architecture, Encoder, Split
from vllm_preflight.models.catalog import catalog_entry
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
        "architectures": ["DeepseekOCRForCausalLM"],
        "language_config": TEXT,
    }
    with pytest.raises(UnsupportedArchitecture, match="DeepseekOCR"):
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


def test_mllama_reads_images_by_cross_attention() -> None:
    found = catalogued("meta-llama/Llama-3.2-11B-Vision-Instruct")
    kinds = [getattr(cache, "kind", "") for layer in found.layers for cache in layer.caches]
    assert kinds.count("cross") == 8
    assert kinds.count("decoder") == 32


def test_nemotron_nas_drops_blocks() -> None:
    found = catalogued("nvidia/Llama-3_3-Nemotron-Super-49B-v1")
    assert sum(bool(layer.caches) for layer in found.layers) == 49
    assert len(found.layers) == 80
