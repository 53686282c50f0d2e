"""Mixture-of-experts decoder families: the facts of their model classes (see `traits`)."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.parts.decoder_traits import DecoderTraits

_STEP = DecoderTraits(
    mixture=True,
    qk_norm="head",
    output_gate="head",
    correction_bias=True,
    predictor="step",
    transformers_backend=True,
    defaults={"first_k_dense_replace": 3},
)

MIXTURES: Mapping[str, DecoderTraits] = {
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
    "cohere2_moe": DecoderTraits(
        mixture=True,
        norms=1,
        tied=True,
        window_layers="pattern",
        window_pattern=4,
        window_extra=1,
    ),
    "granitemoe_swa": DecoderTraits(
        mixture=True, sinks=True, window_layers="pattern", window_pattern=4, window_phase=0
    ),
    "bailing_moe_v2": DecoderTraits(mixture=True, qk_norm="head", qk_norm_key="use_qk_norm"),
    "sarvam_moe": DecoderTraits(mixture=True, qk_norm="head", qk_norm_key="use_qk_norm"),
    "param2moe": DecoderTraits(
        mixture=True, qk_norm="head", qk_norm_key="use_qk_norm", correction_bias=True
    ),
    "mimo_v2": DecoderTraits(mixture=True, output_bias=False, correction_bias=True),
    "openai_privacy_filter": DecoderTraits(
        mixture=True,
        sinks=True,
        expert_bias=True,
        router_bias=True,
        defaults={"attention_bias": True},
    ),
    "beam": DecoderTraits(
        mixture=True,
        norms=4,
        qk_norm="head",
        output_gate="projection",
        correction_bias=True,
        router_dtype="float32",
        window_layers="pattern",
        window_pattern=6,
    ),
    "interns1_pro_text": DecoderTraits(mixture=True, qk_norm="head"),
    "PanguProMoE": DecoderTraits(
        mixture=True, output_bias=False, qk_norm="key", more_norms_key="sandwich_norm"
    ),
    "aria_text": DecoderTraits(mixture=True),
}
