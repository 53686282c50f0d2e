"""The facts of one GPU that the engine reckons with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ComputeCapability = tuple[int, int]

# Where `visible_bytes` comes from: printed by a run on such a card, taken from the
# driver now, derived from NVML's total or the marketing size, or given by the user.
VisibleBasis = Literal["measured", "detected", "derived", "given"]


@dataclass(frozen=True)
class Gpu:
    """One GPU model, or one detected GPU. Hashable, so that it can key caches.

    Attributes:
        name: the catalogue's name, such as "H100 SXM5 80GB".
        vendor: "NVIDIA", "AMD", ….
        vram_mib: what NVML reports as total, in MiB; None when nobody published it.
        visible_bytes: what CUDA shows to vLLM (`cudaMemGetInfo` total), of which
            gpu_memory_utilization is a share. Smaller than NVML's total.
        visible_basis: where `visible_bytes` comes from.
        compute_capability: (major, minor); None for other vendors.
        memory_bandwidth_gb_s: GB/s (10**9), None when not known.
        dense_tflops: dense (not sparse) TFLOPS by dtype: "fp16", "fp8", "fp4", "int8" (TOPS).
        nvlink_gb_s: bidirectional NVLink total per GPU in GB/s, None without NVLink.
        pcie_gen: PCIe generation.
        sources: field name to where its value comes from.
        nvml_names: names NVML gives this card.
        architecture: AMD's name of the instruction set, such as "gfx942"; None elsewhere.
        unified: the memory is the system's, shared with the CPU and all it runs.
        node_size: most of these GPUs in one machine, None where that is open.
        nvlink_domain: GPUs that NVLink joins across machines, None where it ends with one.
        mig_profile: the MIG profile this is an instance of, such as "3g.40gb".
    """

    name: str
    vendor: str
    visible_bytes: int
    visible_basis: VisibleBasis
    vram_mib: int | None = None
    compute_capability: ComputeCapability | None = None
    memory_bandwidth_gb_s: float | None = None
    dense_tflops: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)
    nvlink_gb_s: float | None = None
    pcie_gen: int | None = None
    sources: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    nvml_names: tuple[str, ...] = ()
    architecture: str | None = None
    unified: bool = False
    node_size: int | None = None
    nvlink_domain: int | None = None
    mig_profile: str | None = None

    @property
    def device_name(self) -> str:
        """The name CUDA gives the device, as vLLM prints it; the catalogue's where unknown."""
        return next(iter(self.nvml_names), self.name)
