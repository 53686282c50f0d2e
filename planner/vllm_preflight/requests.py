"""What a user may ask: the flat request models behind every tool and command.

Field names follow vLLM's arguments. `*_gb` inputs are GiB, as vLLM users write them.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from vllm_preflight.errors import InvalidRequest

Count = Annotated[int, Field(ge=1, le=1024)]
Tokens = Annotated[int, Field(ge=1, le=100_000_000)]
Gib = Annotated[float, Field(ge=0, le=1_000_000)]


def _json_text(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value


# JSON as vLLM's flags take it; models also send the object itself.
JsonText = Annotated[str, Field(max_length=10_000), BeforeValidator(_json_text)]
RequestT = TypeVar("RequestT", bound="RequestModel")

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
        description="Hugging Face id, catalogue id or local folder, such as Qwen/Qwen3-32B.",
    )
    revision: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="Branch, tag or commit on the Hub. Default: main."
    )
    dtype: Dtype = Field(
        default="auto", description="Weight and activation dtype; auto: the config's."
    )
    quantization: Annotated[str, Field(max_length=60)] = Field(
        default="auto",
        description="auto (the checkpoint's own), none, fp8, awq, gptq, int8, bitsandbytes, mxfp4, "
        "nvfp4, compressed-tensors, ….",
    )
    kv_cache_dtype: KvCacheDtype = Field(
        default="auto", description="KV cache dtype; auto: the model's or the checkpoint's."
    )


class ModelInput(ModelSource, frozen=True):
    """The model as vLLM is told of it."""

    trust_remote_code: bool = Field(
        default=False,
        description="Passed on to vLLM; no code of a model is ever run here.",
    )
    max_model_len: Tokens | None = Field(
        default=None,
        description="Longest request in tokens, prompt and output. Default: the model's maximum "
        "(start-up), prompt_tokens + gen_tokens (sizing).",
    )
    tokenizer: Annotated[str, Field(max_length=500)] | None = Field(
        default=None, description="Tokenizer id or folder, if not the model's own."
    )
    params_b: Annotated[float, Field(gt=0, le=100_000)] | None = Field(
        default=None,
        description="Total parameters in billions, instead of the count from the shapes.",
    )


class HardwareInput(RequestModel, frozen=True):
    """Which GPUs, how many, and how the model is spread over them."""

    gpu: Annotated[str, Field(min_length=1, max_length=120)] = Field(
        default="auto",
        description="GPU name, such as H100, A100-40GB, RTX 4090; auto: this machine's; "
        "fleet:ray, fleet:kubernetes: a cluster's.",
    )
    gpus: Count | None = Field(
        default=None,
        description="GPUs in all. Default: those detected, or as many as needed.",
    )
    vram_gb: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None,
        description="GiB per GPU that CUDA shows, instead of the catalogue's.",
    )
    interconnect: Literal["nvlink", "pcie", "unknown"] = Field(
        default="unknown", description="Link between the GPUs of a node."
    )
    tensor_parallel_size: Count | None = Field(
        default=None,
        description="Tensor-parallel size (-tp). Default: recommended (sizing), 1 (start-up).",
    )
    pipeline_parallel_size: Count | None = Field(
        default=None, description="Pipeline-parallel size (-pp). Default 1."
    )
    data_parallel_size: Count | None = Field(
        default=None,
        description="Replicas of the engine (-dp). Default 1.",
    )
    enable_expert_parallel: bool | None = Field(
        default=None, description="Whole experts per rank, not slices of each."
    )
    nodes: Count | None = Field(
        default=None, description="Machines the GPUs are spread over evenly. Default 1."
    )


class WorkloadInput(RequestModel, frozen=True):
    """What the deployment has to carry."""

    prompt_tokens: Tokens = Field(default=512, description="Prompt tokens of a typical request.")
    gen_tokens: Tokens = Field(default=256, description="Generated tokens of a typical request.")
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="Requests in flight at once."
    )
    target_latency_ms: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        default=None, description="Wanted milliseconds for a whole typical request."
    )
    streaming: bool = Field(default=True, description="Whether answers are streamed.")
    batching_mode: Literal["throughput", "latency", "balanced"] = Field(
        default="balanced", description="What the recommended batch limits favour."
    )


class PolicyInput(RequestModel, frozen=True):
    """How much margin sizing keeps."""

    gpu_memory_utilization: Annotated[float, Field(ge=0.5, le=0.98)] = Field(
        default=0.90, description="Share of each GPU's memory vLLM may use."
    )
    overhead_gb: Gib | None = Field(
        default=None, description="GiB of runtime overhead, instead of overhead_method's."
    )
    fragmentation_factor: Annotated[float, Field(ge=1.0, le=4.0)] = Field(
        default=1.15, description="KV cache is sized this many times what tokens need."
    )
    headroom_gb: Gib = Field(
        default=1.0, description="GiB that must stay free to count as fitting."
    )
    overhead_method: Literal["formula", "fitted"] = Field(
        default="formula",
        description="formula: max(1 GiB, 2 %) + 0.25 GiB per further GPU; fitted: predicted for "
        "this model, GPU and version.",
    )


class EngineInput(RequestModel, frozen=True):
    """vLLM's own arguments. What is given is kept; the rest is recommended or defaulted."""

    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="vLLM release, such as 0.19.0. Default: the newest known."
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
        default=None, description="GiB of weights per GPU kept in host memory."
    )
    kv_cache_memory_bytes: Annotated[int, Field(ge=1, le=2**50)] | None = Field(
        default=None, description="KV-cache bytes per GPU; overrides the utilisation."
    )
    enable_lora: bool | None = Field(default=None, description="Reserve buffers for LoRA adapters.")
    max_loras: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="LoRA adapters per batch. Default 1."
    )
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] | None = Field(
        default=None, description="Largest LoRA rank. Default 16."
    )
    speculative_config: JsonText | None = Field(
        default=None,
        description="vLLM's speculative_config as JSON: "
        '{"method": "mtp", "num_speculative_tokens": 1}.',
    )
    limit_mm_per_prompt: JsonText | None = Field(
        default=None,
        description='Items per prompt and modality, as JSON: {"image": 0}.',
    )
    decode_context_parallel_size: Count | None = Field(
        default=None, description="Ranks of a TP group that share each request's KV cache (-dcp)."
    )
    free_vram_gb: Gib | None = Field(
        default=None,
        description="GiB free per GPU at start. Default: detected, or all.",
    )
    calibration: JsonText | None = Field(
        default=None,
        description="JSON from explain_startup_log: corrects terms by what a log measured.",
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
        description="Hugging Face id, catalogue id or local folder, unless command names it.",
    )
    command: Annotated[str, Field(max_length=100_000)] | None = Field(
        default=None,
        description="A vllm serve line, such as 'vllm serve Qwen/Qwen3-32B -tp 2 --max-model-len "
        "32k'. Parsed, never executed.",
    )

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if not self.model and not self.command:
            raise ValueError("either model or command is required")
        return self


