"""Multimodal wrappers: a text decoder with vision or audio towers.

The text model is read by the reader of its own `model_type`; what a wrapper adds is
which towers stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Architecture, Encoder, Split
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families import (
    audio,
    decoder,
    encoder_only,
    gemma,
    hybrid,
    looped,
    mla,
    shared_query,
    variants,
    vision,
    vision_clip,
    vision_documents,
    vision_qwen,
    vision_tiles,
    whisper,
)
from vllm_preflight.models.parts.reader import Reader

# (tower's config, hidden size of the text model) -> tower
Tower = Callable[[ConfigView, int], Encoder]

TEXT_READERS: Mapping[str, Reader] = {
    **decoder.READERS,
    **gemma.READERS,
    **encoder_only.READERS,
    **variants.READERS,
    **looped.READERS,
    **shared_query.READERS,
    **whisper.READERS,
    **mla.READERS,
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


@dataclass(frozen=True)
class Wrapper:
    """What a multimodal model class fixes.

    `text_type` is the text model's type where the config does not say. `text_keys`
    lead to the text config, `at` to the part of the config that holds text and towers.
    A tower whose section is null is absent; `always` says the class builds its vision
    tower from defaults when the section is missing. `deepstack` keeps image features
    for several depths in a buffer over the batch.
    """

    text_type: str = ""
    vision: Tower | None = None
    audio: Tower | None = None
    text_keys: tuple[str, ...] = ("text_config", "llm_config", "language_config")
    at: str = ""
    always: bool = True
    deepstack: bool = False
    vision_key: str = "vision_config"


# A key "type@variant" is for one class or one `version` of a model type.
WRAPPERS: Mapping[str, Wrapper] = {
    "qwen2_vl": Wrapper("qwen2_vl_text", vision_qwen.qwen2_vision),
    "qwen2_5_vl": Wrapper("qwen2_5_vl_text", vision_qwen.qwen2_5_vision),
    "qwen3_vl": Wrapper("qwen3_vl_text", vision_qwen.qwen3_vision, deepstack=True),
    "qwen3_vl_moe": Wrapper("qwen3_vl_moe_text", vision_qwen.qwen3_vision, deepstack=True),
    "qwen3_5": Wrapper("qwen3_5_text", vision_qwen.qwen3_vision),
    "qwen3_5_moe": Wrapper("qwen3_5_moe_text", vision_qwen.qwen3_vision),
    "qwen2_audio": Wrapper("qwen2", audio=audio.qwen2_audio),
    "qwen2_5_omni": Wrapper(
        "qwen2_5_omni_text",
        vision_qwen.qwen2_5_vision,
        audio.qwen2_5_omni_audio,
        at="thinker_config",
    ),
    "qwen3_omni_moe": Wrapper(
        "qwen3_omni_moe_text",
        vision_qwen.qwen3_vision,
        audio.qwen3_audio,
        at="thinker_config",
        deepstack=True,
    ),
    "glm4v": Wrapper("glm4v_text", vision_qwen.glm4_vision),
    "glm4v_moe": Wrapper("glm4v_moe_text", vision_qwen.glm4_vision),
    "glm5_next": Wrapper("glm5_next_text", vision_qwen.glm5_next_vision),
    "gemma3": Wrapper("gemma3_text", vision.gemma3_vision),
    "gemma3n": Wrapper("gemma3n_text", vision.gemma3n_vision, audio.gemma3n_audio),
    "gemma4": Wrapper("gemma4_text", vision.gemma4_vision, audio.gemma4_audio, always=False),
    "gemma4_unified": Wrapper(
        "gemma4_unified_text",
        vision.gemma4_unified_vision,
        audio.gemma4_unified_audio,
        always=False,
    ),
    "paligemma": Wrapper("gemma", vision.paligemma_vision),
    "mistral3": Wrapper("mistral", vision.pixtral_vision),
    "ministral3": Wrapper("ministral3", vision.pixtral_vision, always=False),
    "llama4": Wrapper("llama4_text", vision.llama4_vision),
    "step3p7": Wrapper("step3p5", vision_tiles.step_vision, always=False),
    "mllama": Wrapper("mllama_text_model", vision_clip.mllama_vision),
    "phi3_v": Wrapper("phi3", vision_clip.phi3_vision, vision_key="img_processor"),
    "deepseek_vl_v2": Wrapper("deepseek_v2", vision_clip.deepseek_vl2_vision),
    "deepseek_vl_v2@DeepseekOCRForCausalLM": Wrapper(
        "deepseek_v2", vision_documents.deepseek_ocr_vision
    ),
    "dots_ocr": Wrapper("qwen2", vision_documents.dots_vision),
    "lfm2_vl": Wrapper("lfm2", vision_documents.lfm2_vision),
    "minicpmv@2.6": Wrapper("qwen2", vision_documents.minicpmv_vision),
    "minicpmv@4.5": Wrapper("qwen3", vision_documents.minicpmv_vision),
    "llava": Wrapper("llama", vision_clip.llava_vision),
    "llava_next": Wrapper("llama", vision_clip.llava_next_vision),
    "llava_onevision": Wrapper("qwen2", vision_tiles.onevision),
    "internvl": Wrapper("qwen2", vision_tiles.intern_vision),
    "internvl_chat": Wrapper("qwen2", vision_tiles.intern_vision),
    "idefics3": Wrapper("llama", vision_tiles.idefics3_vision),
    "paddleocr_vl": Wrapper("ernie4_5", vision_tiles.paddleocr_vision),
    "smolvlm": Wrapper("llama", vision_tiles.idefics3_vision),
    "muse_glimmer": Wrapper("muse_glimmer_text", vision_tiles.muse_vision),
    "kimi_vl": Wrapper("deepseek_v3", vision.kimi_vl_vision),
    "minimax_m3_vl": Wrapper("minimax_m3", vision_clip.minimax_vision),
    "kimi_k25": Wrapper("deepseek_v3", vision.kimi_vision),
    "kimi_k3": Wrapper("kimi_linear", vision.kimi_vision),
}
# Model types several classes with different towers share: the classes that are read.
_KNOWN_CLASSES: Mapping[str, tuple[str, ...]] = {
    "deepseek_vl_v2": ("DeepseekVLV2ForCausalLM",),
}
# Top-level keys a tower's shape depends on.
_PASSED_DOWN = (
    "downsample_factor",
    "downsample_ratio",
    "image_grid_pinpoints",
    "img_token_compression_config",
    "multimodal_projector_bias",
    "max_dynamic_patch",
    "projector_bias",
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
    encoders = _encoders(inner, wrapper, read.hidden_size)
    width = read.batch_buffer_width
    if wrapper.deepstack and (section := inner.section("vision_config")) is not None:
        width += vision_qwen.deepstack_levels(section) * read.hidden_size
    return replace(read, encoders=(*encoders, *read.encoders), batch_buffer_width=width)


def _wrapper(config: ConfigView) -> Wrapper:
    """The wrapper of a config: by its version or class where those share a model type."""
    variants = (*config.architectures, str(config.get("version")))
    for variant in variants:
        found = WRAPPERS.get(f"{config.model_type}@{variant}")
        if found is not None:
            return found
    others = _KNOWN_CLASSES.get(config.model_type)
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
    where = section.where if section is not None else config.where
    defaults = _TEXT_DEFAULTS.get(str(raw["model_type"])) if section is not None else None
    return ConfigView(raw, defaults, where)


def _encoders(config: ConfigView, wrapper: Wrapper, hidden_size: int) -> tuple[Encoder, ...]:
    found: list[Encoder] = []
    for key, tower in ((wrapper.vision_key, wrapper.vision), ("audio_config", wrapper.audio)):
        section = config.section(key)
        if tower is None or (section is None and not wrapper.always):
            continue
        raw = dict(section.raw) if section is not None else {}
        for name in _PASSED_DOWN:
            if config.get(name) is not None:
                raw.setdefault(name, config.get(name))
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
