"""What was judged by hand about the collected start-ups: names, reasons, doubts.

Data of `build_startup_cases.py`, kept apart from its rules.
"""

from __future__ import annotations

import re

# vLLM's own flags; anything else in a record is somebody's script.
FLAGS = frozenset(
    (
        "async_scheduling",
        "attention_backend",
        "block_size",
        "compilation_config",
        "convert",
        "cpu_offload_gb",
        "data_parallel_size",
        "decode_context_parallel_size",
        "disable_custom_all_reduce",
        "disable_log_stats",
        "disable_mm_preprocessor_cache",
        "distributed_executor_backend",
        "dtype",
        "enable_chunked_prefill",
        "enable_expert_parallel",
        "enable_mamba_cache_stochastic_rounding",
        "enable_prefix_caching",
        "enable_sleep_mode",
        "enforce_eager",
        "generation_config",
        "gpu_memory_utilization",
        "hf_overrides",
        "kv_cache_dtype",
        "kv_cache_memory_bytes",
        "kv_offloading_size",
        "limit_mm_per_prompt",
        "load_format",
        "mamba_backend",
        "mamba_cache_mode",
        "mamba_ssm_cache_dtype",
        "max_cudagraph_capture_size",
        "max_model_len",
        "max_num_batched_tokens",
        "max_num_seqs",
        "mm_processor_kwargs",
        "moe_backend",
        "num_gpu_blocks_override",
        "optimization_level",
        "performance_mode",
        "pipeline_parallel_size",
        "quantization",
        "runner",
        "skip_mm_profiling",
        "speculative_config",
        "swap_space",
        "task",
        "tensor_parallel_size",
        "trust_remote_code",
    )
)

# What a record calls its GPU -> the catalogue's name; nothing where the card is in doubt.
GPUS: tuple[tuple[str, str], ...] = (
    (r"uncertain|MiB \+|inferred|Max-Q|laptop|48GB|class \(total (?!14\.56)", ""),
    (r"\bT4\b", "T4"),
    (r"RTX ?3090", "GeForce RTX 3090"),
    (r"RTX 4090", "GeForce RTX 4090"),
    (r"RTX 3070", "GeForce RTX 3070"),
    (r"RTX 4080", "GeForce RTX 4080 16GB"),
    (r"RTX 5080", "GeForce RTX 5080"),
    (r"^RTX 5090", "GeForce RTX 5090"),
    (r"RTX A5000", "RTX A5000"),
    (
        r"RTX PRO 6000 Blackwell Server|Cloud Run nvidia-rtx-pro-6000",
        "RTX PRO 6000 Blackwell Server",
    ),
    (r"V100 32GB", "Tesla V100 SXM2 32GB"),
    # Its weights and KV cache together exceed 70 GiB.
    (r"^A100 \(run_all\.sh: single A100\)", "A100 SXM4 80GB"),
    (r"A100-SXM4-40GB|A100 40GB|A100 \(40GB-class", "A100 SXM4 40GB"),
    (r"^A40\b", "A40"),
    (r"A100-80GB-SXM|A100 80GB?|A100 \(80GB class\)|A100 SXM4", "A100 SXM4 80GB"),
    (r"H100 NVL", "H100 NVL 94GB"),
    (r"H100/A100", ""),
    (r"H100-80GB-SXM|H100 80GB HBM3|H100 80GB|^H100$|2x H100", "H100 SXM5 80GB"),
    (r"H20-3e 141GB", "H20-3e 141GB"),
    (r"(?<!G)H200", "H200 SXM 141GB"),
    (r"^B200", "B200 SXM 180GB"),
    (r"^B300", "B300 SXM 288GB"),
    (r"GH200", "GH200 96GB"),
    (r"^GB200", "GB200"),
    (r"GB10\b", "GB10"),
    (r"L40S", "L40S"),
    (r"\bL4\b", "L4"),
    (r"\bL20\b", "L20"),
)

# Words after a model's name that say its weights are not the named checkpoint's.
QUANTIZED_HINT = re.compile(
    r"w8a16|AWQ|GPTQ|int4|4-bit|served name|GGUF|DSpark|drafter|turboquant|VL boot|stage", re.I
)

