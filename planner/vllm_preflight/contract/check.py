"""What will vLLM do with exactly these arguments? The question and its answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vllm_preflight.contract.answer import Report, TermReport
from vllm_preflight.contract.hardware import HardwareReport
from vllm_preflight.contract.inputs import EngineInput, HardwareInput, ModelInput
from vllm_preflight.contract.inspect import ModelReport
from vllm_preflight.contract.remedy import Remedy
from vllm_preflight.contract.verdict import Verdict


class StartupRequest(ModelInput, HardwareInput, EngineInput, frozen=True):
    """What will vLLM do with exactly these arguments?"""

    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        default="",
        description="Unless command names it.",
    )
    command: Annotated[str, Field(max_length=100_000)] | None = Field(
        default=None,
        description="vllm serve Qwen/Qwen3-32B -tp 2",
    )

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if not self.model and not self.command:
            raise ValueError("either model or command is required")
        return self


FailureKind = Literal[
    "free_memory_below_request",
    "weights_do_not_fit",
    "no_kv_cache_memory",
    "kv_cache_too_small",
    "mamba_blocks_too_few",
    "out_of_memory_after_sizing",
    "invalid_arguments",
    "unsupported",
    "not_modelled",
]


class Failure(Report):
    """Why vLLM would not start, and what would help."""

    kind: FailureKind = Field(
        description="Which of vLLM's checks fails; not_modelled: vLLM may run it."
    )
    message: str = Field(description="What vLLM says, with the predicted numbers.")
    missing_per_gpu_gib: float | None = Field(
        default=None, description="Memory that one GPU lacks to start with these arguments."
    )
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
        default=None, description="Whether graphs count against the budget."
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
    kv_cache_tokens_at_most: int | None = Field(
        default=None, description="A bound, no prediction: what AMD's vLLM does not exceed."
    )
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


class StartupResponse(Report):
    """predict_startup's answer."""

    verdict: Verdict = Field(description="What becomes of it.")
    model: ModelReport | None = Field(default=None, description="What was read, from where.")
    hardware: HardwareReport = Field(description="The GPUs it would run on.")
    arguments: dict[str, Any] = Field(description="vLLM's arguments with its defaults filled in.")
    defaulted: list[str] = Field(
        default_factory=list, description="Which of the arguments are vLLM's defaults."
    )
    startup: StartupReport = Field(description="What vLLM would print, or how it fails.")
    command: str | None = Field(
        default=None,
        description="The whole vllm serve line; where it would not start, with the first remedy "
        "put in, and absent where none is known.",
    )
    remedies: list[Remedy] | None = Field(
        default=None, description="When it does not start: what makes it, proved."
    )
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list, description="What to do next.")
