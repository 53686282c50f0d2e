"""Which models run on these GPUs? The question and its answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.inputs import HardwareInput, WorkloadInput
from vllm_preflight.contract.request import Tokens


class FindRequest(HardwareInput, WorkloadInput, frozen=True):
    """Which models of the catalogue carry this workload on these GPUs?"""

    max_model_len: Tokens | None = Field(
        default=None, description="Longest request; all are sized so."
    )
    family: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="Words of the id: qwen3."
    )
    task: Literal["generate", "embed", "any"] = Field(
        default="generate", description="What the models do."
    )
    max_params_b: Annotated[float, Field(gt=0, le=100_000)] | None = Field(
        default=None, description="Most parameters, in billions."
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="0.19.0; default: newest."
    )
    limit: Annotated[int, Field(ge=1, le=500)] = Field(default=20, description="Most rows.")


class FoundModel(Report):
    """One family's model in the best precision that carries the workload."""

    model: str = Field(description="Id of the checkpoint.")
    params_b: float = Field(description="Parameters in billions.")
    weights: str = Field(description="How the weights are stored.")
    gpus: int = Field(description="GPUs it uses.")
    layout: str = Field(description="TP × PP × DP sizes above 1.")
    outcome: Literal["carries", "queues"] = Field(description="Whether some requests wait.")
    requests_at_once: int = Field(description="Requests of the workload's length at once.")
    max_model_len: int = Field(description="Longest request it takes, one at a time.")
    output_tokens_per_s: float | None = Field(
        default=None, description="Estimated, all requests of the workload together."
    )
    facts: str = Field(description="How complete the catalogue's facts of it are.")
    serve_command: str = Field(description="The vllm serve line that plan_deployment gives.")


class FindReport(Report):
    """find_models' answer."""

    gpu: str = Field(description="GPU, by its catalogue name.")
    gpus: int = Field(description="GPUs there are; one where the number was left open.")
    requests: str = Field(description="The workload that was judged.")
    models: list[FoundModel] = Field(description="Largest first, one row a model.")
    judged: int = Field(description="Models of the catalogue that were judged.")
    carried: int = Field(description="Rows before limit.")
    warnings: list[str] = Field(default_factory=list[str], description="What to look out for.")
