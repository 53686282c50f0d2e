"""Which GPUs are there? The question, and the GPUs as every answer shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.request import RequestModel


class DetectRequest(RequestModel, frozen=True):
    """Which GPUs does this machine or a cluster have?"""

    cluster: Literal["none", "ray", "kubernetes"] = Field(
        default="none",
        description="RAY_ADDRESS or KUBECONFIG says which.",
    )
    include_uuid: bool = Field(default=False, description="List each GPU's UUID too.")


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
    vendor: str | None = Field(default=None, description="Where it is not NVIDIA.")
    architecture: str | None = Field(default=None, description="AMD's, such as gfx942.")
    partition: str | None = Field(default=None, description="How an AMD card is split.")
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


class HardwareReport(Report):
    """The GPUs a plan is for."""

    gpu: str = Field(description="GPU name.")
    gpus: int = Field(description="GPUs the plan uses.")
    gpus_available: int | None = Field(default=None, description="GPUs there are.")
    visible_gib_per_gpu: float = Field(description="GiB CUDA shows per GPU.")
    visible_basis: str = Field(description="Whether that is measured, derived or given.")
    free_gib_per_gpu: float | None = Field(
        default=None, description="GiB free per GPU, where others hold the rest."
    )
    compute_capability: str | None = Field(default=None, description="Such as 9.0.")
    memory_bandwidth_gb_s: float | None = Field(default=None, description="GB/s per GPU.")
    interconnect: str = Field(description="Link between GPUs.")
    nodes: int = Field(description="Machines.")
