"""Which GPUs carry this model and workload, side by side? The question and its answer."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.inputs import PUBLISHED_KV_DTYPES, KvCacheDtype
from vllm_preflight.contract.request import JsonText, RequestModel, Tokens


def _names(value: object) -> object:
    """A list of names as the one text they are elsewhere; models send either."""
    if isinstance(value, list):
        return ",".join(map(str, cast(list[object], value)))
    return value


class CompareRequest(RequestModel, frozen=True):
    """Which GPUs carry this model and workload, side by side?"""

    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Hub id, catalogue id or local folder, such as Qwen/Qwen3-32B."
    )
    gpus: Annotated[str, Field(max_length=2_000), BeforeValidator(_names)] = Field(
        default="",
        description="Names or instance types, comma-separated, or all. Default: data-centre and "
        "workstation cards.",
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
        json_schema_extra={"enum": PUBLISHED_KV_DTYPES},
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


class OptionReport(Report):
    """One way to carry the workload."""

    gpu: str = Field(description="GPU, by its catalogue name.")
    gpus: int = Field(description="GPUs of all replicas.")
    layout: str = Field(description="TP × PP × DP sizes above 1; EP: expert parallel.")
    precision: str = Field(description="Weights; the checkpoint where it is another.")
    kv_cache_dtype: str = Field(description="auto or the dtype asked of vLLM.")
    requests: int = Field(description="Requests of the workload's length at once.")
    kv_cache_tokens: int = Field(description="KV cache of one replica, in tokens.")
    max_model_len: int = Field(description="Recommended max_model_len.")
    longest: int = Field(description="Longest max_model_len that starts.")
    settings: str | None = Field(default=None, description="Flags that make room, if any.")
    nodes: int | None = Field(default=None, description="Machines, when more than one.")
    output_tokens_per_s: float | None = Field(
        default=None, description="Estimated, all requests together, when known."
    )
    latency_ms: float | None = Field(
        default=None, description="Estimated, of a whole request, when known."
    )
    cost_per_hour: float | None = Field(default=None, description="When its price is given.")
    cost_per_million_tokens: float | None = Field(
        default=None,
        description="Of generated tokens at the workload's concurrency, when price and speed "
        "are known.",
    )
    risk: str | None = Field(default=None, description="What may still fail after start.")


class ExcludedReport(Report):
    """Why fewer GPUs, or any number, do not do."""

    gpu: str = Field(description="GPU, by its catalogue name.")
    gpus: int = Field(description="How many were tried at most.")
    reason: str = Field(description="What the engine, or a rule of vLLM's, says.")
    rule: str | None = Field(default=None, description="The rule's name, where one decides.")


class CompareReport(Report):
    """compare_hardware's answer."""

    summary: str = Field(description="The outcome in one or two sentences.")
    model: str = Field(description="The model as it was read.")
    optimise: str = Field(description="What decides.")
    best: OptionReport | None = Field(default=None, description="The best option, if any.")
    serve_command: str | None = Field(default=None, description="It, as vllm serve.")
    runner_up: str | None = Field(default=None, description="The next best, and why it lost.")
    options: list[OptionReport] = Field(description="The best option of each GPU, in order.")
    frontier: list[OptionReport] | None = Field(
        default=None, description="Options no other beats, cheapest first (detail=full)."
    )
    excluded: list[ExcludedReport] = Field(
        description="GPUs that do not do at all, then why fewer of a GPU do not."
    )
    has_more: list[str] = Field(
        default_factory=list[str], description="Lists cut by limit, with their length."
    )
    candidates: int = Field(description="Candidates judged.")
    warnings: list[str] = Field(default_factory=list[str], description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list[str], description="What to do next.")

    def concise(self) -> CompareReport:
        """The answer without the frontier, which lists further numbers of the same GPUs."""
        more = [text for text in self.has_more if not text.startswith("frontier")]
        return self.model_copy(update={"frontier": None, "has_more": more})