# A checkpoint that is not catalogued -> a catalogued one of the same shape, and the
# quantisation that turns it into the former ("" when the stored dtype is the same).
STAND_INS: dict[str, tuple[str, str]] = {
    "Qwen/Qwen3-14B-AWQ": ("Qwen/Qwen3-14B", "awq"),
    "Qwen/Qwen2.5-14B-Instruct-AWQ": ("Qwen/Qwen2.5-14B-Instruct", "awq"),
    "Qwen2.5-14B-Instruct-AWQ": ("Qwen/Qwen2.5-14B-Instruct", "awq"),
    "Qwen2.5-7B-Instruct-AWQ": ("Qwen/Qwen2.5-7B-Instruct", "awq"),
    "Qwen/Qwen2.5-Coder-32B-Instruct-AWQ": ("Qwen/Qwen2.5-Coder-32B-Instruct", "awq"),
    "Qwen/Qwen2.5-Coder-32B-Instruct-GPTQ-Int4": ("Qwen/Qwen2.5-Coder-32B-Instruct", "gptq"),
    "Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8": ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "fp8"),
    "Qwen3-Coder-30B-A3B-Instruct-FP8": ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "fp8"),
    "Qwen3-VL-4B-Instruct-FP8": ("Qwen/Qwen3-VL-4B-Instruct", "fp8"),
    "Qwen/Qwen3.6-35B-A3B-FP8": ("Qwen/Qwen3.6-35B-A3B", "fp8"),
    "Qwen/Qwen3.8-27B-FP8": ("Qwen/Qwen3.8-27B", "fp8"),
    "Qwen3.8-27B-FP8": ("Qwen/Qwen3.8-27B", "fp8"),
    "Qwen2.5-32b-fp8": ("Qwen/Qwen2.5-32B-Instruct", "fp8"),
    "scb10x/typhoon-ocr-7b": ("Qwen/Qwen2.5-VL-7B-Instruct", ""),
    "RedHatAI/Qwen2.5-7B-Instruct-fp8-dynamic": ("Qwen/Qwen2.5-7B-Instruct", "fp8"),
    "RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a8": ("Qwen/Qwen2.5-7B-Instruct", "int8"),
    "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8": (
        "meta-llama/Llama-3.1-8B-Instruct",
        "int8",
    ),
    "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16": (
        "meta-llama/Llama-3.1-8B-Instruct",
        "gptq",
    ),
    "RedHatAI/Mixtral-8x7B-Instruct-v0.1-FP8": ("mistralai/Mixtral-8x7B-Instruct-v0.1", "fp8"),
}

# Failures that no rule decides (running out in the profiling run counts, as in a prediction,
# as weights that leave no room); None where the record does not say which kind it was.
FAILURES: dict[str, str | None] = {
    "Agentic-Healthcare-1": "weights_do_not_fit",
    "stored-index-54765285989-2": "out_of_memory_after_sizing",
    "stored-index-69810783727-1": "out_of_memory_after_sizing",
    "storedfile-71218272218-3": "weights_do_not_fit",
    "vllm-16342-1": "out_of_memory_after_sizing",
    "vllm-17462-1": "out_of_memory_after_sizing",
    "vllm-project/vllm-42147-1": "out_of_memory_after_sizing",
    "noonghunna/club-3090-323-1": "kv_cache_too_small",
}

EXCLUDED: dict[str, str] = {
    "InternLM/turbomind-14-1": "the model is not named",
    "bench3-1": "the GPU is in doubt and its memory is not accounted for",
    "file-19069504936-1": "an embedding run whose log stops after loading",
    "file-19121599416-1": "a model of its own inside a patched engine",
    "myoceane-10289-1": "the same run as myoceane.fr-a100-gptoss20b-1",
    "stored-index-55594152188-1": "the same run as stored-index-55765941562-1",
    "stored-index-53790697037-1": "the log contradicts itself about the model",
    "vllm-project/vllm-10511-1": "an unreleased build that counts the CUDA context otherwise",
    "vllm-project/vllm-10511-2": "an unreleased build that counts the CUDA context otherwise",
    "vllm-project/vllm-omni-262-1": "another engine shared the GPU",
    "vllm-project/vllm-omni-276-1": "another engine held the GPU",
    "vllm-project/vllm-23192-1": "another process held the GPU",
    "llm-d-planner-empirical-gpt-oss-120b-tp1": "its figures add up at a share of 0.95, not at "
    "the 0.9 it names",
    "file-69080973712-0.8b-llm": "something else took 2.4 GiB of the card meanwhile",
    "file-69080973712-0.8b-serve": "something else took 2.4 GiB of the card meanwhile",
    "VedioSifter-1": "a training process shared the GPU",
    "file-67049748421-1": "another model held part of the GPU",
    "gpustack-4660-1": "an extension that takes GPU memory was on",
    "vllm-project/vllm-34076-1": "two different GPUs with a custom split of layers",
    "VideoCuttingAgent-1": "an embedding run, which only the checkpoint's modules.json tells",
    "vllm-12529-1": "the arguments as written are not what vLLM parses",
    "storedfile-55198794011-1": "a patched build",
    "stored-index-66812598096-1": "the number of GPUs is not known",
}

