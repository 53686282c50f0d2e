"""What should be run for this workload? The question and its answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vllm_preflight.contract.answer import Report, TermReport
from vllm_preflight.contract.check import StartupReport
from vllm_preflight.contract.costs import CostReport, PriceInput
from vllm_preflight.contract.hardware import HardwareReport
from vllm_preflight.contract.inputs import (
    EngineInput,
    HardwareInput,
    ModelInput,
    PolicyInput,
    WorkloadInput,
)
from vllm_preflight.contract.inspect import ModelReport
from vllm_preflight.contract.performance import PerfEstimate, PoolingEstimate
from vllm_preflight.contract.remedy import Remedy
from vllm_preflight.contract.verdict import OomRisk, Verdict

# How the sentence of a wanted time begins.
TARGET = "The target of "


class PlanRequest(
    ModelInput, HardwareInput, WorkloadInput, PolicyInput, EngineInput, PriceInput, frozen=True
):
    """What should I run so that my workload is carried?"""


class FeasibilityReport(Report):
    """The workload against the memory of one whole tensor-parallel group.

    Of a launch that is not modelled, what hangs on its overhead or its start is left out.
    """

    fits: bool = Field(description="Whether the outcome is carries.")
    oom_risk: OomRisk | None = Field(
        default=None,
        description="low: starts with 0.95 or more; medium: with 0.5 or more; else high.",
    )
    vram_total_gib: float = Field(description="Memory of the group.")
    vram_target_alloc_gib: float = Field(description="What vLLM may use of it.")
    weights_gib: float = Field(description="Weights.")
    kv_cache_gib: float = Field(description="KV cache that the workload's requests need.")
    overhead_gib: float | None = Field(default=None, description="Runtime overhead.")
    overhead_method: Literal["engine", "formula", "fixed"] = Field(
        description="Where the overhead comes from."
    )
    overhead_formula_gib: float = Field(description="What compute_overhead gives for the group.")
    required_gib: float | None = Field(default=None, description="weights + kv_cache + overhead.")
    headroom_gib: float | None = Field(default=None, description="Left over; negative when short.")
    context_tokens: int = Field(description="Tokens per request that were sized.")
    concurrency: int = Field(description="Requests that were sized.")
    max_concurrency_at_context: int | None = Field(
        default=None, description="Requests of that length at once."
    )
    max_concurrency_at_full_length: int | None = Field(
        default=None, description="Requests of max_model_len at once."
    )
    max_concurrency_at_typical_length: int | None = Field(
        default=None, description="Requests of prompt_tokens + gen_tokens at once."
    )
    decided_by: Literal["max_model_len", "typical_length"] = Field(
        description="Which length the verdict is for."
    )
    max_context_at_concurrency: int | None = Field(
        default=None, description="Longest request at the concurrency."
    )
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")


class VLLMConfig(Report):
    """Recommended vLLM arguments, each explained."""

    model: str = Field(description="Model id or folder.")
    revision: str | None = Field(default=None, description="Pinned revision.")
    tokenizer: str | None = Field(default=None, description="Tokenizer when not the model's.")
    trust_remote_code: bool | None = Field(default=None, description="As asked.")
    dtype: str | None = Field(default=None, description="When not the model's own.")
    quantization: str | None = Field(default=None, description="When not the checkpoint's own.")
    kv_cache_dtype: str | None = Field(default=None, description="When not auto.")
    tensor_parallel_size: int = Field(description="Tensor-parallel size.")
    pipeline_parallel_size: int = Field(default=1, description="Pipeline-parallel size.")
    data_parallel_size: int = Field(default=1, description="Replicas.")
    enable_expert_parallel: bool | None = Field(default=None, description="Expert parallelism.")
    max_model_len: int = Field(description="Longest request in tokens.")
    gpu_memory_utilization: float = Field(description="Share of GPU memory.")
    max_num_seqs: int = Field(description="Most sequences per batch.")
    max_num_batched_tokens: int = Field(description="Most tokens per step.")
    block_size: int | None = Field(default=None, description="When pinned.")
    enforce_eager: bool | None = Field(default=None, description="When pinned.")
    enable_prefix_caching: bool | None = Field(default=None, description="When pinned.")
    cpu_offload_gb: float | None = Field(default=None, description="When pinned.")
    explanations: dict[str, str] = Field(description="Why each setting is what it is.")


class Tradeoff(Report):
    """One recommended setting weighed against its neighbours by the engine."""

    setting: str = Field(description="vLLM's argument.")
    value: str = Field(description="As recommended.")
    why: str = Field(description="Why it is that.")
    costs: str = Field(description="What it costs.")
    next_choice: str = Field(description="The next better choice and what it needs.")


class Artifacts(Report):
    """Things to run."""

    serve_command: str | None = Field(
        default=None, description="vllm serve for a POSIX shell; absent when it would not start."
    )
    node_commands: list[str] | None = Field(
        default=None, description="With several nodes: the line of each, the first the head's."
    )


class PlanResponse(Report):
    """plan_deployment's answer."""

    verdict: Verdict = Field(description="What becomes of it.")
    model: ModelReport = Field(description="What was read, from where.")
    hardware: HardwareReport = Field(description="The GPUs planned for.")
    feasibility: FeasibilityReport = Field(description="Whether it fits, and by how much.")
    config: VLLMConfig = Field(description="Recommended arguments with reasons.")
    startup: StartupReport | None = Field(
        default=None, description="What vLLM would do with these arguments."
    )
    performance: PerfEstimate | None = Field(
        default=None, description="How fast it serves the workload, where that can be estimated."
    )
    pooling: PoolingEstimate | None = Field(
        default=None, description="The same for a model that embeds or scores texts."
    )
    artifacts: Artifacts = Field(description="Commands to run.")
    cost: CostReport | None = Field(
        default=None, description="What the GPUs cost, where prices are given."
    )
    remedies: list[Remedy] | None = Field(
        default=None, description="When it does not carry the workload: what helps, proved."
    )
    alternatives: list[Remedy] | None = Field(
        default=None, description="Other ways to carry it with fewer GPUs, proved."
    )
    tradeoffs: list[Tradeoff] | None = Field(
        default=None, description="What each setting costs and what better needs (detail=full)."
    )
    terms: list[TermReport] | None = Field(
        default=None, description="Every number with formula, basis and source (detail=full)."
    )
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list, description="What to do next.")
