"""What questions have in common: the model, the hardware, the workload, vLLM's arguments.

Field names follow vLLM's arguments. `*_gb` inputs are GiB, as vLLM users write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from vllm_preflight.contract.request import SCALED, Count, Gib, JsonText, RequestModel, Tokens

# Other spellings of a dtype are understood, but left out of the published schemas.
Dtype = Literal["auto", "float16", "bfloat16", "float32", "half", "fp16", "bf16", "fp32", "float"]


KvCacheDtype = Literal[
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


# Words for --max-model-len with which vLLM chooses the longest that fits.
_LEFT_TO_VLLM = frozenset({"auto", "-1"})
_RUNNERS = frozenset({"generate", "pooling"})


PUBLISHED_DTYPES: list[JsonValue] = ["auto", "float16", "bfloat16", "float32"]


PUBLISHED_KV_DTYPES: list[JsonValue] = [
    "auto",
    "fp8",
    "fp8_e5m2",
    "bfloat16",
    "nvfp4",
]


class ModelSource(RequestModel, frozen=True):
    """Which model, and in which precision."""

    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Hub id, nickname or folder.",
    )
    revision: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="Branch, tag or commit. Default: main."
    )
    dtype: Dtype = Field(
        default="auto",
        description="Weight and activation dtype; auto: the config's.",
        json_schema_extra={"enum": PUBLISHED_DTYPES},
    )
    quantization: Annotated[str, Field(max_length=60)] = Field(
        default="auto",
        description="auto: the checkpoint's; none, fp8, awq.",
    )
    kv_cache_dtype: KvCacheDtype = Field(
        default="auto",
        description="auto: as the model says.",
        json_schema_extra={"enum": PUBLISHED_KV_DTYPES},
    )


class ModelInput(ModelSource, frozen=True):
    """The model as vLLM is told of it."""

    trust_remote_code: bool = Field(
        default=False,
        description="Passed on to vLLM; no code is run here.",
    )
    max_model_len: Tokens | None = Field(
        default=None,
        description="Longest request; plans size all so.",
    )
    tokenizer: Annotated[str, Field(max_length=500)] | None = Field(
        default=None, description="Tokenizer, if not the model's own."
    )
    params_b: Annotated[float, Field(gt=0, le=100_000)] | None = Field(
        default=None,
        description="Parameters in billions, if not as the shapes say.",
    )


class HardwareInput(RequestModel, frozen=True):
    """Which GPUs, how many, and how the model is spread over them."""

    gpu: Annotated[str, Field(min_length=1, max_length=120)] = Field(
        default="auto",
        description="H100, 2x L40S, p5.48xlarge; auto: here; fleet:ray.",
    )
    gpus: Count | None = Field(
        default=None,
        description="Default: as needed.",
    )
    vram_gb: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None,
        description="GiB that CUDA shows.",
    )
    interconnect: Literal["nvlink", "pcie", "unknown"] = Field(
        default="unknown", description="Link between the GPUs of a node."
    )
    tensor_parallel_size: Count | None = Field(
        default=None,
        description="Default 1, or chosen.",
    )
    pipeline_parallel_size: Count | None = Field(default=None, description="Stages; default 1.")
    data_parallel_size: Count | None = Field(
        default=None,
        description="Replicas. Default 1.",
    )
    enable_expert_parallel: bool | None = Field(
        default=None, description="Whole experts per rank, not slices of each."
    )
    nodes: Count | None = Field(default=None, description="Machines. Default 1.")


Milliseconds = Annotated[float, Field(gt=0, le=1e9)]
Seed = Annotated[int, Field(ge=1, le=2**31)]


def _whole_number(value: object) -> object:
    # As the command line gives it.
    return int(value) if isinstance(value, str) and value.isdigit() else value


Percentile = Annotated[Literal[50, 95, 99], BeforeValidator(_whole_number)]


class WorkloadInput(RequestModel, frozen=True):
    """What the deployment has to carry."""

    prompt_tokens: Tokens = Field(default=512, description="Of a request.")
    gen_tokens: Tokens = Field(default=256, description="Generated.")
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="Requests in flight."
    )
    target_latency_ms: Milliseconds | None = Field(
        default=None, description="Milliseconds a request."
    )
    target_ttft_ms: Milliseconds | None = Field(default=None, description="To first token.")
    target_tpot_ms: Milliseconds | None = Field(default=None, description="Per later token.")
    target_percentile: Percentile | None = Field(
        default=None, description="In time; default: the mean."
    )
    request_rate: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        default=None, description="Requests per second."
    )
    prefix_cache_hit_rate: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Share of prompts cached."
    )
    system_prompt_tokens: Tokens | None = Field(default=None, description="Shared by all prompts.")
    turns: Count | None = Field(default=None, description="Per conversation, at this mean prompt.")
    benchmark: JsonText | None = Field(default=None, description='As {"waves": 10}.')
    simulate: Seed | None = Field(default=None, description="Simulation's seed.")
    acceptance_rate: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Of drafted tokens."
    )
    streaming: bool = Field(default=True, description="Answers are streamed.")
    batching_mode: Literal["throughput", "latency", "balanced"] = Field(
        default="balanced", description="What batch limits favour."
    )


class PolicyInput(RequestModel, frozen=True):
    """Where the sizing report takes its overhead and its margin from."""

    overhead_gb: Gib | None = Field(
        default=None, description="GiB of overhead, instead of the method's."
    )
    fragmentation_factor: Annotated[float, Field(ge=1.0, le=4.0)] | None = Field(
        default=None, description="Factor on the KV cache. Default: 1.0; formula 1.15."
    )
    headroom_gb: Gib | None = Field(
        default=None, description="GiB to keep free. Default: 0; formula 1."
    )
    overhead_method: Literal["engine", "formula"] = Field(
        default="engine",
        description="engine: as simulated; formula: by the memory alone.",
    )


class EngineInput(RequestModel, frozen=True):
    """vLLM's own arguments. What is given is kept; the rest is recommended or defaulted."""

    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="0.19.0; default: newest."
    )
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1.0)] | None = Field(
        default=None, description="Default: the version's."
    )
    max_num_seqs: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Most sequences per batch."
    )
    max_num_batched_tokens: Tokens | None = Field(default=None, description="Most tokens per step.")
    block_size: Annotated[int, Field(ge=1, le=1_048_576)] | None = Field(
        default=None, description="Tokens per KV-cache block."
    )
    enforce_eager: bool | None = Field(default=None, description="Run without CUDA graphs.")
    enable_prefix_caching: bool | None = Field(
        default=None, description="Reuse the KV cache of shared prefixes."
    )
    cpu_offload_gb: Gib | None = Field(
        default=None, description="GiB of weights per GPU in host memory."
    )
    kv_cache_memory_bytes: Annotated[int, Field(ge=1, le=2**50), SCALED] | None = Field(
        default=None, description="KV-cache bytes per GPU."
    )
    enable_lora: bool | None = Field(default=None, description="Reserve buffers for LoRA adapters.")
    max_loras: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Adapters per batch. Default 1."
    )
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] | None = Field(
        default=None, description="Largest LoRA rank. Default 16."
    )
    speculative_config: JsonText | None = Field(
        default=None,
        description='As JSON: {"method": "mtp", "num_speculative_tokens": 1}.',
    )
    limit_mm_per_prompt: JsonText | None = Field(
        default=None,
        description='Items per modality, as JSON: {"image": 0}.',
    )
    decode_context_parallel_size: Count | None = Field(
        default=None, description="TP ranks that share a request's KV cache."
    )
    free_vram_gb: Gib | None = Field(
        default=None,
        description="GiB free per GPU.",
    )
    vllm_args: Annotated[str, Field(max_length=20_000)] | None = Field(
        default=None,
        description="vllm serve flags: --kv-cache-dtype fp8.",
    )
    runner: Literal["auto", "generate", "pooling"] = Field(
        default="auto", description="pooling: embed or score texts; auto: as the model is made."
    )
    compile_cache: Literal["cold", "warm", "unknown"] = Field(
        default="unknown", description="cold: a first start."
    )
    calibration: JsonText | None = Field(
        default=None,
        description="As a log gave it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _as_flags(cls, data: Any) -> Any:
        """What only vLLM's own words can say, as flags: a length left to it, the runner."""
        if not isinstance(data, Mapping):
            return data
        given = dict(cast(Mapping[str, Any], data))
        words: list[str] = []
        if not isinstance(given.get("vllm_args"), str | None):
            return given
        if str(given.get("max_model_len", "")).strip().lower() in _LEFT_TO_VLLM:
            del given["max_model_len"]
            words.append("--max-model-len auto")
        if str(given.get("runner")) in _RUNNERS:
            words.append(f"--runner {given.pop('runner')}")
        if words:
            given["vllm_args"] = " ".join((*words, given.get("vllm_args") or "")).strip()
        return given
