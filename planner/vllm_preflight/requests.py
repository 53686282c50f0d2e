"""What a user may ask: the flat request models behind every tool and command.

Field names follow vLLM's arguments. `*_gb` inputs are GiB, as vLLM users write them.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from vllm_preflight.errors import InvalidRequest

Count = Annotated[int, Field(ge=1, le=1024)]
Tokens = Annotated[int, Field(ge=1, le=100_000_000)]
Gib = Annotated[float, Field(ge=0, le=1_000_000)]


def _json_text(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value


# JSON as vLLM's flags take it; models also send the object itself.
JsonText = Annotated[str, Field(max_length=10_000), BeforeValidator(_json_text)]
RequestT = TypeVar("RequestT", bound="RequestModel")

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
]


_PUBLISHED_DTYPES: list[JsonValue] = ["auto", "float16", "bfloat16", "float32"]
_PUBLISHED_KV_DTYPES: list[JsonValue] = [
    "auto",
    "fp8",
    "fp8_e4m3",
    "fp8_e5m2",
    "fp8_ds_mla",
    "bfloat16",
    "float16",
    "int8",
    "nvfp4",
]

# Names people and models give to a field, where spelling alone leads elsewhere.
_SPOKEN = {
    "tp": "tensor_parallel_size",
    "tp_size": "tensor_parallel_size",
    "pp": "pipeline_parallel_size",
    "dp": "data_parallel_size",
    "context": "max_model_len",
    "context_length": "max_model_len",
    "max_context": "max_model_len",
    "gpu_count": "gpus",
    "gpu_name": "gpu",
    "gpu_type": "gpu",
    "num_gpus": "gpus",
    "vram": "vram_gb",
    "batch_size": "concurrency",
    "users": "concurrency",
    "requests": "concurrency",
    "input_tokens": "prompt_tokens",
    "output_tokens": "gen_tokens",
    "max_tokens": "gen_tokens",
    "utilization": "gpu_memory_utilization",
    "model_id": "model",
    "version": "vllm_version",
}


class RequestModel(BaseModel, extra="forbid", allow_inf_nan=False, frozen=True):
    """A strict model: an unknown field or a non-finite number is an error."""


class ModelSource(RequestModel, frozen=True):
    """Which model, and in which precision."""

    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Hub id, catalogue id or local folder, such as Qwen/Qwen3-32B.",
    )
    revision: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="Branch, tag or commit. Default: main."
    )
    dtype: Dtype = Field(
        default="auto",
        description="Weight and activation dtype; auto: the config's.",
        json_schema_extra={"enum": _PUBLISHED_DTYPES},
    )
    quantization: Annotated[str, Field(max_length=60)] = Field(
        default="auto",
        description="auto: the checkpoint's; or none, fp8, awq, gptq, nvfp4, ...",
    )
    kv_cache_dtype: KvCacheDtype = Field(
        default="auto",
        description="KV cache dtype; auto: as the model says.",
        json_schema_extra={"enum": _PUBLISHED_KV_DTYPES},
    )


class ModelInput(ModelSource, frozen=True):
    """The model as vLLM is told of it."""

    trust_remote_code: bool = Field(
        default=False,
        description="Passed on to vLLM; no code is run here.",
    )
    max_model_len: Tokens | None = Field(
        default=None,
        description="Longest request in tokens. Default: the workload's, or the model's (start).",
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
        description="GPU name, such as H100; auto: this machine's; fleet:ray or fleet:kubernetes.",
    )
    gpus: Count | None = Field(
        default=None,
        description="GPUs in all. Default: as needed.",
    )
    vram_gb: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None,
        description="GiB per GPU that CUDA shows.",
    )
    interconnect: Literal["nvlink", "pcie", "unknown"] = Field(
        default="unknown", description="Link between the GPUs of a node."
    )
    tensor_parallel_size: Count | None = Field(
        default=None,
        description="Tensor-parallel size. Default: recommended, or 1.",
    )
    pipeline_parallel_size: Count | None = Field(
        default=None, description="Pipeline stages. Default 1."
    )
    data_parallel_size: Count | None = Field(
        default=None,
        description="Replicas. Default 1.",
    )
    enable_expert_parallel: bool | None = Field(
        default=None, description="Whole experts per rank, not slices of each."
    )
    nodes: Count | None = Field(default=None, description="Machines they are in. Default 1.")


class WorkloadInput(RequestModel, frozen=True):
    """What the deployment has to carry."""

    prompt_tokens: Tokens = Field(default=512, description="Prompt tokens per request.")
    gen_tokens: Tokens = Field(default=256, description="Generated tokens per request.")
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="Requests in flight at once."
    )
    target_latency_ms: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        default=None, description="Wanted milliseconds per request."
    )
    request_rate: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        default=None, description="Requests per second, for the speed."
    )
    prefix_cache_hit_rate: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Share of prompts found cached."
    )
    acceptance_rate: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Of drafted tokens, if known."
    )
    streaming: bool = Field(default=True, description="Whether answers are streamed.")
    batching_mode: Literal["throughput", "latency", "balanced"] = Field(
        default="balanced", description="What batch limits favour."
    )


class PolicyInput(RequestModel, frozen=True):
    """How much margin sizing keeps."""

    gpu_memory_utilization: Annotated[float, Field(ge=0.5, le=0.98)] = Field(
        default=0.90, description="Share of each GPU's memory vLLM may use."
    )
    overhead_gb: Gib | None = Field(
        default=None, description="GiB of overhead, instead of the method's."
    )
    fragmentation_factor: Annotated[float, Field(ge=1.0, le=4.0)] = Field(
        default=1.15, description="Factor on the KV cache that tokens need."
    )
    headroom_gb: Gib = Field(
        default=1.0, description="GiB that must stay free to count as fitting."
    )
    overhead_method: Literal["formula", "fitted"] = Field(
        default="formula",
        description="fitted: as predicted for this model, GPU and version.",
    )


class EngineInput(RequestModel, frozen=True):
    """vLLM's own arguments. What is given is kept; the rest is recommended or defaulted."""

    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="vLLM release, such as 0.19.0."
    )
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1.0)] | None = Field(
        default=None, description="Share of each GPU's memory vLLM may use. Default: the version's."
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
    kv_cache_memory_bytes: Annotated[int, Field(ge=1, le=2**50)] | None = Field(
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
        description="GiB free per GPU. Default: detected, or all.",
    )
    calibration: JsonText | None = Field(
        default=None,
        description="JSON that explain_startup_log returned.",
    )


class PlanRequest(ModelInput, HardwareInput, WorkloadInput, PolicyInput, EngineInput, frozen=True):
    """What should I run so that my workload fits with margin?"""

    # Sizing has a default of its own where a simulation takes the version's.
    gpu_memory_utilization: Annotated[float, Field(ge=0.5, le=0.98)] = Field(
        default=0.90, description="Share of each GPU's memory vLLM may use."
    )


class StartupRequest(ModelInput, HardwareInput, EngineInput, frozen=True):
    """What will vLLM do with exactly these arguments?"""

    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        default="",
        description="As for plan_deployment, unless command names it.",
    )
    command: Annotated[str, Field(max_length=100_000)] | None = Field(
        default=None,
        description="A vllm serve line, such as 'vllm serve Qwen/Qwen3-32B -tp 2'; never executed.",
    )

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if not self.model and not self.command:
            raise ValueError("either model or command is required")
        return self