class OverheadRequest(RequestModel, frozen=True):
    """How much memory does vLLM take beside weights and KV cache?"""

    vram_total_gib: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        description="GiB of memory of the whole tensor-parallel group: one GPU's times its size."
    )
    tensor_parallel_size: Count = Field(default=1, description="GPUs of the group.")
    overhead_gb: Gib | None = Field(
        default=None, description="GiB to use instead of the formula's value."
    )
    model: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None,
        description="With gpu: also predict the runtime memory of this model, for comparison.",
    )
    gpu: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        default=None, description="GPU name, such as H100; with model."
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="vLLM release to predict for. Default: the newest known."
    )


class InspectRequest(ModelSource, frozen=True):
    """What is this model made of?"""


class CompareRequest(RequestModel, frozen=True):
    """Which GPUs carry this model and workload, side by side?"""

    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Hugging Face id, catalogue id or local folder, such as Qwen/Qwen3-32B."
    )
    gpus: Annotated[str, Field(max_length=2_000)] = Field(
        default="",
        description="GPU names, comma-separated; all: every NVIDIA card of the catalogue. "
        "Default: data-centre and workstation cards since Ampere.",
    )
    max_gpus: Annotated[int, Field(ge=1, le=32)] = Field(
        default=8, description="Most GPUs of one kind, over all replicas."
    )
    prompt_tokens: Tokens = Field(default=512, description="Prompt tokens of a typical request.")
    gen_tokens: Tokens = Field(default=256, description="Generated tokens of a typical request.")
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="Requests in flight at once."
    )
    max_model_len: Tokens | None = Field(
        default=None,
        description="Longest request in tokens; every request is then reckoned as long.",
    )
    quantization: Annotated[str, Field(max_length=60)] = Field(
        default="auto",
        description="auto: the checkpoint, its variants in the catalogue, and online fp8.",
    )
    kv_cache_dtype: KvCacheDtype = Field(
        default="auto", description="KV cache dtype; auto: the model's own, and fp8."
    )
    optimise: Literal[
        "fewest_gpus", "cheapest", "most_concurrency", "longest_context", "lowest_latency"
    ] = Field(default="fewest_gpus", description="What decides; cheapest needs prices.")
    prices: JsonText | None = Field(
        default=None,
        description='JSON: {"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 2.4}}.',
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="vLLM release, such as 0.19.0. Default: the newest known."
    )
    limit: Annotated[int, Field(ge=1, le=200)] = Field(
        default=8, description="Most rows of each list; has_more says what is cut."
    )


class DetectRequest(RequestModel, frozen=True):
    """Which GPUs does this machine or a cluster have?"""

    cluster: Literal["none", "ray", "kubernetes"] = Field(
        default="none",
        description="none: this machine; ray, kubernetes: the nodes of the cluster that "
        "RAY_ADDRESS or KUBECONFIG of the server means.",
    )
    include_uuid: bool = Field(default=False, description="List each GPU's UUID too.")


class ExplainRequest(RequestModel, frozen=True):
    """What happened in this vLLM start-up, and what to change?"""

    log: Annotated[str, Field(min_length=1, max_length=20_000_000)] = Field(
        description="Text of a vLLM log, successful or not; more lines tell more."
    )
    model: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="The model, when the log does not name it."
    )
    gpu: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        default=None, description="The GPU, when the log does not show it; such as H100."
    )
    vram_gb: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="GiB of memory per GPU that CUDA shows."
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="The vLLM release, when the log does not show it."
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
    return next(iter(difflib.get_close_matches(name, fields, n=1, cutoff=0.5)), None)
