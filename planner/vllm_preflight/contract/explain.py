"""What happened in this vLLM log, and what to change? The question and its answer."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.check import FailureKind, StartupReport
from vllm_preflight.contract.request import RequestModel

# What a message of 4 MiB holds, however it is escaped but for the worst; a start-up's log has
# a tenth of it. A log file of any size is read at both ends.
MOST_LOG_CHARACTERS = 2_000_000


class ExplainRequest(RequestModel, frozen=True):
    """What happened in this vLLM start-up, and what to change?"""

    log: Annotated[str, Field(min_length=1, max_length=MOST_LOG_CHARACTERS)] = Field(
        description="More lines tell more."
    )
    model: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="If not in the log."
    )
    gpu: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        default=None, description="If not in the log."
    )
    vram_gb: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="GiB that CUDA shows."
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="If not in the log."
    )


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


class TermComparison(Report):
    """One figure of a log beside the prediction for the same arguments."""

    term: str = Field(description="Name of the figure, with its unit.")
    logged: int | float | None = Field(default=None, description="As the log prints it.")
    predicted: int | float | None = Field(default=None, description="As predicted.")
    difference: int | float | None = Field(default=None, description="Logged minus predicted.")


class LogFailureReport(Report):
    """How the start-up in a log failed."""

    kind: FailureKind | Literal["out_of_memory", "other"] = Field(
        description="Which check failed; out_of_memory: at a point the log does not show; "
        "other: nothing to do with memory."
    )
    message: str = Field(description="vLLM's sentence, shortened, secrets removed.")
    phase: str | None = Field(
        default=None, description="loading, profiling, after sizing or serving, when shown."
    )
    certain: bool = Field(
        default=True,
        description="false: the log lacks the stack that would prove it; the likeliest is given.",
    )
    figures: dict[str, float] = Field(
        default_factory=dict[str, float], description="Numbers of the sentence."
    )
    cause: str | None = Field(default=None, description="Its row in the catalogue of causes.")
    remedy: str | None = Field(default=None, description="What to do about that cause.")
    setting: str | None = Field(default=None, description="Flag, variable or file to change.")


class LogExplanationReport(Report):
    """explain_startup_log's answer."""

    outcome: Literal["started", "started_then_failed", "failed", "unknown"] = Field(
        description="What the log shows; unknown when it shows neither."
    )
    explanation: str = Field(description="What happened and which setting to change.")
    vllm_version: str | None = Field(default=None, description="As the log prints it.")
    engine: Literal["V0", "V1"] | None = Field(default=None, description="vLLM's engine.")
    model: str | None = Field(default=None, description="The model that was started.")
    gpu: str | None = Field(default=None, description="The GPU compared with.")
    failure: LogFailureReport | None = Field(default=None, description="How it failed.")
    comparison: list[TermComparison] = Field(
        default_factory=list[TermComparison],
        description="The log's figures beside the prediction's, per GPU.",
    )
    largest_difference: str | None = Field(
        default=None, description="The memory term that differs most."
    )
    remedies: list[str] = Field(
        default_factory=list[str],
        description="Changes after which it starts, each checked by the engine with the log's "
        "own figures.",
    )
    calibration: Calibration | None = Field(
        default=None, description="Pass it on as the field calibration, as JSON."
    )
    command: str | None = Field(
        default=None, description="The vllm serve line of the log, as far as it shows it."
    )
    prediction: StartupReport | None = Field(
        default=None, description="The whole prediction (detail=full)."
    )
    warnings: list[str] = Field(default_factory=list[str], description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list[str], description="What to do next.")

    def concise(self) -> Self:
        """The answer without the whole prediction, which the comparison sums up."""
        return super().concise().model_copy(update={"prediction": None})