class OverheadRequest(RequestModel, frozen=True):
    """How much memory does vLLM take beside weights and KV cache?"""

    vram_total_gib: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        description="GiB of the whole tensor-parallel group."
    )
    tensor_parallel_size: Count = Field(default=1, description="GPUs of the group.")
    overhead_gb: Gib | None = Field(
        default=None, description="GiB to use instead of the formula's value."
    )
    model: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None,
        description="With gpu: also predict this model's runtime memory.",
    )
    gpu: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        default=None, description="GPU name, such as H100; with model."
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="vLLM release, such as 0.19.0."
    )


class InspectRequest(ModelSource, frozen=True):
    """What is this model made of?"""


class CompareRequest(RequestModel, frozen=True):
    """Which GPUs carry this model and workload, side by side?"""

    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Hub id, catalogue id or local folder, such as Qwen/Qwen3-32B."
    )
    gpus: Annotated[str, Field(max_length=2_000)] = Field(
        default="",
        description="Names, comma-separated, or all. Default: data-centre and workstation cards.",
    )
    max_gpus: Annotated[int, Field(ge=1, le=32)] = Field(
        default=8, description="Most GPUs of one kind."
    )
    prompt_tokens: Tokens = Field(default=512, description="Prompt tokens per request.")
    gen_tokens: Tokens = Field(default=256, description="Generated tokens per request.")
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="Requests in flight at once."
    )
    max_model_len: Tokens | None = Field(
        default=None,
        description="Longest request in tokens; all count as long.",
    )
    quantization: Annotated[str, Field(max_length=60)] = Field(
        default="auto",
        description="auto: the checkpoint, its variants in the catalogue, and online fp8.",
    )
    kv_cache_dtype: KvCacheDtype = Field(
        default="auto",
        description="KV cache dtype; auto: the model's own, and fp8.",
        json_schema_extra={"enum": _PUBLISHED_KV_DTYPES},
    )
    optimise: Literal[
        "fewest_gpus", "cheapest", "most_concurrency", "longest_context", "lowest_latency"
    ] = Field(default="fewest_gpus", description="What decides; cheapest needs prices.")
    prices: JsonText | None = Field(
        default=None,
        description='JSON: {"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 2.4}}.',
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="vLLM release, such as 0.19.0."
    )
    limit: Annotated[int, Field(ge=1, le=200)] = Field(
        default=8, description="Most rows of each list."
    )


