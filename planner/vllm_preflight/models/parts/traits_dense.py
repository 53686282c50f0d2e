"""Dense decoder families: the facts of their model classes (see `traits`)."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.parts.decoder_traits import DecoderTraits

_GPT2 = {"n_positions": 1024}
_GLM = {"attention_bias": True, "partial_rotary_factor": 0.5}

_GLM_OCR = {"partial_rotary_factor": 0.5}

DENSE: Mapping[str, DecoderTraits] = {
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
    "glm": DecoderTraits(output_bias=False, defaults=_GLM, transformers_backend=True),
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
    # A layer sees its window and the token itself (vLLM 0.30 and later).
    "cohere2": DecoderTraits(
        norms=1, tied=True, window_layers="pattern", window_pattern=4, window_extra=1
    ),
    "cohere_compass_text": DecoderTraits(norms=1, tied=True),
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
    "hyperclovax": DecoderTraits(more_norms_key="use_post_norm"),
    "orion": DecoderTraits(norm_bias=True),
    "solar": DecoderTraits(),
    "step1": DecoderTraits(rotary=False, tied=True),
    "telechat": DecoderTraits(qkv_bias=False, output_bias=True, mlp_bias=True),
    "telechat3": DecoderTraits(),
    "TeleFLM": DecoderTraits(),
    "nanbeige": DecoderTraits(transformers_backend=True),
    "jais2": DecoderTraits(
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated_mlp=False,
        norm_bias=True,
        transformers_backend=True,
    ),
    "vaultgemma": DecoderTraits(transformers_backend=True),
    "domyn_edge": DecoderTraits(norms=4, qk_norm="key"),
    "plamo3": DecoderTraits(norms=4, qk_norm="head"),
    "PanguEmbedded": DecoderTraits(output_bias=True),
    "llama_bidirec": DecoderTraits(),
    "qwen3_asr_text": DecoderTraits(qk_norm="head"),
    "glm_ocr_text": DecoderTraits(norms=4, output_bias=False, defaults=_GLM_OCR),
    "cosmos3_edge_text": DecoderTraits(gated_mlp=False),
    "paddleocr_vl_text": DecoderTraits(tied=True),
    "granite4_vision_text": DecoderTraits(),
    "ultrabert": DecoderTraits(),
}
