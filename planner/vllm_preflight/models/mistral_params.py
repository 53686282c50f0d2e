"""Mistral's own config, params.json, in the keys of a config.json.

Repositories of Pixtral, Voxtral and some Devstral and Mistral checkpoints hold nothing else.
Source: vLLM 0.33 transformers_utils/configs/mistral.py and config.py (MistralConfigParser).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from vllm_preflight.base.errors import UnsupportedArchitecture

PARAMS_NAME = "params.json"

Json = dict[str, Any]

_KEYS = {
    "dim": "hidden_size",
    "hidden_dim": "intermediate_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "norm_eps": "rms_norm_eps",
    "tied_embeddings": "tie_word_embeddings",
}
_EXPERT_KEYS = {
    "route_every_n": "moe_layer_freq",
    "first_k_dense_replace": "first_k_dense_replace",
    "num_experts_per_tok": "num_experts_per_tok",
    "num_experts": "n_routed_experts",
    "expert_hidden_dim": "moe_intermediate_size",
    "routed_scale": "routed_scaling_factor",
    "num_shared_experts": "n_shared_experts",
    "num_expert_groups": "n_group",
    "num_expert_groups_per_tok": "topk_group",
}
_AUDIO_KEYS = {
    "dim": "d_model",
    "n_layers": "encoder_layers",
    "hidden_dim": "encoder_ffn_dim",
    "n_heads": "encoder_attention_heads",
}
# What vLLM takes where the file says nothing and there is no config.json.
_LENGTH = 128_000


def config_of_params(params: Mapping[str, Any]) -> Json:
    """The config that vLLM makes of a params.json.

    Raises:
        UnsupportedArchitecture: it is of a model whose params.json is not understood here.
    """
    config: Json = {_KEYS.get(key, key): value for key, value in params.items()}
    if config.get("model_type", "transformer") != "transformer":
        raise _unsupported("model_type", f"model type {config['model_type']!r}")
    config.setdefault("max_position_embeddings", _LENGTH)
    config.setdefault("tie_word_embeddings", False)
    # vLLM reads it off the files, which hold this.
    config.setdefault("dtype", "bfloat16")
    # No class fills anything in: what the file does not have, the model has not.
    config.setdefault("sliding_window", None)
    config = _with_windows(_with_rope(_with_quantization(config)))
    config.update(_class_of(config))
    multimodal = _section(config.pop("multimodal", None))
    whisper = _section(multimodal.get("whisper_model_args"))
    vision = _section(config.pop("vision_encoder", None)) or multimodal
    if whisper:
        return _around(config, "voxtral", audio_config=_audio(config, whisper))
    if vision:
        return _around(config, "pixtral", vision_config=dict(vision))
    return config


def _class_of(config: Json) -> Json:
    """The class and model type, with the keys of experts under their usual names."""
    experts = _section(config.pop("moe", None))
    latent = bool(config.get("qk_nope_head_dim"))
    if not experts and not latent:
        return {"model_type": "mistral", "architectures": ["MistralForCausalLM"]}
    if not experts or not experts.get("num_shared_experts"):
        raise _unsupported("moe", "experts of this kind")
    return {
        **{new: experts[old] for old, new in _EXPERT_KEYS.items() if old in experts},
        "model_type": "deepseek_v3",
        "architectures": ["MistralLarge3ForCausalLM"],
        "topk_method": None,
        "norm_topk_prob": True,
        "scoring_func": "softmax",
    }


def _with_rope(config: Json) -> Json:
    yarn = _section(config.pop("yarn", None))
    if not yarn:
        return config
    rope: Json = {"rope_type": "yarn", "rope_theta": config.pop("rope_theta", 10000.0)}
    for key in ("factor", "original_max_position_embeddings"):
        if key in yarn:
            rope[key] = yarn[key]
    return {**config, "rope_parameters": rope}


def _with_windows(config: Json) -> Json:
    """A list of windows as the kinds of the layers, which it repeats over."""
    windows = config.get("sliding_window")
    if not isinstance(windows, list):
        return config
    pattern = cast(list[object], windows)
    sizes = [size for size in pattern if isinstance(size, int)]
    layers = config.get("num_hidden_layers")
    if not pattern or not isinstance(layers, int) or len(set(sizes)) > 1:
        raise _unsupported("sliding_window", "windows of different sizes")
    kinds = ["sliding_attention" if size else "full_attention" for size in pattern]
    repeated = (kinds * -(-layers // len(kinds)))[:layers]
    return {**config, "layer_types": repeated, "sliding_window": sizes[0] if sizes else None}


def _with_quantization(config: Json) -> Json:
    scheme = _section(config.pop("quantization", None))
    if not scheme:
        return config
    if scheme.get("qformat_weight") == "fp8_e4m3":
        dynamic = scheme.get("qscheme_act") == "NO_SCALES"
        own: Json = {
            "quant_method": "fp8",
            "activation_scheme": "dynamic" if dynamic else "static",
        }
        return {**config, "quantization_config": own}
    method = str(scheme.get("quant_method", "")).lower().replace("_", "-")
    if method == "compressed-tensors":
        return {**config, "quantization_config": {**scheme, "quant_method": method}}
    raise _unsupported("quantization", "a quantisation of another kind")


def _audio(config: Json, whisper: Mapping[str, Any]) -> Json:
    """Whisper's keys of the encoder; a causal one stacks its frames in the text's cache."""
    encoder = _section(whisper.get("encoder_args"))
    bins = _section(encoder.get("audio_encoding_args")).get("num_mel_bins")
    found: Json = {new: encoder[old] for old, new in _AUDIO_KEYS.items() if old in encoder}
    factor = _section(whisper.get("downsample_args")).get("downsample_factor")
    for key, value in (("num_mel_bins", bins), ("downsample_factor", factor)):
        if value is not None:
            found[key] = value
    if encoder.get("causal"):
        raise _unsupported("multimodal", "a causal audio encoder")
    if encoder.get("max_source_positions") is not None:
        found["max_source_positions"] = encoder["max_source_positions"]
    return found


def _around(text: Json, model_type: str, **towers: Json) -> Json:
    """The text model's config in one with a tower, which has its quantisation."""
    classes = {
        "voxtral": "VoxtralForConditionalGeneration",
        "pixtral": "PixtralForConditionalGeneration",
    }
    whole: Json = {
        "model_type": model_type,
        "architectures": [classes[model_type]],
        "text_config": text,
        **towers,
    }
    if "quantization_config" in text:
        whole["quantization_config"] = text["quantization_config"]
    return whole


def _section(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _unsupported(key: str, what: str) -> UnsupportedArchitecture:
    return UnsupportedArchitecture(
        f"What {PARAMS_NAME} says is not understood here: {what}.",
        "Give a repository of the same model that has a config.json.",
        keys=(key,),
    )
