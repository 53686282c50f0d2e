"""Why estimates miss: by what a run shows, else judged by hand from its name."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.serving_runs import Run

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

# The beginning of a run's name to the likely cause; the first that matches counts.
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

_LIMITED = (
    "the server ran fewer at once than were sent, by a setting that is not shown: a token takes "
    "as long as with few"
)
_AT_THE_LIMIT = (
    "in flight are about as many as the KV cache holds, so that a little more or less cache "
    "decides whether requests wait"
)
_COLD = "the time to first token is 50 ms or more off at a handful of requests: the first runs of "
_COLD += "a series, or another server and client"
_OLD_HOST = "hundreds of streams on a release that schedules between steps: its host work binds"
_UNSTATED = "the release is not stated; that of the day was taken"
# Against what fits: from half to twice as many in flight.
_NEAR = 2.0
_FAR_OFF = 3.0
_FEW = 16
_MANY = 100


def cause_of(run: Run) -> str:
    """The likely cause of a miss."""
    case, facts = run.case, run.facts
    flight = (case.concurrency or 1) / facts.launch.data_parallel_size
    holds = min(facts.cached_requests, float(facts.launch.max_num_seqs))
    measured = case.observed
    ttft, tpot = measured.get("ttft_ms"), measured.get("tpot_ms")
    if named := next((why for start, why in CAUSES.items() if case.id.startswith(start)), None):
        return named
    if ttft and tpot and ttft > _FAR_OFF * tpot * case.output_len and flight < holds:  # type: ignore[operator]
        return _LIMITED
    if flight > holds / _NEAR:
        return _AT_THE_LIMIT
    if not facts.launch.async_scheduling and flight >= _MANY:
        return _OLD_HOST
    if flight <= _FEW and ttft:
        return _COLD
    return _UNSTATED if case.version_basis != "stated" else "not explained"
