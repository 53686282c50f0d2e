"""From what a request says about hardware to the GPU that decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vllm_preflight.base.errors import InvalidRequest, NoGpuDetected, UnknownGpu
from vllm_preflight.base.units import BYTES_TO_MIB, gib_to_bytes
from vllm_preflight.contract.inputs import HardwareInput
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.detect import as_gpu, detect_gpus, smallest
from vllm_preflight.hardware.fleet.fleet import fleet_source, read_fleet, share_of
from vllm_preflight.hardware.gpu import ComputeCapability, Gpu

# A card of which only the memory is known counts as an Ampere: the oldest generation
# with bfloat16, so nothing is promised that needs newer kernels.
_ASSUMED_CAPABILITY: ComputeCapability = (8, 0)
# GPUs a node is taken to have when the request says nothing: the size of HGX boards.
USUAL_NODE_SIZE = 8


@dataclass(frozen=True)
class Hardware:
    """The GPUs to plan for: all as large as the smallest.

    `gpus` is None when the request leaves the number open. `free_bytes` is per GPU, None
    when all of it is free.
    """

    gpu: Gpu
    gpus: int | None
    nodes: int
    interconnect: str
    free_bytes: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def capability(self) -> ComputeCapability:
        """The compute capability, assumed where the card's is not known (see notes)."""
        return self.gpu.compute_capability or _ASSUMED_CAPABILITY

    @property
    def gpus_per_node(self) -> int:
        """GPUs of one node: as asked, else as many as usual."""
        return USUAL_NODE_SIZE if self.gpus is None else max(1, self.gpus // self.nodes)


def select_hardware(request: HardwareInput) -> Hardware:
    """The GPU a request means: detected here or in a cluster, of the catalogue, or described.

    Raises:
        NoGpuDetected: `gpu="auto"` and this machine has none, or a cluster offers none.
        UnknownGpu: no such name in the catalogue, and no vram_gb to do without it.
        InvalidRequest: the parallel sizes need more GPUs than there are.
    """
    hardware = _found(request)
    gpu, notes = hardware.gpu, list(hardware.notes)
    if request.vram_gb is not None:
        gpu = replace(gpu, visible_bytes=gib_to_bytes(request.vram_gb), visible_basis="given")
    if gpu.compute_capability is None and gpu.vendor in {"NVIDIA", "unknown"}:
        notes.append(
            f"The compute capability of {gpu.name} is not known; "
            f"{_ASSUMED_CAPABILITY[0]}.{_ASSUMED_CAPABILITY[1]} is assumed."
        )
    hardware = replace(hardware, gpu=gpu, notes=tuple(notes))
    _check_counts(request, hardware)
    return hardware


def _found(request: HardwareInput) -> Hardware:
    if request.gpu.lower() == "auto":
        return _detected(request)
    source = fleet_source(request.gpu)
    if source is None:
        return _named(request)
    share = share_of(read_fleet(source), request.gpus, request.nodes)
    link = _linked(request, share.gpu)
    return Hardware(share.gpu, share.gpus, share.nodes, link, notes=share.notes)


def _linked(request: HardwareInput, gpu: Gpu) -> str:
    """The link between a node's GPUs: as said, else NVLink where the card has it."""
    has_nvlink = request.interconnect == "unknown" and gpu.nvlink_gb_s
    return "nvlink" if has_nvlink else request.interconnect


def _named(request: HardwareInput) -> Hardware:
    try:
        gpu = find_gpu(request.gpu)
    except UnknownGpu:
        if request.vram_gb is None:
            raise
        gpu = Gpu(request.gpu, "unknown", gib_to_bytes(request.vram_gb), "given")
    return Hardware(gpu, request.gpus, request.nodes or 1, _linked(request, gpu))


def _detected(request: HardwareInput) -> Hardware:
    detection = detect_gpus()
    if not detection.gpus:
        raise NoGpuDetected(
            f"gpu is auto, but no GPU was detected: {detection.reason}",
            "Name one, for example gpu=H100 (--gpu H100).",
        )
    if request.gpus is not None and request.gpus > len(detection.gpus) * (request.nodes or 1):
        raise InvalidRequest(
            f"gpus is {request.gpus}, but this machine has {len(detection.gpus)}.",
            "Ask for at most as many, or name the GPU to plan for other machines.",
        )
    least = smallest(detection.gpus)
    notes = [] if detection.reason is None else [detection.reason]
    names = sorted({gpu.name for gpu in detection.gpus})
    if len(names) > 1:
        notes.append(f"The GPUs differ ({', '.join(names)}); the smallest, {least.name}, decides.")
    linked = all(gpu.nvlink_peers for gpu in detection.gpus) and len(detection.gpus) > 1
    interconnect = request.interconnect
    if interconnect == "unknown":
        interconnect = "nvlink" if linked else "pcie"
    return Hardware(
        as_gpu(least),
        request.gpus or len(detection.gpus),
        request.nodes or 1,
        interconnect,
        free_bytes=min(gpu.usable_free_mib for gpu in detection.gpus) * BYTES_TO_MIB,
        notes=tuple(notes),
    )


def _check_counts(request: HardwareInput, hardware: Hardware) -> None:
    sizes = {
        "tensor_parallel_size": request.tensor_parallel_size or 1,
        "pipeline_parallel_size": request.pipeline_parallel_size or 1,
        "data_parallel_size": request.data_parallel_size or 1,
    }
    if hardware.gpus is None:
        return
    if hardware.gpus % hardware.nodes:
        raise InvalidRequest(
            f"{hardware.gpus} GPUs cannot be spread evenly over {hardware.nodes} nodes.",
            "Give a multiple.",
        )
    wanted = 1
    for size in sizes.values():
        wanted *= size
    if wanted > hardware.gpus:
        given = " × ".join(f"{name} {size}" for name, size in sizes.items() if size > 1)
        raise InvalidRequest(
            f"{given} needs {wanted} GPUs, but there are {hardware.gpus}.",
            "Lower the parallel sizes or give more gpus.",
        )
