"""The arguments of each tool: the question's own, and how long the answer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.explain import ExplainRequest
from vllm_preflight.contract.inspect import InspectRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import RequestModel, ordered_fields

# What people ask with. A tool takes its request's rarer fields too, and any vLLM flag in
# vllm_args; publishing them all would cost every conversation thousands of tokens.
_LAUNCH = frozenset(
    [
        "model",
        "gpu",
        "gpus",
        "vram_gb",
        "free_vram_gb",
        "vllm_version",
        "vllm_args",
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "data_parallel_size",
        "max_model_len",
        "gpu_memory_utilization",
        "kv_cache_dtype",
        "quantization",
        "max_num_seqs",
        "max_num_batched_tokens",
        "calibration",
        "detail",
    ]
)
_FIND = frozenset(
    [
        "gpu",
        "gpus",
        "vram_gb",
        "nodes",
        "prompt_tokens",
        "gen_tokens",
        "concurrency",
        "target_latency_ms",
        "max_model_len",
        "family",
        "task",
        "max_params_b",
        "vllm_version",
        "limit",
    ]
)
_PUBLISHED: Mapping[str, frozenset[str]] = {
    "plan_deployment": _LAUNCH
    | frozenset(
        [
            "nodes",
            "prompt_tokens",
            "gen_tokens",
            "concurrency",
            "request_rate",
            "target_latency_ms",
            "target_ttft_ms",
            "target_tpot_ms",
            "prefix_cache_hit_rate",
            "simulate",
            "overhead_method",
            "headroom_gb",
            "chart",
        ]
    ),
    "find_models": _FIND,
    "predict_startup": _LAUNCH | {"command"},
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
        description="full adds each term with its source.",
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


class StartupArguments(StartupRequest, DetailInput, frozen=True):
    """predict_startup's arguments."""


class InspectArguments(InspectRequest, DetailInput, frozen=True):
    """inspect_model's arguments."""


class ExplainArguments(ExplainRequest, DetailInput, frozen=True):
    """explain_startup_log's arguments."""
