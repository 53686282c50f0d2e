"""From `config.json` to an `Architecture`: which family reads which model type.

Dispatch is explicit. A model type nobody here knows is refused with the keys that
matter, because a guess would be a wrong number that looks right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from vllm_preflight.base.errors import UnsupportedArchitecture, naming_config
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.drafts.formats import head_method
from vllm_preflight.models.drafts.heads import read_head
from vllm_preflight.models.families import multimodal
from vllm_preflight.models.families.pooling import with_pooling_head
from vllm_preflight.models.families.refused import refusal_reason
from vllm_preflight.models.parts.common import LENGTH_KEYS
from vllm_preflight.models.parts.reader import Reader

READERS: Mapping[str, Reader] = {
    **multimodal.TEXT_READERS,
    **multimodal.READERS,
}

# Class names that are not the model type written in another case.
_CLASS_TYPES: Mapping[str, str] = {
    "BailingMoeV2_5": "bailing_hybrid",
    "Cosmos3": "qwen3_vl",
    "Eagle2_5_VL": "eagle_2_5_vl",
    "GteNew": "new",
    "InternS2Preview": "qwen3_5_moe",
    "KananaV": "kanana-1.5-v",
    "KeyeVL1_5": "KeyeVL1_5",
    "LlamaBidirectional": "llama_bidirec",
    "LlamaNemotronVL": "llama_nemotron_vl",
    "MiniCPMOcr": "minicpmv4_6",
    "MoonshotKimia": "kimi_audio",
    "MossAudio": "moss_audio",
    "NemotronHPuzzle": "nemotron_h_puzzle",
    "PanguUltraMoE": "pangu_ultra_moe",
    "Phi4ForCausalLMV": "phi4-siglip",
    "SkyworkR1VChat": "skywork_chat",
    "Step3Text": "step3_text",
    "DeciLM": "nemotron-nas",
    "HunYuanDenseV1": "hunyuan_v1_dense",
    "HunYuanMoEV1": "hunyuan_v1_moe",
    "MiniMaxM3Sparse": "minimax_m3_vl",
    "NemotronH_Nano_Omni_Reasoning_V3": "nemotron_h_omni",
    "NemotronH_Omni_Reasoning_V3": "nemotron_h_omni",
    "NemotronH_Super_Omni_Reasoning_V3": "nemotron_h_omni",
    "NomicBert": "nomic_bert",
    "RW": "falcon",
    "Step3p7Flash": "step3p7",
}
_CLASS_SUFFIX = re.compile(
    r"(For(CausalLM|ConditionalGeneration|SequenceClassification)|LMHeadModel|Model)$"
)
# Sections whose lengths are not the text model's.
_OTHER_SECTIONS = ("vision", "audio", "talker", "code2wav", "quantization")
# Keys that say how a model stores and caches; an error names those a config has.
_DECIDING_KEYS = (
    "model_type",
    "architectures",
    "text_config",
    "vision_config",
    "audio_config",
    "layer_types",
    "hybrid_override_pattern",
    "kv_lora_rank",
    "sliding_window",
    "attention_chunk_size",
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
    "state_size",
    "mamba_d_state",
    "linear_num_value_heads",
)


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """The architecture a config describes.

    The `model_type` decides; without one, the class named in `architectures`. A head of
    speculative decoding is read as one (`Architecture.drafts`).

    Raises:
        UnsupportedArchitecture: the model type is not known, keys are missing, or
            values cannot be what they say. Its `keys` name what matters.
    """
    with naming_config(config):
        method = head_method(config)
        return _read(config) if method is None else read_head(config, method)


def _read(config: Mapping[str, Any]) -> Architecture:
    view = ConfigView(config)
    model_type = view.model_type
    if not model_type:
        model_type = _type_of_class(view)
        view = ConfigView({**config, "model_type": model_type})
    if refusal_reason(view.architectures):
        raise _unknown(config)
    reader = READERS.get(model_type)
    if reader is None and (of_class := _named_type(view)):
        # Checkpoints of these classes come with a type of their own making.
        view = ConfigView({**config, "model_type": of_class})
        reader = READERS[of_class]
    if reader is None:
        raise _unknown(config)
    found = with_pooling_head(view, reader(view, None))
    if not found.layers:
        raise UnsupportedArchitecture(
            f"The config of model type {model_type!r} describes no layers.",
            "Give a complete config.json.",
            keys=("num_hidden_layers",),
        )
    return found


def states_length(config: Mapping[str, Any]) -> bool:
    """Whether a config itself says how long a text may be, in itself or its text model.

    Where not, `read_architecture` takes the default of the config's class, or vLLM's
    fallback: right for a whole config.json, unknown for a part of one.
    """
    return any(states_key(config, key) for key in LENGTH_KEYS)


def states_key(config: Mapping[str, Any], key: str) -> bool:
    """Whether a config or the config of its text model has a value for `key`."""
    if config.get(key) is not None:
        return True
    return any(
        isinstance(section, Mapping) and states_key(cast(Mapping[str, Any], section), key)
        for name, section in config.items()
        if name.endswith("_config") and not name.startswith(_OTHER_SECTIONS)
    )


def _named_type(view: ConfigView) -> str:
    """The model type of a class in `_CLASS_TYPES`, empty for any other."""
    stems = (_CLASS_SUFFIX.sub("", name) for name in view.architectures)
    return next((_CLASS_TYPES[stem] for stem in stems if stem in _CLASS_TYPES), "")


def _type_of_class(view: ConfigView) -> str:
    """The model type of the class in `architectures`, empty when it is not known."""
    for name in view.architectures:
        stem = _CLASS_SUFFIX.sub("", name)
        if stem in _CLASS_TYPES:
            return _CLASS_TYPES[stem]
        if stem == name and name not in _TYPES_BY_STEM:
            continue
        candidates = _TYPES_BY_STEM.get(_plain(stem), ())
        # A decoder beside a wrapper of the same name is the wrapper's text model.
        texts = [found for found in candidates if found.endswith("_text")]
        if candidates:
            return texts[0] if texts and "CausalLM" in name else candidates[0]
    return ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _types_by_stem() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for model_type in sorted(READERS, key=len):
        stem = _plain(model_type.removesuffix("_text"))
        found[stem] = (*found.get(stem, ()), model_type)
    return found


_TYPES_BY_STEM = _types_by_stem()


def _unknown(config: Mapping[str, Any]) -> UnsupportedArchitecture:
    view = ConfigView(config)
    present = tuple(key for key in _DECIDING_KEYS if config.get(key) is not None)
    classes = ", ".join(view.architectures) or "no architectures"
    named = (
        f"The model type {view.model_type!r}" if view.model_type else "A config without model_type"
    )
    reason = refusal_reason(view.architectures)
    return UnsupportedArchitecture(
        f"{named} ({classes}) is not supported{': ' + reason if reason else ''}.",
        "What a model stores per layer and caches per token is known per family; the keys "
        f"that decide here are {', '.join(present or _DECIDING_KEYS[:2])}.",
        keys=present or _DECIDING_KEYS[:2],
    )
