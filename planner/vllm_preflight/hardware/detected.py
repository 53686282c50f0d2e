"""What detection found: GPUs of this machine as the driver describes them."""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.hardware.gpu import ComputeCapability


@dataclass(frozen=True)
class MigInstance:
    """One slice of a GPU split by MIG; CUDA treats it as a GPU of its own.

    Memory in MiB. `uuid` only when it was asked for.
    """

    index: int
    name: str
    total_mib: int
    free_mib: int
    used_mib: int
    uuid: str | None = None


@dataclass(frozen=True)
class DetectedGpu:
    """One GPU as NVML, or AMD SMI, describes it now.

    Attributes:
        index: NVML's index, in PCI order; HIP's where AMD SMI tells it.
        name: the driver's name.
        vendor: "NVIDIA" or "AMD".
        total_mib: NVML's total in MiB; the system's memory where it is unified.
        free_mib: free now, in MiB.
        used_mib: used now, in MiB, without the driver's reserve where NVML tells them apart.
        reserved_mib: kept by driver and firmware, None where an old driver does not say.
        compute_capability: (major, minor).
        driver_version: such as "580.65.06".
        cuda_version: newest CUDA the driver runs, such as "13.0".
        uuid: only when it was asked for.
        mig_enabled: split by MIG; then only `mig_instances` run anything.
        mig_instances: the instances a process may use, in CUDA's order.
        nvlink_peers: indices of the GPUs it reaches over NVLink, or xGMI of AMD.
        process_mib: memory of the processes NVML sees, in MiB; None when it does not say.
        unified: it shares the system's memory and has none of its own.
        shows_total: CUDA shows NVML's whole total, as under WSL.
        architecture: AMD's name of the instruction set, such as "gfx942".
        partition: how an AMD card is split, such as "CPX, NPS4".
    """

    index: int
    name: str
    total_mib: int
    free_mib: int
    used_mib: int
    reserved_mib: int | None = None
    compute_capability: ComputeCapability | None = None
    driver_version: str | None = None
    cuda_version: str | None = None
    uuid: str | None = None
    mig_enabled: bool = False
    mig_instances: tuple[MigInstance, ...] = ()
    nvlink_peers: tuple[int, ...] = ()
    process_mib: int | None = None
    unified: bool = False
    shows_total: bool = False
    vendor: str = "NVIDIA"
    architecture: str | None = None
    partition: str | None = None

    @property
    def usable_free_mib(self) -> int:
        """MiB a process can get now: of the first instance where the GPU is split by MIG."""
        return self.mig_instances[0].free_mib if self.mig_instances else self.free_mib


@dataclass(frozen=True)
class Detection:
    """The GPUs a CUDA process would see here, in its order.

    `reason` says in sentences why the list is empty, partial or needs care; else None.
    """

    gpus: tuple[DetectedGpu, ...] = ()
    reason: str | None = None
    driver_version: str | None = None
    cuda_version: str | None = None
