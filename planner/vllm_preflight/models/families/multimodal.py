"""Multimodal wrappers: a text decoder with vision or audio towers.

The text model is read by the reader of its own `model_type`; what a wrapper adds is
which towers stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Architecture, Encoder, Split
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families import (
    attention_sinks,
    cohere_asr,
    decoder,
    dual_encoders,
    encoder_only,
    ernie_vl,
    gemma,
    hybrid,
    looped,
    mla,
    molmo,
    shared_query,
    value_mixture,
    variants,
    vision_qwen,
    whisper,
)
from vllm_preflight.models.families.wrappers import KNOWN_CLASSES, WRAPPERS, Wrapper
from vllm_preflight.models.parts.reader import Reader

TEXT_READERS: Mapping[str, Reader] = {
    **decoder.READERS,
    **attention_sinks.READERS,
    **gemma.READERS,
    **encoder_only.READERS,
    **variants.READERS,
    **looped.READERS,
    **ernie_vl.READERS,
    **dual_encoders.READERS,
    **shared_query.READERS,
    **value_mixture.READERS,
    **whisper.READERS,
    **cohere_asr.READERS,
    **mla.READERS,
    **molmo.READERS,
    **hybrid.READERS,
}

# What the text model's own config class fills in, where it is nested and so written
# only as far as it differs (transformers configuration_*.py).
_LLAMA = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
_MISTRAL = {
    **_LLAMA,
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
}
_TEXT_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "llama": _LLAMA,
    "mistral": {**_MISTRAL, "sliding_window": 4096},
    "ministral3": {**_MISTRAL, "head_dim": 128, "max_position_embeddings": 262144},
    "qwen2": {
        **_LLAMA,
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32768,
    },
    "gemma": {
        "vocab_size": 256000,
        "hidden_size": 3072,
        "intermediate_size": 24576,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "max_position_embeddings": 8192,
    },
    "llama4_text": {
        "vocab_size": 202048,
        "hidden_size": 5120,
        "intermediate_size": 8192,
        "intermediate_size_mlp": 16384,
        "num_hidden_layers": 48,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "num_local_experts": 16,
        "num_experts_per_tok": 1,
        "attention_chunk_size": 8192,
    },
}


# Text models that transformers 5 names after the wrapper, by the type of what they are.
_TEXT_ALIASES: Mapping[str, str] = {
    "minimax_m3_vl_text": "minimax_m3",
    "unlimited_ocr_text": "deepseek_v2",
}
# Classes that load the text model of a multimodal checkpoint alone.
_TEXT_ONLY = frozenset({"Qwen3_5ForCausalLM", "Qwen3_5MoeForCausalLM"})
# Top-level keys a tower's shape depends on.
_PASSED_DOWN = (
    "adapter_config",
    "adapter_hidden_size",
    "alignment_intermediate_size",
    "audio_merge_size",
    "connector_norm",
    "encoder_config",
    "max_value_projector_patch_to_query_dict",
    "merger_times",
    "num_query_tokens",
    "pixel_shuffle_factor",
    "projector_bias",
    "projector_config",
    "projector_patch_to_query_dict",
    "qformer_config",
    "vit_max_num_patch_per_side",
    "window_size",
    "downsample_rate",
    "deepstack_layer_map",
    "deepstack_num_inject_layers",
    "downsample_factor",
    "ffn_hidden_size",
    "kimia_adaptor_input_dim",
    "pixel_hidden_size",
    "projector_act",
    "projector_ln_mid",
    "sound_config",
    "spatial_conv_size",
    "stack_factor",
    "subsample_factor",
    "temporal_conv_size",
    "text_config",
    "llm_config",
    "use_temporal_conv",
    "visual_vocab_size",
    "vocab_size",
    "downsample_ratio",
    "image_grid_pinpoints",
    "img_token_compression_config",
    "multimodal_projector_bias",
    "max_dynamic_patch",
    "projector_hidden_size",
    "projector_use_layernorm",
    "query_num",
    "scale_factor",
    "spatial_merge_size",
    "vision_feature_layer",
)


def read_multimodal(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of a wrapper listed in `WRAPPERS`: text model, vision, audio.

    A config with none of the text sections is a flat one: its own keys are the text
    model's.
    """
    del outer
    wrapper = _wrapper(config)
    inner = config.section(wrapper.at) if wrapper.at else config
    if inner is None and config.section(*wrapper.text_keys) is not None:
        inner = config  # transformers 5 also writes such sections at the top
    if inner is None:
        raise UnsupportedArchitecture(
            f"The config of model type {config.model_type!r} has no {wrapper.at}.",
            "Give a complete config.json.",
            keys=(wrapper.at,),
        )
    text = _text_view(inner, wrapper)
    reader = TEXT_READERS.get(text.model_type)
    if reader is None:
        raise UnsupportedArchitecture(
            f"The text model of {config.model_type!r} has model type {text.model_type!r}, "
            "which is not supported.",
            "The key that decides is text_config.model_type.",
            keys=("text_config.model_type",),
        )
    read = reader(text, config)
    if read.architecture in _TEXT_ONLY:
        return read
    encoders = _encoders(inner, wrapper, read.hidden_size)
    width = read.batch_buffer_width
    width += _deepstack_levels(inner, wrapper) * read.hidden_size
    return replace(read, encoders=(*encoders, *read.encoders), batch_buffer_width=width)


