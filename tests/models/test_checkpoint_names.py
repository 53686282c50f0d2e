"""A checkpoint's name: what it was made from, and the storage it claims."""

from __future__ import annotations

import pytest

from vllm_preflight.models.checkpoint_names import read_name


@pytest.mark.parametrize(
    ("model", "base", "precision"),
    [
        ("Qwen/Qwen3-8B", "Qwen3-8B", None),
        ("Qwen/Qwen3-8B-FP8", "Qwen3-8B", "fp8"),
        ("RedHatAI/Qwen3-8B-FP8-dynamic", "Qwen3-8B", "fp8"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "Llama-3.1-8B-Instruct", "w4a16"),
        (
            "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4",
            "Llama-3.1-8B-Instruct",
            "awq",
        ),
        ("Qwen/Qwen3.5-27B-GPTQ-Int4", "Qwen3.5-27B", "gptq-int4"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8", "Qwen2.5-7B-Instruct", "gptq-int8"),
        ("nvidia/DeepSeek-V3-FP4", "DeepSeek-V3", "nvfp4"),
        ("nvidia/DeepSeek-R1-0528-NVFP4-v2", "DeepSeek-R1-0528", "nvfp4"),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2-FP8", "NVIDIA-Nemotron-Nano-9B-v2", "fp8"),
        ("google/gemma-4-12B-it-qat-w4a16-ct", "gemma-4-12B-it", "w4a16"),
        ("amd/gpt-oss-120b-w-mxfp4-a-fp8", "gpt-oss-120b", "mxfp4"),
        ("RedHatAI/Hy3-NVFP4-FP8", "Hy3", "other"),
        ("unsloth/Qwen3-8B-bnb-4bit", "Qwen3-8B", "bitsandbytes"),
        ("Qwen/Qwen3-8B-GGUF", "Qwen3-8B", "other"),
        ("zai-org/GLM-4.5", "GLM-4.5", None),
        ("zai-org/GLM-4.5-FP8", "GLM-4.5", "fp8"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "Mistral-7B-Instruct-v0.3", None),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "NVIDIA-Nemotron-3-Nano-30B-A3B", "16-bit"),
        ("fp8", "fp8", None),
    ],
)
def test_names_are_taken_apart(model: str, base: str, precision: str | None) -> None:
    name = read_name(model)
    assert (name.base, name.precision) == (base, precision)
    assert name.organisation == model.rpartition("/")[0]
