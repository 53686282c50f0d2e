"""Which GPUs carry this model and workload, side by side? The question and its answer."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.costs import CostPoint, PriceInput
from vllm_preflight.contract.inputs import PUBLISHED_KV_DTYPES, KvCacheDtype
from vllm_preflight.contract.request import RequestModel, Tokens
from vllm_preflight.contract.verdict import Verdict


def _names(value: object) -> object:
    """A list of names as the one text they are elsewhere; models send either."""
    if isinstance(value, list):
        return ",".join(map(str, cast(list[object], value)))
    return value


class ComparedWorkload(RequestModel, frozen=True):
    """The model, the GPUs to look at, the workload, and what decides."""

    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Hub id, nickname or folder."
    )
    gpus: Annotated[str, Field(max_length=2_000), BeforeValidator(_names)] = Field(
        default="",
        description="H100,p5.48xlarge or all; default: those on offer.",
    )
    max_gpus: Annotated[int, Field(ge=1, le=32)] = Field(default=8, description="Most of one kind.")
    prompt_tokens: Tokens = Field(default=512, description="Of a request.")
    gen_tokens: Tokens = Field(default=256, description="Generated.")
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="Requests in flight."
    )
    target_latency_ms: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        default=None, description="Slower ones are left out."
    )
    max_model_len: Tokens | None = Field(
        default=None,
        description="Longest request; all are sized so.",
    )
    quantization: Annotated[str, Field(max_length=60)] = Field(
        default="auto",
        description="auto: also coarser checkpoints and fp8.",
    )
    kv_cache_dtype: KvCacheDtype = Field(
        default="auto",
        description="auto: as the model says.",
        json_schema_extra={"enum": PUBLISHED_KV_DTYPES},
    )
    optimise: Literal[
        "fewest_gpus", "cheapest", "most_concurrency", "longest_context", "lowest_latency"
    ] = Field(default="fewest_gpus", description="What decides; cheapest needs prices.")


class CompareRequest(ComparedWorkload, PriceInput, frozen=True):
    """Which GPUs carry this model and workload, side by side?"""

    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="0.19.0; default: newest."
    )
    limit: Annotated[int, Field(ge=1, le=200)] = Field(default=8, description="Rows of each list.")


class OptionReport(Report):
    """The best way of one card to carry the workload."""

    gpu: str = Field(description="GPU, by its catalogue name.")
    gpus: int = Field(description="GPUs of all replicas.")
    layout: str = Field(description="TP × PP × DP sizes above 1; EP: expert parallel.")
    checkpoint: str = Field(description="The model's id.")
    precision: str = Field(description="How its weights are stored or made.")
    quantization: str | None = Field(
        default=None, description="The argument that makes them so, where one is needed."
    )
    requests_at_once: int = Field(description="Requests of the workload's length at once.")
    max_model_len: int = Field(description="Longest request it takes, one at a time.")
    output_tokens_per_s: float | None = Field(
        default=None, description="Estimated, all requests of the workload together."
    )
    latency_ms: float | None = Field(
        default=None, description="Estimated, of a whole request of the workload."
    )
    nodes: int | None = Field(default=None, description="Machines, when more than one.")
    cost_per_hour: float | None = Field(default=None, description="When its price is given.")
    price: str | None = Field(
        default=None, description="Whose price: provider, offer, region, its day and age."
    )
    cost_per_million_tokens: float | None = Field(
        default=None, description="Of generated tokens, at the workload's concurrency."
    )
    cost_by_load: list[CostPoint] | None = Field(
        default=None,
        description="Of the best option: from a tenth of what it serves to nearly all.",
    )
    cost_per_million_tokens_at_load: float | None = Field(
        default=None, description="Of generated tokens, at the daily load."
    )
    cost_per_month: float | None = Field(
        default=None, description="Of the daily load's rented hours."
    )
    break_even_requests_per_s: float | None = Field(
        default=None, description="From how many on, over the rented hours, the API costs more."
    )
    offered: bool = Field(description="Whether the card is commonly for rent or sale.")
    risk: str | None = Field(default=None, description="What may still fail after start.")


class ExcludedReport(Report):
    """Why a card does not do."""

    gpu: str = Field(description="GPU, by its catalogue name.")
    gpus: int = Field(description="How many were tried at most.")
    reason: str = Field(description="What the engine says.")


class CompareReport(Report):
    """compare_hardware's answer."""

    verdict: Verdict = Field(description="What becomes of the best option.")
    model: str = Field(description="The model as it was read.")
    optimise: str = Field(description="What decides.")
    best: OptionReport | None = Field(default=None, description="The best option, if any.")
    serve_command: str | None = Field(
        default=None, description="It as vllm serve, the same that plan_deployment gives."
    )
    currency: str | None = Field(default=None, description="Of every cost, where prices are given.")
    costs: list[str] = Field(
        default_factory=list[str], description="What the best option costs, in sentences."
    )
    options: list[OptionReport] = Field(description="The best option of each GPU, in order.")
    excluded: list[ExcludedReport] = Field(description="GPUs that do not do, and why.")
    has_more: list[str] = Field(
        default_factory=list[str], description="Lists cut by limit, with their length."
    )
    warnings: list[str] = Field(default_factory=list[str], description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list[str], description="What to do next.")
