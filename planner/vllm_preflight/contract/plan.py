"""What should be run for this workload? The question and its answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vllm_preflight.contract.answer import Report, TermReport
from vllm_preflight.contract.check import StartupReport
from vllm_preflight.contract.hardware import HardwareReport
from vllm_preflight.contract.inputs import (
    EngineInput,
    HardwareInput,
    ModelInput,
    PolicyInput,
    WorkloadInput,
)
from vllm_preflight.contract.inspect import ModelReport
from vllm_preflight.contract.performance import PerfEstimate


class PlanRequest(ModelInput, HardwareInput, WorkloadInput, PolicyInput, EngineInput, frozen=True):
    """What should I run so that my workload fits with margin?"""

    # Sizing has a default of its own where a simulation takes the version's.
    gpu_memory_utilization: Annotated[float, Field(ge=0.5, le=0.98)] = Field(
        default=0.90, description="Share of each GPU's memory vLLM may use."
    )


class FeasibilityReport(Report):
    """Whether the workload fits, over the whole tensor-parallel group."""

    fits: bool = Field(description="Headroom is at least headroom_gb.")
    oom_risk: Literal["low", "medium", "high"] = Field(
        description="low: 2 GiB or more left; medium: 0 to 2; high: short."
    )
    vram_total_gib: float = Field(description="Memory of the group.")
    vram_target_alloc_gib: float = Field(description="What vLLM may use of it.")
    weights_gib: float = Field(description="Weights.")
    kv_cache_gib: float = Field(description="KV cache for the workload, with fragmentation.")
    overhead_gib: float = Field(description="Runtime overhead.")
    required_gib: float = Field(description="weights + kv_cache + overhead.")
    headroom_gib: float = Field(description="Left over; negative when short.")
    context_tokens: int = Field(description="Tokens per request that were sized.")
    concurrency: int = Field(description="Requests that were sized.")
    max_concurrency_at_context: int = Field(description="Most requests of that length.")
    max_concurrency_at_full_length: int = Field(description="Most requests of max_model_len.")
    max_concurrency_at_typical_length: int = Field(
        description="Most requests of prompt_tokens + gen_tokens."
    )
    decided_by: Literal["max_model_len", "typical_length"] = Field(
        description="Which length the verdict is for."
    )
    max_context_at_concurrency: int = Field(description="Longest request at the concurrency.")
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


class Remedy(Report):
    """A change that makes it fit, checked by running the engine again."""

    change: str = Field(description="What to change, as flags or request fields.")
    effect: str = Field(description="What it gives.")


class Artifacts(Report):
    """Things to run."""

    serve_command: str | None = Field(
        default=None, description="vllm serve, quoted for a POSIX shell; none for a what-if."
    )


class PlanResponse(Report):
    """plan_deployment's answer."""

    summary: str = Field(description="The verdict in one sentence.")
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
    artifacts: Artifacts = Field(description="Commands to run.")
    remedies: list[Remedy] | None = Field(
        default=None, description="When it does not fit: what would, checked by the engine."
    )
    tradeoffs: list[Tradeoff] | None = Field(
        default=None, description="What each setting costs and what better needs (detail=full)."
    )
    terms: list[TermReport] | None = Field(
        default=None, description="Every number with formula, basis and source (detail=full)."
    )
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list, description="What to do next.")
