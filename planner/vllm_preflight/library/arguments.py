"""Keyword arguments of the library's functions.

Written by `scripts/build_library.py` from the request models; the fields' units, ranges
and defaults are described there (`vllm_preflight.contract`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict


class ModelSourceArguments(TypedDict, total=False):
    """What `ModelSource` takes."""

    model: Required[str]
    revision: str | None
    dtype: Literal[
        "auto", "float16", "bfloat16", "float32", "half", "fp16", "bf16", "fp32", "float"
    ]
    quantization: str
    kv_cache_dtype: Literal[
        "auto",
        "fp8",
        "fp8_e4m3",
        "fp8_e5m2",
        "fp8_ds_mla",
        "fp8_inc",
        "bfloat16",
        "float16",
        "bf16",
        "fp16",
        "int8",
        "nvfp4",
        "nvfp4_ds_mla",
        "nvfp4_4over6",
        "turboquant_k8v4",
        "turboquant_4bit_nc",
        "turboquant_k3v4_nc",
        "turboquant_3bit_nc",
        "octave_k3v4",
        "octave_k3v3",
        "octave_k3v3_compact",
        "ultraquant_4bit",
        "int4_per_token_head",
        "int8_per_token_head",
        "fp8_per_token_head",
    ]


class ModelArguments(ModelSourceArguments, total=False):
    """What `ModelInput` takes."""

    trust_remote_code: bool
    max_model_len: int | None
    tokenizer: str | None
    params_b: float | None


class HardwareArguments(TypedDict, total=False):
    """What `HardwareInput` takes."""

    gpu: str
    gpus: int | None
    vram_gb: float | None
    interconnect: Literal["nvlink", "pcie", "unknown"]
    tensor_parallel_size: int | None
    pipeline_parallel_size: int | None
    data_parallel_size: int | None
    enable_expert_parallel: bool | None
    nodes: int | None


class WorkloadArguments(TypedDict, total=False):
    """What `WorkloadInput` takes."""

    prompt_tokens: int
    gen_tokens: int
    concurrency: int
    target_latency_ms: float | None
    target_ttft_ms: float | None
    target_tpot_ms: float | None
    target_percentile: Literal[50, 95, 99] | None
    request_rate: float | None
    prefix_cache_hit_rate: float | None
    system_prompt_tokens: int | None
    turns: int | None
    benchmark: str | Mapping[str, Any] | Sequence[Any] | None
    simulate: int | None
    acceptance_rate: float | None
    streaming: bool
    batching_mode: Literal["throughput", "latency", "balanced"]


class PolicyArguments(TypedDict, total=False):
    """What `PolicyInput` takes."""

    overhead_gb: float | None
    fragmentation_factor: float | None
    headroom_gb: float | None
    overhead_method: Literal["engine", "formula"]


class EngineArguments(TypedDict, total=False):
    """What `EngineInput` takes."""

    vllm_version: str | None
    gpu_memory_utilization: float | None
    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    block_size: int | None
    enforce_eager: bool | None
    enable_prefix_caching: bool | None
    cpu_offload_gb: float | None
    kv_cache_memory_bytes: int | None
    enable_lora: bool | None
    max_loras: int | None
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] | None
    speculative_config: str | Mapping[str, Any] | Sequence[Any] | None
    limit_mm_per_prompt: str | Mapping[str, Any] | Sequence[Any] | None
    decode_context_parallel_size: int | None
    free_vram_gb: float | None
    vllm_args: str | None
    runner: Literal["auto", "generate", "pooling"]
    compile_cache: Literal["cold", "warm", "unknown"]
    calibration: str | Mapping[str, Any] | Sequence[Any] | None


class PriceArguments(TypedDict, total=False):
    """What `PriceInput` takes."""

    prices: str | Mapping[str, Any] | Sequence[Any] | None
    provider: str
    daily_load: str | None
    api_price: str | None


class PlanArguments(
    ModelArguments,
    HardwareArguments,
    WorkloadArguments,
    PolicyArguments,
    EngineArguments,
    PriceArguments,
    total=False,
):
    """What `PlanRequest` takes."""


class StartupArguments(TypedDict, total=False):
    """What `StartupRequest` takes."""

    vllm_version: str | None
    gpu_memory_utilization: float | None
    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    block_size: int | None
    enforce_eager: bool | None
    enable_prefix_caching: bool | None
    cpu_offload_gb: float | None
    kv_cache_memory_bytes: int | None
    enable_lora: bool | None
    max_loras: int | None
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] | None
    speculative_config: str | Mapping[str, Any] | Sequence[Any] | None
    limit_mm_per_prompt: str | Mapping[str, Any] | Sequence[Any] | None
    decode_context_parallel_size: int | None
    free_vram_gb: float | None
    vllm_args: str | None
    runner: Literal["auto", "generate", "pooling"]
    compile_cache: Literal["cold", "warm", "unknown"]
    calibration: str | Mapping[str, Any] | Sequence[Any] | None
    gpu: str
    gpus: int | None
    vram_gb: float | None
    interconnect: Literal["nvlink", "pcie", "unknown"]
    tensor_parallel_size: int | None
    pipeline_parallel_size: int | None
    data_parallel_size: int | None
    enable_expert_parallel: bool | None
    nodes: int | None
    model: str
    revision: str | None
    dtype: Literal[
        "auto", "float16", "bfloat16", "float32", "half", "fp16", "bf16", "fp32", "float"
    ]
    quantization: str
    kv_cache_dtype: Literal[
        "auto",
        "fp8",
        "fp8_e4m3",
        "fp8_e5m2",
        "fp8_ds_mla",
        "fp8_inc",
        "bfloat16",
        "float16",
        "bf16",
        "fp16",
        "int8",
        "nvfp4",
        "nvfp4_ds_mla",
        "nvfp4_4over6",
        "turboquant_k8v4",
        "turboquant_4bit_nc",
        "turboquant_k3v4_nc",
        "turboquant_3bit_nc",
        "octave_k3v4",
        "octave_k3v3",
        "octave_k3v3_compact",
        "ultraquant_4bit",
        "int4_per_token_head",
        "int8_per_token_head",
        "fp8_per_token_head",
    ]
    trust_remote_code: bool
    max_model_len: int | None
    tokenizer: str | None
    params_b: float | None
    command: str | None


class VariedArguments(StartupArguments, total=False):
    """What `VariedRequest` takes."""

    vary: str | Mapping[str, Any] | Sequence[Any] | None


class ComparedWorkloadArguments(TypedDict, total=False):
    """What `ComparedWorkload` takes."""

    model: Required[str]
    gpus: str
    max_gpus: int
    prompt_tokens: int
    gen_tokens: int
    concurrency: int
    target_latency_ms: float | None
    max_model_len: int | None
    quantization: str
    kv_cache_dtype: Literal[
        "auto",
        "fp8",
        "fp8_e4m3",
        "fp8_e5m2",
        "fp8_ds_mla",
        "fp8_inc",
        "bfloat16",
        "float16",
        "bf16",
        "fp16",
        "int8",
        "nvfp4",
        "nvfp4_ds_mla",
        "nvfp4_4over6",
        "turboquant_k8v4",
        "turboquant_4bit_nc",
        "turboquant_k3v4_nc",
        "turboquant_3bit_nc",
        "octave_k3v4",
        "octave_k3v3",
        "octave_k3v3_compact",
        "ultraquant_4bit",
        "int4_per_token_head",
        "int8_per_token_head",
        "fp8_per_token_head",
    ]
    optimise: Literal[
        "fewest_gpus", "cheapest", "most_concurrency", "longest_context", "lowest_latency"
    ]


class CompareArguments(ComparedWorkloadArguments, PriceArguments, total=False):
    """What `CompareRequest` takes."""

    vllm_version: str | None
    limit: int


class FindArguments(HardwareArguments, WorkloadArguments, total=False):
    """What `FindRequest` takes."""

    max_model_len: int | None
    family: str | None
    task: Literal["generate", "embed", "any"]
    max_params_b: float | None
    vllm_version: str | None
    limit: int


class ExplainArguments(TypedDict, total=False):
    """What `ExplainRequest` takes."""

    log: Required[str]
    model: str | None
    gpu: str | None
    vram_gb: float | None
    vllm_version: str | None


class GenerateArguments(TypedDict, total=False):
    """What `GenerateRequest` takes."""

    prices: str | Mapping[str, Any] | Sequence[Any] | None
    provider: str
    daily_load: str | None
    api_price: str | None
    vllm_version: str | None
    gpu_memory_utilization: float | None
    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    block_size: int | None
    enforce_eager: bool | None
    enable_prefix_caching: bool | None
    cpu_offload_gb: float | None
    kv_cache_memory_bytes: int | None
    enable_lora: bool | None
    max_loras: int | None
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] | None
    speculative_config: str | Mapping[str, Any] | Sequence[Any] | None
    limit_mm_per_prompt: str | Mapping[str, Any] | Sequence[Any] | None
    decode_context_parallel_size: int | None
    free_vram_gb: float | None
    vllm_args: str | None
    runner: Literal["auto", "generate", "pooling"]
    compile_cache: Literal["cold", "warm", "unknown"]
    calibration: str | Mapping[str, Any] | Sequence[Any] | None
    overhead_gb: float | None
    fragmentation_factor: float | None
    headroom_gb: float | None
    overhead_method: Literal["engine", "formula"]
    prompt_tokens: int
    gen_tokens: int
    concurrency: int
    target_latency_ms: float | None
    target_ttft_ms: float | None
    target_tpot_ms: float | None
    target_percentile: Literal[50, 95, 99] | None
    request_rate: float | None
    prefix_cache_hit_rate: float | None
    system_prompt_tokens: int | None
    turns: int | None
    benchmark: str | Mapping[str, Any] | Sequence[Any] | None
    simulate: int | None
    acceptance_rate: float | None
    streaming: bool
    batching_mode: Literal["throughput", "latency", "balanced"]
    gpu: str
    gpus: int | None
    vram_gb: float | None
    interconnect: Literal["nvlink", "pcie", "unknown"]
    tensor_parallel_size: int | None
    pipeline_parallel_size: int | None
    data_parallel_size: int | None
    enable_expert_parallel: bool | None
    nodes: int | None
    model: str
    revision: str | None
    dtype: Literal[
        "auto", "float16", "bfloat16", "float32", "half", "fp16", "bf16", "fp32", "float"
    ]
    quantization: str
    kv_cache_dtype: Literal[
        "auto",
        "fp8",
        "fp8_e4m3",
        "fp8_e5m2",
        "fp8_ds_mla",
        "fp8_inc",
        "bfloat16",
        "float16",
        "bf16",
        "fp16",
        "int8",
        "nvfp4",
        "nvfp4_ds_mla",
        "nvfp4_4over6",
        "turboquant_k8v4",
        "turboquant_4bit_nc",
        "turboquant_k3v4_nc",
        "turboquant_3bit_nc",
        "octave_k3v4",
        "octave_k3v3",
        "octave_k3v3_compact",
        "ultraquant_4bit",
        "int4_per_token_head",
        "int8_per_token_head",
        "fp8_per_token_head",
    ]
    trust_remote_code: bool
    max_model_len: int | None
    tokenizer: str | None
    params_b: float | None
    arguments: str | Mapping[str, Any] | Sequence[Any] | None
    profile: str | Mapping[str, Any] | Sequence[Any] | None
    kinds: Sequence[
        Literal[
            "serve",
            "env",
            "docker",
            "compose",
            "systemd",
            "model-cache",
            "kubernetes",
            "leaderworkerset",
            "rayservice",
            "helm",
            "llm-d",
            "kserve",
            "llminferenceservice",
            "servicemonitor",
            "hpa",
            "bench",
            "bench-job",
            "profile",
            "readme",
        ]
    ]


class InspectArguments(ModelSourceArguments, total=False):
    """What `InspectRequest` takes."""


class DetectArguments(TypedDict, total=False):
    """What `DetectRequest` takes."""

    cluster: Literal["none", "ray", "kubernetes"]
    include_uuid: bool


class OverheadArguments(TypedDict, total=False):
    """What `OverheadRequest` takes."""

    vram_total_gib: float | None
    tensor_parallel_size: int
    overhead_gb: float | None
    model: str | None
    gpu: str | None
    vllm_version: str | None


class DiffArguments(StartupArguments, total=False):
    """What `DiffRequest` takes."""

    from_version: Required[str]
    to_version: Required[str]


class PackArguments(TypedDict, total=False):
    """What `PackRequest` takes."""

    launches: Required[Sequence[str]]
    gpu: str
    vram_gb: float | None
    vllm_version: str | None
    concurrency: int | None
    prompt_tokens: int
    gen_tokens: int