def _deepstack_levels(config: ConfigView, wrapper: Wrapper) -> int:
    """How many buffers over the batch hold image features for deeper layers."""
    mapped = config.items("deepstack_layer_map")
    if mapped:
        return len(mapped) + len(config.items("spatial_target_layers"))
    section = config.section("vision_config")
    if not wrapper.deepstack or section is None:
        return 0
    return vision_qwen.deepstack_levels(section)


def _wrapper(config: ConfigView) -> Wrapper:
    """The wrapper of a config: by its version or class where those share a model type."""
    variants = (*config.architectures, str(config.get("version")))
    for variant in variants:
        found = WRAPPERS.get(f"{config.model_type}@{variant}")
        if found is not None:
            return found
    others = KNOWN_CLASSES.get(config.model_type)
    unknown = [name for name in config.architectures if others and name not in others]
    found = WRAPPERS.get(config.model_type)
    if found is None or unknown:
        raise UnsupportedArchitecture(
            f"This variant of model type {config.model_type!r} "
            f"({', '.join(variants)}) has towers that are not known.",
            "The keys that decide are model_type, architectures and version.",
            keys=("model_type", "architectures", "version"),
        )
    return found


def _text_view(config: ConfigView, wrapper: Wrapper) -> ConfigView:
    section = config.section(*wrapper.text_keys)
    raw = dict(section.raw if section is not None else config.raw)
    if section is None or not section.model_type:
        raw["model_type"] = wrapper.text_type
    raw["model_type"] = _TEXT_ALIASES.get(str(raw["model_type"]), raw["model_type"])
    if wrapper.text_class:
        raw["model_type"] = wrapper.text_class
    where = section.where if section is not None else config.where
    defaults = _TEXT_DEFAULTS.get(str(raw["model_type"])) if section is not None else None
    return ConfigView(raw, defaults, where)


def _encoders(config: ConfigView, wrapper: Wrapper, hidden_size: int) -> tuple[Encoder, ...]:
    found: list[Encoder] = []
    for key, tower in (
        (wrapper.vision_key, wrapper.vision),
        (wrapper.audio_key, wrapper.audio),
    ):
        section = config.section(key)
        if tower is None or (section is None and not wrapper.always):
            continue
        raw = dict(section.raw) if section is not None else {}
        for name in _PASSED_DOWN:
            if config.get(name) is not None:
                raw.setdefault(name, config.get(name))
        if key == "audio_config" and config.get("projector_act") is not None:
            raw.setdefault("projector_width", config.get("hidden_size"))
        view = ConfigView(raw, where=f"{config.where}{key}.")
        encoder = tower(view, hidden_size)
        found.append(replace(encoder, divided_heads=_divided_heads(view, encoder)))
    return tuple(found)


def _divided_heads(config: ConfigView, encoder: Encoder) -> int:
    """The heads of a tower that vLLM divides over the ranks or fails (0 where it need not).

    A tower that is whole on every rank, or falls back to that, takes any number.
    """
    queries = [weight for weight in encoder.weights if weight.name.endswith(".attn.q_proj")]
    if not any(weight.split is Split.COLUMN and weight.units == 1 for weight in queries):
        return 0
    return config.integer("num_heads", "num_attention_heads", "heads", default=0)


READERS: Mapping[str, Reader] = {name.partition("@")[0]: read_multimodal for name in WRAPPERS}