# CUDA-visible totals that a record does not give as a number, GiB.
TOTALS: dict[str, float] = {
    # Under WSL the driver shows all of a card's memory.
    "file-55183090307": 24.0,
    "file-55183090307-tq": 24.0,
    # The printed terms add up to more than 0.9 of what Linux shows of the card.
    "file-58522340114-cold": 23.99,
    "file-58522340114-warm": 23.99,
    # Cards of the class that the printed estimate points to show this much.
    "file-67144197265": 44.4,
    "file-54492899325": 23.53,
}

# Settings that follow from what a record says in words.
RESOLVED: dict[str, dict[str, int]] = {
    # Full graphs up to 128 sequences.
    "file-67144197265": {"max_num_seqs": 128},
}

# Whether a start found a compile cache, where its log or its surroundings say: sessions and
# jobs that begin on an empty disk have none.
COMPILE_CACHE: dict[str, str] = {
    "EXACT-2": "cold",  # a notebook session
    "file-58522340114-cold": "cold",  # its log
    "file-58522340114-warm": "warm",  # its log
    "file-59292590441": "cold",  # a launcher's test job
}

NOTES: dict[str, str] = {
    "Agentic-Healthcare-1": "ran out of memory in the profile run, before the cache was sized",
    "InternLM/turbomind-14-2": "a kernel library keeps 9 GiB outside torch",
    "file-22371651172-1": "bf16 checkpoint quantised while loading; arguments from the config "
    "dump; expandable segments on",
    "file-53396499857-1": "bf16 checkpoint quantised while loading; WSL",
    "file-69641025864-1": "bf16 checkpoint quantised while loading; every layer charged as full "
    "attention, as before 0.21",
    "file-33178493884-1": "unified memory",
    "file-57428438798-1": "WSL",
    "file-61815222665-1": "WSL; default utilisation 0.92",
    "file-10873344026-1": "WSL",
    "imageworks-1": "WSL",
    "imageworks-2": "WSL",
    "eval_dataset-1": "printed KV memory of three ranks: 55.62, 55.71, 56.08 GiB",
    "gpustack/gpustack-deepseek-v3.2-h200-mem-1": "runs out of memory at full length; 81920 starts",
    "storedfile-7292846353-1": "67 piecewise and 67 full graphs; attention block of 544 tokens",
    "storedfile-71218272218-3": "ran out of memory while measuring graphs, before sizing",
    "storedfile-60894650985-1": "model named in a sister record",
    "storedfile-52072816508-1": "WSL; tokens by blocks, graph estimate not charged",
    "storedfile-52101499359-1": "WSL; the drafter adds 0.35 GiB",
    "storedfile-51923877316-1": "WSL",
    "storedfile-56878676544-1": "unified memory; drafter of 0.88 GiB",
    "storedfile-66427768026-1": "only sizes of pages are known: block 1056 tokens, padding 0.76 %",
    "storedfile-60627775773-1": "64 sequences start",
    "vllm-project/vllm-14452-1": "last stage; the other: weights 10.80, activation 1.01, KV 14.52",
    "vllm-project/vllm-10517-1": "activation is about 2.07 GiB, by the printed peak",
    "vllm-project/vllm-10517-2": "activation is about 2.99 GiB, by the printed peak",
    "vllm-project/vllm-10909-1": "another rank had 34.96 GiB for the cache",
    "vllm-project/vllm-15928-1": "tokens differ by rank; the smallest is given",
    "vllm-project/vllm-33155-1": "does not start on one GPU, kind of failure not shown",
    "vllm-project/vllm-17250-1": "the longest length that its author could set",
    "vllm-project/vllm-25350-1": "blocks by division of the tokens",
    "vllm-project/recipes-762-2": "eight replicas of about 19.6 each",
    "vllm-17462-1": "ran out of memory in warm-up or graph capture; length from the log",
    "vllm-15092-1": "the same command starts with 0.7.3 on V0",
    "stored-index-54765285989-3": "the working command of the same thread",
    "stored-index-69231470721-1": "non-torch by subtraction",
    "dennislee22-3": "two nodes",
    "file-56175014108-1": "utilisations 0.1447 eager and 0.1448 with graphs give 1.0 x 8192",
    "ModelMerging-2": "utilisation not shown",
}

# The last stage of the campaign's pipeline runs. pp=2 is printed in its log; for pp=4 the
# KV memory follows from the printed tokens (2,257,264 x 32 KiB) and nothing else is known.
CAMPAIGN_RANKS: dict[int, dict[str, float]] = {
    2: {"activation_peak_gib": 2.01, "available_kv_gib": 65.63},
    4: {"available_kv_gib": 68.89},
}
