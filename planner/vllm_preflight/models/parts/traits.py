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
    `qk_norm_split` says the norm of a whole projection is divided with its heads;
    `qk_norm_unscaled` norms have no weight, but vLLM builds one of ones. `chunked`
    layers attend within chunks of `attention_chunk_size` tokens.
    `output_gate` adds a gate on the attention's output, one value per head or per
    feature. `learned_positions` is the offset of a learned position table, None
    without one; `causal_mask` a mask over all positions, `stored_mask` one per layer
    that only the checkpoint has. `activation_parameters` counts learned scalars of the
    activation. `mixture` families route to experts and their configs say to how many.
    `window_layers` says how sliding windows are laid out when no `layer_types` does: in
    a pattern, layer i is global where (i + `window_phase`) is a multiple of
    `window_pattern`, from the end where the layers left after i are.
    `predictor` names the layout of multi-token-prediction layers, which load only when
    speculating. `transformers_backend` marks families vLLM 0.33 runs through
    transformers' own modules, which keep inverse frequencies instead of a rotary table.
    `headless` text models have no class of their own that generates: without a named
    class vLLM runs them for embeddings.
    """

    qkv_bias: bool | None = None
    output_bias: bool | None = None
    mlp_bias: bool | None = None
    qk_norm: Literal["none", "head", "projection"] = "none"
    qk_norm_key: str = ""
    qk_norm_split: bool = False
    qk_norm_unscaled: bool = False
    chunked: bool = False
    output_gate: Literal["none", "head", "projection"] = "none"
    gated_mlp: bool = True
    split_mlp: bool = True
    activation_parameters: int = 0
    norms: int = 2
    norm_bias: bool = False
    norm_weight: bool = True
    embedding_norm: bool = False
    final_norm: bool = True
    tied: bool = False
    lm_head_bias: bool = False
    rotary: bool = True
    learned_positions: int | None = None
    causal_mask: bool = False
    stored_mask: bool = False
    sinks: bool = False
    expert_bias: bool = False
    correction_bias: bool = False
    router_bias: bool = False
    mixture: bool = False
    router_dtype: str | None = None
    shared_expert_gate: bool = False
    predictor: Literal["none", "glm", "mimo", "step"] = "none"
    transformers_backend: bool = False
    headless: bool = False
    window_layers: Literal["none", "all", "even", "pattern", "from_end", "max_window_layers"] = (
        "none"
    )
    window_pattern: int = 0
    window_phase: int = 1
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])


_GPT2 = {"n_positions": 1024}
_GLM = {"attention_bias": True, "partial_rotary_factor": 0.5}

_STEP = DecoderTraits(
    mixture=True,
    qk_norm="head",
    output_gate="head",
    correction_bias=True,
    predictor="step",
    transformers_backend=True,
    defaults={"first_k_dense_replace": 3},
)

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
            "rope_local_base_freq": 10000.0,
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
        transformers_backend=True,
    ),
    "phi3small": DecoderTraits(
        qkv_bias=True, output_bias=True, mlp_bias=True, norm_bias=True, tied=True
    ),
    "glm": DecoderTraits(output_bias=False, defaults=_GLM),
    "glm4": DecoderTraits(norms=4, output_bias=False, defaults=_GLM),
    "glm4v_text": DecoderTraits(norms=4, qkv_bias=True, output_bias=False, defaults=_GLM),
    "chatglm": DecoderTraits(output_bias=False, defaults={"partial_rotary_factor": 0.5}),
    "granite": DecoderTraits(),
    "granite_swa": DecoderTraits(
        tied=True, sinks=True, window_layers="pattern", window_pattern=4, window_phase=0
    ),
    "olmo": DecoderTraits(norm_weight=False, transformers_backend=True),
    "olmo2": DecoderTraits(qk_norm="projection", transformers_backend=True),
    "olmo3": DecoderTraits(
        qk_norm="projection", window_layers="pattern", window_pattern=4, transformers_backend=True
    ),
    "cohere": DecoderTraits(
        norms=1, tied=True, qk_norm="projection", qk_norm_key="use_qk_norm", qk_norm_split=True
    ),
    "cohere2": DecoderTraits(norms=1, tied=True, window_layers="pattern", window_pattern=4),
    "internlm": DecoderTraits(),
    "internlm2": DecoderTraits(),
    "internlm3": DecoderTraits(),
    "exaone": DecoderTraits(qkv_bias=False, output_bias=False),
    "exaone4": DecoderTraits(qk_norm="head", window_layers="pattern", window_pattern=4),
    "smollm3": DecoderTraits(tied=True, transformers_backend=True),
    "seed_oss": DecoderTraits(
        defaults={"attention_bias": True, "attention_out_bias": False}, transformers_backend=True
    ),
    "mimo": DecoderTraits(qkv_bias=True, output_bias=False, predictor="mimo"),
    "apertus": DecoderTraits(qk_norm="head", gated_mlp=False, activation_parameters=4),
    "hunyuan_v1_dense": DecoderTraits(qk_norm="head", transformers_backend=True),
    "ernie4_5": DecoderTraits(tied=True),
    "minicpm": DecoderTraits(),
    "baichuan": DecoderTraits(qkv_bias=False, output_bias=False),
    "qwen": DecoderTraits(qkv_bias=True, output_bias=False),
    "iquestcoder": DecoderTraits(),
    "muse_glimmer_text": DecoderTraits(
        norms=4,
        output_gate="projection",
        window_layers="from_end",
        window_pattern=4,
        transformers_backend=True,
        headless=True,
    ),
    "molmo2_text": DecoderTraits(qk_norm="head", output_bias=False),
    "cwm": DecoderTraits(
        window_layers="pattern", window_pattern=4, window_phase=0, transformers_backend=True
    ),
    "bitnet": DecoderTraits(tied=True),
    "stablelm": DecoderTraits(
        output_bias=False,
        norm_bias=True,
        qk_norm="projection",
        qk_norm_key="qk_layernorm",
        qk_norm_split=True,
        defaults={"partial_rotary_factor": 0.25},
    ),
    "starcoder2": DecoderTraits(
        gated_mlp=False,
        norm_bias=True,
        tied=True,
        window_layers="all",
        transformers_backend=True,
        defaults={"use_bias": True},
    ),
    "nemotron": DecoderTraits(
        gated_mlp=False, norm_bias=True, defaults={"partial_rotary_factor": 0.5}
    ),
    "arcee": DecoderTraits(gated_mlp=False),
    "falcon": DecoderTraits(gated_mlp=False, norm_bias=True, tied=True),
    "gpt_neox": DecoderTraits(
        gated_mlp=False,
        mlp_bias=True,
        norm_bias=True,
        stored_mask=True,
        transformers_backend=True,
        defaults={"attention_bias": True},
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
        stored_mask=True,
        learned_positions=0,
        defaults=_GPT2,
    ),
    "gpt_bigcode": DecoderTraits(
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        split_mlp=False,
        causal_mask=True,
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
    "mixtral": DecoderTraits(mixture=True, qkv_bias=False, output_bias=False, window_layers="all"),
    "qwen2_moe": DecoderTraits(
        mixture=True,
        qkv_bias=True,
        output_bias=False,
        shared_expert_gate=True,
        window_layers="max_window_layers",
    ),
    "qwen3_moe": DecoderTraits(mixture=True, qk_norm="head", window_layers="max_window_layers"),
    "llama4_text": DecoderTraits(
        mixture=True,
        mlp_bias=False,
        qk_norm_unscaled=True,
        chunked=True,
        defaults={"n_shared_experts": 1, "num_local_experts": 16, "num_experts_per_tok": 1},
    ),
    "qwen3_omni_moe_text": DecoderTraits(mixture=True, qk_norm="head"),
    "qwen3_vl_moe_text": DecoderTraits(mixture=True, qk_norm="head"),
    "qwen3_vl_text": DecoderTraits(qk_norm="head"),
    "qwen2_vl_text": DecoderTraits(qkv_bias=True, output_bias=False, mlp_bias=False),
    "qwen2_5_vl_text": DecoderTraits(qkv_bias=True, output_bias=False, mlp_bias=False),
    "qwen2_5_omni_text": DecoderTraits(qkv_bias=True, output_bias=False, mlp_bias=False),
    "granitemoe": DecoderTraits(mixture=True),
    "granitemoeshared": DecoderTraits(mixture=True),
    "phimoe": DecoderTraits(mixture=True, norm_bias=True, window_layers="all"),
    "olmoe": DecoderTraits(mixture=True, qk_norm="projection"),
    "flex_olmo": DecoderTraits(mixture=True, qk_norm="projection", transformers_backend=True),
    "minimax_m2": DecoderTraits(
        mixture=True,
        qk_norm="projection",
        qk_norm_split=True,
        correction_bias=True,
        router_dtype="float32",
    ),
    "glm4_moe": DecoderTraits(
        mixture=True,
        output_bias=False,
        qk_norm="head",
        qk_norm_key="use_qk_norm",
        correction_bias=True,
        router_dtype="float32",
        predictor="glm",
        defaults={"vocab_size": 151552},
    ),
    "glm4v_moe_text": DecoderTraits(
        mixture=True,
        output_bias=False,
        correction_bias=True,
        router_dtype="float32",
        predictor="glm",
    ),
    "gpt_oss": DecoderTraits(
        mixture=True,
        sinks=True,
        expert_bias=True,
        router_bias=True,
        window_layers="even",
        defaults={"attention_bias": True},
    ),
    "ernie4_5_moe": DecoderTraits(
        mixture=True, tied=True, correction_bias=True, router_dtype="float32"
    ),
    "bailing_moe": DecoderTraits(mixture=True, qk_norm="head", qk_norm_key="use_qk_norm"),
    "deepseek": DecoderTraits(mixture=True),
    "hunyuan": DecoderTraits(mixture=True, qk_norm="head", qk_norm_key="use_qk_norm"),
    "hunyuan_v1_moe": DecoderTraits(mixture=True, qk_norm="head", qk_norm_key="use_qk_norm"),
    "dbrx": DecoderTraits(mixture=True),
    "dots1": DecoderTraits(mixture=True, qk_norm="head", correction_bias=True),
    "hy_v3": DecoderTraits(
        mixture=True,
        qk_norm="head",
        correction_bias=True,
        router_dtype="float32",
        transformers_backend=True,
        defaults={"first_k_dense_replace": 1},
    ),
    "exaone_moe": DecoderTraits(
        mixture=True,
        qk_norm="head",
        correction_bias=True,
        window_layers="pattern",
        window_pattern=4,
        defaults={"first_k_dense_replace": 1},
    ),
    "afmoe": DecoderTraits(
        mixture=True,
        norms=4,
        qk_norm="head",
        output_gate="projection",
        correction_bias=True,
        window_layers="pattern",
        window_pattern=4,
        defaults={"num_dense_layers": 1},
    ),
    "laguna": DecoderTraits(
        mixture=True,
        qk_norm="head",
        output_gate="head",
        correction_bias=True,
        transformers_backend=True,
        defaults={"first_k_dense_replace": 1},
    ),
    "step3p7": _STEP,
    "step3p5": _STEP,
    "mimo_v2_flash": DecoderTraits(mixture=True, output_bias=False, correction_bias=True),
    "solar_open": DecoderTraits(mixture=True, correction_bias=True, transformers_backend=True),
    "kolibri1": DecoderTraits(
        mixture=True,
        norms=4,
        qk_norm="head",
        correction_bias=True,
        window_layers="pattern",
        window_pattern=5,
        transformers_backend=True,
    ),
    "mellum": DecoderTraits(mixture=True, qk_norm="head", transformers_backend=True),
}
