"""What each decoder family fixes in its model class and its config does not say.

One entry per `model_type`. A fact a config does state (attention_bias, head_dim,
tie_word_embeddings, …) is read from the config; these are the facts of the model
class (transformers `modeling_*.py`, vLLM 0.33 `model_executor/models/*.py`), and
`defaults` are the values the family's config class fills in for absent keys
(transformers `configuration_*.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class DecoderTraits:
    """The class-level facts of a decoder family.

    `qkv_bias` and `output_bias` are None where the config's own key decides.
    `norms` counts hidden-size norms per layer. `mlp_bias` likewise None for the key.
    `learned_positions` is the offset of a learned position table, None without one.
    `window_layers` says how sliding windows are laid out when no `layer_types` does.
    """

    qkv_bias: bool | None = None
    output_bias: bool | None = None
    mlp_bias: bool | None = None
    qk_norm: Literal["none", "head", "projection"] = "none"
    qk_norm_key: str = ""
    gated_mlp: bool = True
    norms: int = 2
    norm_bias: bool = False
    norm_weight: bool = True
    embedding_norm: bool = False
    final_norm: bool = True
    tied: bool = False
    lm_head_bias: bool = False
    rotary: bool = True
    learned_positions: int | None = None
    sinks: bool = False
    expert_bias: bool = False
    correction_bias: bool = False
    router_bias: bool = False
    shared_expert_gate: bool = False
    gated_output: bool = False
    window_layers: Literal["none", "all", "even", "pattern", "max_window_layers"] = "none"
    window_pattern: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])


_GPT2 = {"n_ctx": 1024}

TRAITS: Mapping[str, DecoderTraits] = {
    # dense
    "llama": DecoderTraits(),
    "mistral": DecoderTraits(qkv_bias=False, output_bias=False, window_layers="all"),
    "ministral3": DecoderTraits(qkv_bias=False, output_bias=False, window_layers="all"),
    "qwen2": DecoderTraits(
        qkv_bias=True, output_bias=False, mlp_bias=False, window_layers="max_window_layers"
    ),
    "qwen3": DecoderTraits(qk_norm="head", window_layers="max_window_layers"),
    "gemma": DecoderTraits(tied=True, defaults={"head_dim": 256}),
    "gemma2": DecoderTraits(norms=4, tied=True, window_layers="even", defaults={"head_dim": 256}),
    "gemma3_text": DecoderTraits(
        norms=4,
        qk_norm="head",
        tied=True,
        window_layers="pattern",
        window_pattern=6,
        defaults={
            "vocab_size": 262208,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "max_position_embeddings": 131072,
            "sliding_window": 4096,
        },
    ),
    "phi3": DecoderTraits(qkv_bias=False, output_bias=False, window_layers="all"),
    "phi": DecoderTraits(
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated_mlp=False,
        norms=1,
        norm_bias=True,
        lm_head_bias=True,
    ),
    "phi3small": DecoderTraits(
        qkv_bias=True, output_bias=True, mlp_bias=True, norm_bias=True, tied=True
    ),
    "glm": DecoderTraits(output_bias=False, defaults={"attention_bias": True}),
    "glm4": DecoderTraits(norms=4, output_bias=False, defaults={"attention_bias": True}),
    "glm4v_text": DecoderTraits(norms=4, qkv_bias=True, output_bias=False),
    "chatglm": DecoderTraits(output_bias=False),
    "granite": DecoderTraits(),
    "granite_swa": DecoderTraits(window_layers="all"),
    "olmo": DecoderTraits(norm_weight=False),
    "olmo2": DecoderTraits(qk_norm="projection"),
    "olmo3": DecoderTraits(qk_norm="projection", window_layers="pattern", window_pattern=4),
    "cohere": DecoderTraits(norms=1, tied=True, qk_norm="projection", qk_norm_key="use_qk_norm"),
    "cohere2": DecoderTraits(norms=1, tied=True, window_layers="pattern", window_pattern=4),
    "internlm": DecoderTraits(),
    "internlm2": DecoderTraits(),
    "internlm3": DecoderTraits(),
    "exaone": DecoderTraits(qkv_bias=False, output_bias=False),
    "exaone4": DecoderTraits(qk_norm="head", window_layers="pattern", window_pattern=4),
    "smollm3": DecoderTraits(),
    "seed_oss": DecoderTraits(defaults={"attention_bias": True, "attention_out_bias": False}),
    "mimo": DecoderTraits(qkv_bias=True, output_bias=False),
    "apertus": DecoderTraits(qk_norm="head", gated_mlp=False),
    "hunyuan_v1_dense": DecoderTraits(qk_norm="head", qk_norm_key="use_qk_norm"),
    "ernie4_5": DecoderTraits(tied=True),
    "minicpm": DecoderTraits(),
    "baichuan": DecoderTraits(qkv_bias=False, output_bias=False),
    "qwen": DecoderTraits(qkv_bias=True, output_bias=False),
    "iquestcoder": DecoderTraits(),
    "bitnet": DecoderTraits(tied=True),
    "stablelm": DecoderTraits(output_bias=False, norm_bias=True),
    "starcoder2": DecoderTraits(
        gated_mlp=False, norm_bias=True, tied=True, window_layers="all", defaults={"use_bias": True}
    ),
    "nemotron": DecoderTraits(gated_mlp=False, norm_bias=True),
    "arcee": DecoderTraits(gated_mlp=False),
    "falcon": DecoderTraits(gated_mlp=False, norm_bias=True, tied=True),
    "gpt_neox": DecoderTraits(
        gated_mlp=False, mlp_bias=True, norm_bias=True, defaults={"attention_bias": True}
    ),
    "gptj": DecoderTraits(
        qkv_bias=False,
        output_bias=False,
        gated_mlp=False,
        mlp_bias=True,
        norms=1,
        norm_bias=True,
        lm_head_bias=True,
    ),
    "gpt2": DecoderTraits(
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated_mlp=False,
        norm_bias=True,
        tied=True,
        rotary=False,
        learned_positions=0,
        defaults=_GPT2,
    ),
    "gpt_bigcode": DecoderTraits(
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated_mlp=False,
        norm_bias=True,
        tied=True,
        rotary=False,
        learned_positions=0,
        defaults=_GPT2,
    ),
    "opt": DecoderTraits(
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated_mlp=False,
        norm_bias=True,
        tied=True,
        rotary=False,
        learned_positions=2,
    ),
    "bloom": DecoderTraits(
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated_mlp=False,
        norm_bias=True,
        embedding_norm=True,
        tied=True,
        rotary=False,
    ),
    "mpt": DecoderTraits(
        qkv_bias=False, output_bias=False, gated_mlp=False, tied=True, rotary=False
    ),
    # mixtures of experts
    "mixtral": DecoderTraits(qkv_bias=False, output_bias=False, window_layers="all"),
    "qwen2_moe": DecoderTraits(
        qkv_bias=True,
        output_bias=False,
        shared_expert_gate=True,
        window_layers="max_window_layers",
    ),
    "qwen3_moe": DecoderTraits(qk_norm="head", window_layers="max_window_layers"),
    "qwen3_omni_moe_text": DecoderTraits(qk_norm="head"),
    "qwen3_vl_moe_text": DecoderTraits(qk_norm="head"),
    "qwen3_vl_text": DecoderTraits(qk_norm="head"),
    "qwen2_vl_text": DecoderTraits(qkv_bias=True, output_bias=False, mlp_bias=False),
    "qwen2_5_vl_text": DecoderTraits(qkv_bias=True, output_bias=False, mlp_bias=False),
    "granitemoe": DecoderTraits(tied=True),
    "granitemoeshared": DecoderTraits(tied=True),
    "phimoe": DecoderTraits(norm_bias=True, window_layers="all"),
    "olmoe": DecoderTraits(qk_norm="projection"),
    "flex_olmo": DecoderTraits(qk_norm="projection"),
    "minimax_m2": DecoderTraits(qk_norm="projection", correction_bias=True),
    "glm4_moe": DecoderTraits(
        output_bias=False, qk_norm="head", qk_norm_key="use_qk_norm", correction_bias=True
    ),
    "gpt_oss": DecoderTraits(
        sinks=True,
        expert_bias=True,
        router_bias=True,
        window_layers="even",
        defaults={"attention_bias": True},
    ),
    "ernie4_5_moe": DecoderTraits(tied=True, correction_bias=True),
    "bailing_moe": DecoderTraits(),
    "deepseek": DecoderTraits(),
    "hunyuan": DecoderTraits(qk_norm="head", qk_norm_key="use_qk_norm"),
    "hunyuan_v1_moe": DecoderTraits(qk_norm="head", qk_norm_key="use_qk_norm"),
    "dbrx": DecoderTraits(norms=2),
    "solar_open": DecoderTraits(correction_bias=True),
    "kolibri1": DecoderTraits(),
    "mellum": DecoderTraits(qk_norm="head"),
}
