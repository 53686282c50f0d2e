"""What a user is answered: the models behind every tool, command and file.

Fields say their unit (`_gib`, `_bytes`, `_tokens`). Optional fields are left out when
there is nothing to say, never null.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from vllm_preflight.terms import Basis, Term
from vllm_preflight.units import bytes_to_gib


class Report(BaseModel):
    """Base of all answers: closed, and serialised without empty optional fields."""

    model_config = ConfigDict(extra="forbid")

    def to_json_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values, empty optional fields left out."""
        return self.model_dump(mode="json", exclude_none=True)

    def concise(self) -> Self:
        """The answer without the terms behind its figures, at any depth."""
        changes: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name == "terms":
                changes[name] = None
            elif isinstance(value, Report):
                changes[name] = value.concise()
        return self.model_copy(update=changes)


class TermReport(Report):
    """One number of an answer and where it comes from."""

    name: str = Field(description="What the figure is.")
    formula: str = Field(description="How it was computed.")
    basis: Basis = Field(description="exact, derived, fitted, measured or assumed.")
    source: str = Field(description="Where formula or figure come from.")
    bytes: int | None = Field(default=None, description="Memory in bytes.")
    gib: float | None = Field(default=None, description="The same in GiB.")
    value: float | int | None = Field(default=None, description="A figure that is no memory.")
    unit: str | None = Field(default=None, description="Unit of value.")


def report_terms(terms: Iterable[Term]) -> list[TermReport]:
    """Terms as they appear in an answer."""
    return [
        TermReport(
            name=term.name,
            formula=term.formula,
            basis=term.basis,
            source=term.source,
            bytes=term.bytes,
            gib=None if term.bytes is None else bytes_to_gib(term.bytes, 3),
            value=term.value,
            unit=term.unit or None,
        )
        for term in terms
    ]


class ModelReport(Report):
    """The model as it was read."""

    model: str = Field(description="Id or folder as asked.")
    origin: Literal["local", "cache", "catalog", "hub"] = Field(description="Where it was read.")
    revision: str | None = Field(default=None, description="Commit on the Hub, when known.")
    provenance: str = Field(description="Source of the facts and how complete they are.")
    architecture: str = Field(description="Model class, as vLLM names it.")
    model_type: str = Field(description="Hugging Face model type.")
    params_total: int = Field(description="Parameters, from the shapes.")
    params_published: int | None = Field(default=None, description="Parameters as published.")
    checkpoint_bytes: int | None = Field(default=None, description="Stored weights, when known.")
    dtype: str = Field(description="Dtype vLLM will use.")
    quantization: str = Field(description="Weight scheme, or none.")
    max_position: int = Field(description="The model's own maximum length in tokens.")
    layers: int = Field(description="Decoder layers.")
    attention: str = Field(description="Kinds of layers and what they cache.")
    kv_bytes_per_token: int = Field(description="Whole model at full length, in KV dtype.")
    experts: str | None = Field(default=None, description="Routed experts, for mixtures.")


class GPUInfo(Report):
    """One GPU, detected or from the catalogue."""

    name: str = Field(description="Name as the driver or the catalogue gives it.")
    vram_mib: int = Field(description="Memory in MiB: NVML's total when known.")
    free_mib: int | None = Field(default=None, description="Free memory in MiB now.")
    used_mib: int | None = Field(default=None, description="Used memory in MiB now.")
    visible_gib: float | None = Field(
        default=None, description="GiB that CUDA shows to vLLM, of which utilisation is a share."
    )
    compute_capability: str | None = Field(default=None, description="Such as 9.0.")
    driver_version: str | None = Field(default=None, description="NVIDIA driver.")
    cuda_version: str | None = Field(default=None, description="CUDA version of the driver.")
    index: int | None = Field(default=None, description="Index on this machine.")
    uuid: str | None = Field(default=None, description="Only when asked for.")
    catalog_name: str | None = Field(default=None, description="Matching catalogue entry.")
    mig_instances: list[str] | None = Field(default=None, description="MIG instances, if any.")
    nvlink_peers: list[int] | None = Field(
        default=None, description="Indices of GPUs linked by NVLink."
    )
    process_mib: int | None = Field(default=None, description="Memory held by processes, MiB.")


class NodeInfo(Report):
    """One machine of a cluster."""

    node: str = Field(description="Name in the cluster.")
    gpu: str = Field(description="GPU, as the catalogue calls it where it is known.")
    gpus: int = Field(description="GPUs the cluster may give away.")
    reported: str = Field(description="What the cluster calls the GPU.")
    visible_gib: float = Field(description="GiB that CUDA shows per GPU.")


