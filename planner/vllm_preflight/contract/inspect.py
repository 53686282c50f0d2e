"""What is this model made of? The question, and the model as every answer shows it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vllm_preflight.contract.answer import Report, TermReport
from vllm_preflight.contract.inputs import ModelSource


class InspectRequest(ModelSource, frozen=True):
    """What is this model made of?"""


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


class InspectReport(Report):
    """inspect_model's answer."""

    model: ModelReport = Field(description="What was read, from where.")
    parameters: dict[str, int] = Field(description="Parameters by part.")
    layer_groups: list[str] = Field(description="Layers of a kind, with their caches.")
    terms: list[TermReport] | None = Field(default=None, description="Numbers (detail=full).")
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")