class DetectRequest(RequestModel, frozen=True):
    """Which GPUs does this machine or a cluster have?"""

    cluster: Literal["none", "ray", "kubernetes"] = Field(
        default="none",
        description="The cluster that RAY_ADDRESS or KUBECONFIG means; none: this machine.",
    )
    include_uuid: bool = Field(default=False, description="List each GPU's UUID too.")


class ExplainRequest(RequestModel, frozen=True):
    """What happened in this vLLM start-up, and what to change?"""

    log: Annotated[str, Field(min_length=1, max_length=20_000_000)] = Field(
        description="Text of a vLLM log, successful or not; more lines tell more."
    )
    model: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="If the log does not name it."
    )
    gpu: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        default=None, description="If the log does not show it; such as H100."
    )
    vram_gb: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="GiB of memory per GPU that CUDA shows."
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="If the log does not show it."
    )


def ordered_fields(request_class: type[RequestModel]) -> list[str]:
    """A request's fields, the essential first: as its bases are named, then its own.

    Pydantic's own order starts with the last base.
    """
    inherited = (
        name
        for base in request_class.__bases__
        if issubclass(base, RequestModel)
        for name in ordered_fields(base)
    )
    return list(dict.fromkeys((*inherited, *request_class.model_fields)))


def validate_request(request_class: type[RequestT], data: Mapping[str, Any]) -> RequestT:
    """`data` as a request, or InvalidRequest in a sentence a person can act on.

    Every faulty field is named with its value and the rule it breaks; an unknown
    field is answered with the nearest known one.
    """
    try:
        return request_class.model_validate(dict(data))
    except ValidationError as error:
        problems = [_problem(request_class, dict(item)) for item in error.errors()]
        raise InvalidRequest(" ".join(problems), "Correct the value and ask again.") from error


# Pydantic's rules that speak of parsing, in plain words.
_RULES: Mapping[str, str] = {
    "int_parsing": "be a whole number",
    "int_parsing_size": "be a whole number of a plausible size",
    "int_from_float": "be a whole number",
    "float_parsing": "be a number",
    "bool_parsing": "be true or false",
    "string_unicode": "be text that the terminal's encoding can carry",
}


def _problem(request_class: type[RequestModel], item: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in item["loc"] if not str(part).startswith("constrained"))
    if item["type"] == "extra_forbidden":
        near = _nearest_field(field, request_class.model_fields)
        known = f"; did you mean {near!r}?" if near else "."
        return f"There is no field {field!r}{known}"
    if item["type"] == "missing":
        return f"The field {field!r} is required."
    if not field:
        sentence = str(item["msg"]).removeprefix("Value error, ")
        return f"{sentence[:1].upper()}{sentence[1:]}."
    shown = repr(item.get("input"))
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    # Pydantic's rules read "Input should be …" or "String should have …".
    rule = str(item["msg"]).removeprefix("Value error, ").partition(" should ")
    needed = _RULES.get(str(item["type"])) or rule[2] or f"be {rule[0]}"
    return f"{field} is {shown}, but must {needed}."


def _nearest_field(name: str, fields: Collection[str]) -> str | None:
    spoken = _SPOKEN.get(name.lower().replace("-", "_"))
    if spoken is not None:
        return spoken if spoken in fields else None
    near = next(iter(difflib.get_close_matches(name, fields, n=1, cutoff=0.5)), None)
    if near is not None:
        return near
    meant = difflib.get_close_matches(name, _SPOKEN, n=1, cutoff=0.7)
    return _nearest_field(meant[0], fields) if meant else None