class DetectReport(Report):
    """What this machine or a cluster has."""

    gpus: list[GPUInfo] = Field(description="GPUs found; empty when none is usable.")
    nodes: list[NodeInfo] | None = Field(
        default=None, description="A cluster's machines with GPUs, instead of gpus."
    )
    reason: str | None = Field(default=None, description="Why the list is empty or partial.")
    driver_version: str | None = Field(default=None, description="NVIDIA driver.")
    cuda_version: str | None = Field(default=None, description="CUDA version of the driver.")
    next_steps: list[str] = Field(default_factory=list, description="What to do next.")


class OverheadReport(Report):
    """compute_overhead's answer."""

    overhead_bytes: int = Field(description="Bytes over the tensor-parallel group.")
    overhead_gib: float = Field(description="The same in GiB.")
    method: Literal["formula", "fixed", "fitted"] = Field(
        description="The formula, the value given, or the fitted runtime memory."
    )
    fitted_gib: float | None = Field(
        default=None,
        description="Predicted runtime memory of the model named, over the group: activation "
        "peak, non-torch memory and charged CUDA graphs.",
    )
    fitted_difference_gib: float | None = Field(
        default=None, description="fitted_gib minus overhead_gib."
    )
    terms: list[TermReport] = Field(description="Each part with its formula.")


class HardwareReport(Report):
    """The GPUs a plan is for."""

    gpu: str = Field(description="GPU name.")
    gpus: int = Field(description="GPUs the plan uses.")
    gpus_available: int | None = Field(default=None, description="GPUs there are.")
    visible_gib_per_gpu: float = Field(description="GiB CUDA shows per GPU.")
    visible_basis: str = Field(description="Whether that is measured, derived or given.")
    compute_capability: str | None = Field(default=None, description="Such as 9.0.")
    memory_bandwidth_gb_s: float | None = Field(default=None, description="GB/s per GPU.")
    interconnect: str = Field(description="Link between GPUs.")
    nodes: int = Field(description="Machines.")


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


FailureKind = Literal[
    "free_memory_below_request",
    "weights_do_not_fit",
    "no_kv_cache_memory",
    "kv_cache_too_small",
    "mamba_blocks_too_few",
    "out_of_memory_after_sizing",
    "invalid_arguments",
    "unsupported",
]


class Failure(Report):
    """Why vLLM would not start, and what would help."""

    kind: FailureKind = Field(description="Which of vLLM's checks fails.")
    message: str = Field(description="What vLLM says, with the predicted numbers.")
    remedies: list[str] = Field(
        default_factory=list,
        description="Changes after which it starts, each checked by the engine.",
    )


class StartupInterval(Report):
    """80 % intervals from the residuals of runs the fit has not seen."""

    available_kv_cache_gib: tuple[float, float] = Field(description="Low and high, per GPU.")
    kv_cache_tokens: tuple[int, int] | None = Field(default=None, description="Low and high.")


class LengthCapacity(Report):
    """How many requests of one length the KV cache holds at once."""

    tokens: int = Field(description="Length of each request.")
    requests: float = Field(description="Requests of that length at once.")


class StartupReport(Report):
    """What vLLM would print at start-up; memory per GPU."""

    vllm_version: str = Field(description="The vLLM release predicted for.")
    starts: bool = Field(description="Whether it reaches a serving state.")
    start_probability: float | None = Field(
        default=None, description="Probability that it starts, from the interval."
    )
    weights_gib: float | None = Field(
        default=None, description="'Model loading took', on the fullest rank."
    )
    activation_peak_gib: float | None = Field(
        default=None, description="Peak of the profiling run above the weights."
    )
    non_torch_gib: float | None = Field(
        default=None, description="CUDA context growth, NCCL, workspaces."
    )
    cuda_graph_gib: float | None = Field(default=None, description="CUDA graphs.")
    cuda_graph_charged: bool | None = Field(
        default=None, description="Whether graphs count against the budget (since 0.21)."
    )
    available_kv_cache_gib: float | None = Field(
        default=None, description="'Available KV cache memory', on the emptiest rank."
    )
    kv_bytes_per_token: int | None = Field(
        default=None, description="Per GPU over all layers, for one more token of a long request."
    )
    block_size: int | None = Field(default=None, description="Tokens per block.")
    num_gpu_blocks: int | None = Field(default=None, description="Blocks of the pool.")
    kv_cache_tokens: int | None = Field(default=None, description="'GPU KV cache size'.")
    max_model_len: int | None = Field(default=None, description="Longest request, in tokens.")
    max_concurrency: float | None = Field(
        default=None, description="'Maximum concurrency' for requests of max_model_len."
    )
    estimated_max_model_len: int | None = Field(
        default=None, description="Longest max_model_len, up to the model's own, that would start."
    )
    requests_by_length: list[LengthCapacity] | None = Field(
        default=None, description="Requests of each length that the KV cache holds at once."
    )
    interval: StartupInterval | None = Field(default=None, description="80 % intervals.")
    failure: Failure | None = Field(default=None, description="Only when it does not start.")
    terms: list[TermReport] | None = Field(
        default=None, description="Every number with formula, basis and source (detail=full)."
    )
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")


