"""What was judged by hand about measured serving runs, with the reason."""

from __future__ import annotations

from typing import Any

_TENSTORRENT = "https://github.com/tenstorrent/tt-inference-server/issues/"
_INFERENCEX = "github.com/SemiAnalysisAI/InferenceX"

# (first day, release): the vLLM release to expect where a source names none. Days are
# rough, from the versions that dated start-up logs and reports show.
RELEASES: tuple[tuple[str, str], ...] = (
    ("2025-03-15", "0.8.0"),
    ("2025-05-25", "0.9.0"),
    ("2025-07-25", "0.10.0"),
    ("2025-10-02", "0.11.0"),
    ("2025-12-15", "0.13.0"),
    ("2026-02-01", "0.15.0"),
    ("2026-03-01", "0.16.0"),
    ("2026-04-01", "0.18.0"),
    ("2026-05-01", "0.20.0"),
    ("2026-06-15", "0.23.0"),
    ("2026-09-01", "0.29.0"),
)

# Reference runs of a harness that drives vLLM's own benchmark; the pages show no engine.
ENGINE_LIKELY = frozenset({f"{_TENSTORRENT}{number}" for number in (143, 340, 394)})

# As written -> (catalogue id, what --quantization makes of it).
MODELS: dict[str, tuple[str, str | None]] = {
    "Qwen3.5-4B": ("Qwen/Qwen3.5-4B", None),
    "Qwen3.8-27B-FP8": ("Qwen/Qwen3.8-27B", "fp8_per_block"),
    "Qwen/Qwen3-14B-FP8": ("Qwen/Qwen3-14B", "fp8_per_block"),
    "Qwen/Qwen3-14B-AWQ": ("Qwen/Qwen3-14B", "awq"),
    "Qwen/Qwen3.5-35B-A3B-FP8": ("Qwen/Qwen3.5-35B-A3B", "fp8_per_block"),
    "amd/Llama-3.1-70B-Instruct-FP8-KV": ("meta-llama/Llama-3.1-70B-Instruct", "fp8"),
    "amd/Llama-3.1-405B-Instruct-FP8-KV": ("meta-llama/Meta-Llama-3.1-405B", "fp8"),
    "nvidia/Llama-3.3-70B-Instruct-FP8": ("meta-llama/Llama-3.3-70B-Instruct", "modelopt"),
    "nvidia/Llama-3.3-70B-Instruct-FP4": ("meta-llama/Llama-3.3-70B-Instruct", "nvfp4"),
    "zai-org/GLM-4.6-FP8": ("zai-org/GLM-4.6", "compressed-tensors"),
    "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8": (
        "Qwen/Qwen3-235B-A22B-Instruct-2507",
        "fp8_per_block",
    ),
    "Llama 3.1 405B fp4": ("meta-llama/Meta-Llama-3.1-405B", "mxfp4"),
}

# Checkpoints that keep their KV cache in FP8, planned by one that says nothing of it.
NARROW_CACHE = frozenset({"nvidia/Llama-3.3-70B-Instruct-FP8", "nvidia/Llama-3.3-70B-Instruct-FP4"})

# Runs with random prompts, for which their harness turns prefix caching off.
RANDOM_PROMPTS = ("aic-silicon/",)

# (model, GPU) of a campaign whose servers kept more than a launch by default holds: 512
# requests of 1,844 tokens in flight on two B200 did not queue, nor 32 of 8,295 on four H100.
CACHE_SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("MiniMaxAI/MiniMax-M2.5", "B200"): {
        "gpu_memory_utilization": 0.95,
        "kv_cache_dtype": "fp8",
    },
    ("MiniMaxAI/MiniMax-M2.5", "H100"): {"gpu_memory_utilization": 0.95},
}

# Replicas were inferred for these runs; up to this day the same figures, to a percent, are
# also listed for tensor parallelism, so what ran is not known.
LAYOUT_INFERRED = ("replica layout inferred", "2026-04-22")

# A100 cards of these runs hold models that need 80 GB, or are named so elsewhere.
GPUS = {"A100": "A100 SXM4 80GB"}

# Harnesses that draw lengths from a range below the nominal ones: mean share of them.
NOMINAL = {_INFERENCEX: 0.9}

# "Short" prompts whose length is not shown; taken as this many tokens, for fitting only.
SHORT_PROMPT = {
    "https://ld-singh.github.io/ai-factory-ops-lab/portfolio-lab/06-validation-reports/"
    "inference-benchmark-report/": 64
}

# Series of runs with one seed: prompt tokens -> tokens an earlier run of it had sent. Times
# to first token there hardly grow with the prompt, and imply more FLOPS than the GPU has.
# The 72B model's cache is too small to keep the longer prompts.
SHARED_PREFIX: dict[str, dict[int, int]] = {
    f"{_TENSTORRENT}143": {1024: 128, 2048: 1024},
    f"{_TENSTORRENT}340": {1024: 128, 2048: 1024, 3072: 2048, 4096: 3072},
    f"{_TENSTORRENT}394": {1024: 128, 2048: 1024, 3072: 2048, 4096: 3072},
}

FLAGS: dict[str, dict[str, Any]] = {
    # Named by the harness's page: prefix caching off for random prompts.
    "SemiAnalysisAI/*": {"enable_prefix_caching": False},
    # One GPU of this kind holds the model in 16 bit.
    "tenstorrent/tt-inference-server-340*": {"tensor_parallel_size": 1},
}

FIT_ONLY: dict[str, str] = {
    "ld-singh*": "the prompt's length is not shown",
}

# Figures that hang on what is not shown.
DROPPED: dict[str, tuple[str, ...]] = {
    "ld-singh*": ("ttft_ms", "output_tokens_per_s"),
}

EXCLUDED: dict[str, str] = {
    "ROCm/vllm-dev-docker-throughput-3": "whether prompts count in the throughput is not said",
    "ROCm/vllm-dev-docker-throughput-4": "whether prompts count in the throughput is not said",
    "ROCm/vllm-dev-docker-throughput-7": "whether prompts count in the throughput is not said",
    "ROCm/vllm-dev-docker-throughput-8": "whether prompts count in the throughput is not said",
    "ld-singh-a6000-4": "the lengths are not shown",
    "ld-singh-a6000-5": "the lengths are not shown",
    "ld-singh-a6000-6": "the lengths are not shown",
    "ld-singh-a6000-7": "the lengths are not shown",
    "ROCm/vllm-375*": "before vLLM 0.8: the V0 engine, which is not modelled",
}
