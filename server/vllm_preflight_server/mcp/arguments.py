"""The arguments of each tool: the question's own, and how long the answer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.explain import ExplainRequest
from vllm_preflight.contract.inspect import InspectRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import FileText, RequestModel, ordered_fields
from vllm_preflight.contract.vary import VariedRequest

# What people ask with. A tool takes its request's rarer fields too, and any vLLM flag in
# vllm_args; publishing them all would cost every conversation thousands of tokens.
_WHERE = {"model", "gpu", "gpus", "vllm_version", "vllm_args", "max_model_len"}
_MEMORY = {"vram_gb", "free_vram_gb", "quantization"}
_WORKLOAD = {"prompt_tokens", "gen_tokens", "concurrency"}
_ANSWERED = {"calibration", "detail"}
_PUBLISHED: Mapping[str, set[str]] = {
    "detect_gpus": {"cluster"},
    "compute_overhead": {"vram_total_gib", "tensor_parallel_size", "overhead_gb"},
    "plan_deployment": _WHERE
    | _MEMORY
    | _WORKLOAD
    | _ANSWERED
    | {"nodes", "request_rate", "target_latency_ms", "target_ttft_ms", "target_tpot_ms", "chart"}
    | {"prices", "daily_load", "api_price"},
    "compare_hardware": _WORKLOAD
    | {"model", "gpus", "max_gpus", "max_model_len", "target_latency_ms", "quantization"}
    | {"optimise", "prices"},
    "find_models": _WORKLOAD | {"gpu", "gpus", "max_model_len", "family", "task", "limit"},
    "generate_artifacts": _WHERE | _WORKLOAD | {"nodes", "profile", "kinds"},
    "predict_startup": _WHERE
    | _MEMORY
    | _ANSWERED
    | {"tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "command", "vary"}
    | {"manifest"}
    | {"gpu_memory_utilization", "kv_cache_dtype", "max_num_seqs", "max_num_batched_tokens"},
    "explain_startup_log": {"log", "model", "gpu", "vllm_version", "detail"},
    "inspect_model": {"model", "detail"},
}


def published(tool: str, request: type[RequestModel]) -> tuple[str, ...]:
    """The fields of `request` that the definition of `tool` names, in the request's order."""
    names = ordered_fields(request)
    shown = _PUBLISHED.get(tool)
    return tuple(name for name in names if shown is None or name in shown)


class DetailInput(RequestModel, frozen=True):
    """How long the answer is."""

    detail: Literal["concise", "full"] = Field(
        default="concise",
        description="full: with sources.",
    )


class ChartInput(RequestModel, frozen=True):
    """Whether the answer comes with a picture."""

    chart: Literal["none", "png"] = Field(
        default="none",
        description="png: also a picture.",
    )


class PlanArguments(PlanRequest, DetailInput, ChartInput, frozen=True):
    """plan_deployment's arguments."""


class CompareArguments(CompareRequest, DetailInput, frozen=True):
    """compare_hardware's arguments."""


class ManifestInput(RequestModel, frozen=True):
    """Text that starts vLLM, as people have it."""

    manifest: FileText | None = Field(
        default=None,
        description="Kubernetes, compose, Helm values or unit text instead.",
    )


class StartupArguments(VariedRequest, ManifestInput, DetailInput, frozen=True):
    """predict_startup's arguments."""

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if not self.model and not self.command and not self.manifest:
            raise ValueError("either model, command or manifest is required")
        if self.manifest and (self.model or self.command or self.vary or self.vllm_args):
            raise ValueError("a manifest says model and arguments itself: give it alone, with gpu")
        return self


class InspectArguments(InspectRequest, DetailInput, frozen=True):
    """inspect_model's arguments."""


class ExplainArguments(ExplainRequest, DetailInput, frozen=True):
    """explain_startup_log's arguments."""