class Artifacts(Report):
    """Things to run."""

    serve_command: str = Field(description="vllm serve, quoted for a POSIX shell.")


class SpeedPoint(Report):
    """Speed with so many requests in flight."""

    concurrency: float = Field(description="Requests in flight.")
    ttft_ms: float = Field(description="Mean time to the first token.")
    tpot_ms: float = Field(description="Mean time between later tokens.")
    output_tokens_per_s: float = Field(description="Generated tokens of all requests.")
    latency_ms: float = Field(description="A whole request.")


class LatencyTarget(Report):
    """How target_latency_ms is met."""

    latency_ms: float = Field(description="As asked.")
    reached: bool = Field(description="At the workload's concurrency.")
    max_concurrency: int | None = Field(
        default=None, description="Most requests in flight within it; absent: not even one."
    )
    fastest_ms: float = Field(description="A request that is alone.")


class PerfEstimate(Report):
    """How fast it serves the workload, estimated; times are means."""

    concurrency: float = Field(description="Requests in flight.")
    running: float = Field(description="Requests that run at once; the others wait.")
    ttft_ms: float = Field(description="Time to first token, waiting included.")
    tpot_ms: float = Field(description="Time per output token after the first.")
    itl_ms: float = Field(description="Time between pieces of a stream.")
    latency_ms: float = Field(description="A whole request.")
    output_tokens_per_s: float = Field(description="Generated tokens of all requests.")
    total_tokens_per_s: float = Field(description="The same with prompts.")
    requests_per_s: float = Field(description="Requests finished.")
    output_tokens_per_s_per_request: float = Field(description="What one reader sees.")
    interval: dict[str, tuple[float, float]] = Field(
        description="80 % intervals by field, from the residuals of runs the fit has not seen."
    )
    target: LatencyTarget | None = Field(default=None, description="How the target is met.")
    curve: list[SpeedPoint] | None = Field(
        default=None, description="Speed over concurrency (detail=full)."
    )
    terms: list[TermReport] | None = Field(default=None, description="Numbers (detail=full).")
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")

    def concise(self) -> Self:
        """The answer without the terms and the curve."""
        return super().concise().model_copy(update={"curve": None})


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


class StartupResponse(Report):
    """predict_startup's answer."""

    summary: str = Field(description="The verdict in one sentence.")
    model: ModelReport | None = Field(default=None, description="What was read, from where.")
    hardware: HardwareReport = Field(description="The GPUs it would run on.")
    arguments: dict[str, Any] = Field(description="vLLM's arguments with its defaults filled in.")
    defaulted: list[str] = Field(
        default_factory=list, description="Which of the arguments are vLLM's defaults."
    )
    startup: StartupReport = Field(description="What vLLM would print, or how it fails.")
    command: str = Field(description="The vllm serve line predicted, quoted for a POSIX shell.")
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list, description="What to do next.")


class InspectReport(Report):
    """inspect_model's answer."""

    model: ModelReport = Field(description="What was read, from where.")
    parameters: dict[str, int] = Field(description="Parameters by part.")
    layer_groups: list[str] = Field(description="Layers of a kind, with their caches.")
    terms: list[TermReport] | None = Field(default=None, description="Numbers (detail=full).")
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")


class Calibration(Report):
    """What one log measured differently from the prediction, for later calls to add.

    Each figure is logged minus predicted, per GPU on the rank that decides. It holds for
    the same model, GPU, release and parallel sizes.
    """

    model: str = Field(description="The model the log is of.")
    gpu: str = Field(description="Catalogue name of the GPU.")
    vllm_version: str = Field(description="Release of vLLM.")
    tensor_parallel_size: int = Field(default=1, description="Tensor-parallel size.")
    pipeline_parallel_size: int = Field(default=1, description="Pipeline-parallel size.")
    weights_gib: float | None = Field(default=None, description="GiB to add to the weights.")
    activation_gib: float | None = Field(
        default=None, description="GiB to add to the activation peak."
    )
    non_torch_gib: float | None = Field(
        default=None,
        description="GiB to add to non-torch memory; also takes what the log does not attribute.",
    )
    cuda_graph_gib: float | None = Field(default=None, description="GiB to add to CUDA graphs.")
