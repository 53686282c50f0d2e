"""How much memory does vLLM take beside weights and KV cache?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vllm_preflight.contract.answer import Report, TermReport
from vllm_preflight.contract.request import Count, Gib, RequestModel


class OverheadRequest(RequestModel, frozen=True):
    """How much memory does vLLM take beside weights and KV cache?"""

    vram_total_gib: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        default=None, description="GiB of the whole group."
    )
    tensor_parallel_size: Count = Field(default=1, description="GPUs of the group.")
    overhead_gb: Gib | None = Field(default=None, description="GiB instead of the formula's.")
    model: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None,
        description="With gpu: also its predicted memory.",
    )
    gpu: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        default=None, description="Such as H100."
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="0.19.0; default: newest."
    )


class OverheadReport(Report):
    """compute_overhead's answer."""

    overhead_bytes: int = Field(description="Bytes over the tensor-parallel group.")
    overhead_gib: float = Field(description="The same in GiB.")
    method: Literal["formula", "fixed", "fitted"] = Field(
        description="The formula, the value given, or the fitted runtime memory."
    )
    fitted_per_gpu_gib: float | None = Field(
        default=None,
        description="Predicted runtime memory of the model named: activation peak, non-torch "
        "memory and charged CUDA graphs.",
    )
    fitted_all_gpus_gib: float | None = Field(
        default=None, description="The same over the tensor-parallel group."
    )
    fitted_difference_all_gpus_gib: float | None = Field(
        default=None, description="fitted_all_gpus_gib minus overhead_gib."
    )
    terms: list[TermReport] = Field(description="Each part of the group's, with its formula.")
    fitted_terms_per_gpu: list[TermReport] | None = Field(
        default=None, description="Each part of fitted_per_gpu_gib, with its formula."
    )
