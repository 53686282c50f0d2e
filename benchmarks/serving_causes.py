"""Why estimates miss, judged by hand: the beginning of a run's name to the likely cause.

The first that matches counts.
"""

from __future__ import annotations

from collections.abc import Mapping

_ROCM = "ROCm's kernels lose more with the batch than those of the sources left to fit on"
_GPT_OSS_RANKS = (
    "gpt-oss over several GPUs, faster than other sources ran it; the release is not stated"
)
_STARTS_TOGETHER = (
    "few requests in rounds that start together, so each waits for the others' prompts"
)
_SERVER = "four generated tokens: the server and the scheduler bind, which differ by release"
_AMPERE_EXPERTS = "4-bit experts on Ampere, which no other source has"
_SIMILAR = "few tokens, or many alike, visit fewer experts than estimated"
_DRAFTS = "speculation: neither the acceptance nor the cost of drafting is reported"
_EXPERTS_16 = "16-bit experts at small and middling batches are read faster than estimated"
_HYBRID = "hundreds of prompts at once through recurrent layers, slower than estimated"

CAUSES: Mapping[str, str] = {
    "ROCm/vllm-dev-docker": _ROCM,
    "SemiAnalysisAI/InferenceX-828-10": "a run its authors mark as short of KV cache, of which "
    "the memory engine sees enough",
    "SemiAnalysisAI/InferenceX-828": _GPT_OSS_RANKS,
    "SemiAnalysisAI/InferenceX-1061": "4-bit experts on Instinct, which no other source has",
    "SemiAnalysisAI/InferenceX-832": _STARTS_TOGETHER,
    "SemiAnalysisAI/InferenceX-app-454-2": "slower on B200 than the same on H200: kernels that "
    "were not ready for the card",
    "gpustack/gpustack-deepseek-v3.2-h200-2": "replicas that share experts wait for the slowest, "
    "which is not modelled",
    "gpustack/gpustack-gpt-oss-120b-h100-5": "pipeline stages idle between batches, which is not "
    "modelled",
    "gpustack/gpustack-gpt-oss-120b-h100-6": _SERVER,
    "gpustack/gpustack-gpt-oss-20b-a100-8": _SERVER,
    "gpustack/gpustack-qwen3-14b-a100-7": _SERVER,
    "gpustack/gpustack-gpt-oss-20b-a100": _AMPERE_EXPERTS,
    "gpustack/gpustack-gpt-oss-20b-h100": "a burst: the median of times that are spread widely",
    "gpustack/gpustack-gpt-oss-120b-h100": "a burst: the median of times that are spread widely",
    "gpustack/gpustack-qwen3.5-35b-a3b-h200-latency-1": _EXPERTS_16,
    "gpustack/gpustack-qwen3.5-35b-a3b-h200-latency-3": _EXPERTS_16,
    "gpustack/gpustack-qwen3.5-35b-a3b-h200-latency": _DRAFTS,
    "gpustack/gpustack-qwen3.5-35b-a3b-h200-4": _EXPERTS_16,
    "gpustack/gpustack-qwen3.5-35b-a3b-h200": _HYBRID,
    "tenstorrent/tt-inference-server-143-5": "prefix hits: more than the harness's rules say",
    "tenstorrent/tt-inference-server-340": _SIMILAR,
    "tenstorrent/tt-inference-server-394": "the first request of a series, slower than later ones",
    "vllm-project/recipes-476": "a 3B model on Instinct: launching its kernels binds",
    "vllm-project/vllm-25135": "MXFP4 on MI355X, whose 4-bit matrix units are not in the catalogue",
    "vllm-project/vllm-28992": "prompts of two tokens on eight GPUs: launching and summing bind",
}
