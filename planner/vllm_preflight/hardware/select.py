"""From what a request says about hardware to the GPU that decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vllm_preflight.base.errors import InvalidRequest, NoGpuDetected, UnknownGpu
from vllm_preflight.base.units import BYTES_TO_MIB, gib_to_bytes
from vllm_preflight.contract.inputs import HardwareInput
from vllm_preflight.hardware.cards import card_of_other_size
from vllm_preflight.hardware.detect import as_gpu, detect_gpus
from vllm_preflight.hardware.fleet.fleet import fleet_source, read_fleet, share_of
from vllm_preflight.hardware.gpu import ComputeCapability, Gpu
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.hardware.spoken import NamedHardware, read_hardware_name
from vllm_preflight.hardware.weakest import weakest

# A card of which only the memory is known counts as an Ampere: the oldest generation
# with bfloat16, so nothing is promised that needs newer kernels.
_ASSUMED_CAPABILITY: ComputeCapability = (8, 0)
# GPUs a node is taken to have when the request says nothing: the size of HGX boards.
USUAL_NODE_SIZE = 8
# Of memory shared with the CPU what a server can count on: a DGX Spark had 102 of its
# 121.7 GiB (0.84) available after boot, before the server's own process took its part.
_UNIFIED_SHARE = 0.8


@dataclass(frozen=True)
class Hardware:
    """The GPUs to plan for: all as large as the smallest.

    `gpus` is None when the request leaves the number open. `free_bytes` is per GPU, None
    when all of it is free. `instance` is the instance type that was named, if one was.
    """

    gpu: Gpu
    gpus: int | None
    nodes: int
    interconnect: str
    free_bytes: int | None = None
    notes: tuple[str, ...] = ()
    instance: str | None = None

    @property
    def capability(self) -> ComputeCapability:
        """The compute capability, assumed where the card's is not known (see notes)."""
        return self.gpu.compute_capability or _ASSUMED_CAPABILITY

    @property
    def gpus_per_node(self) -> int:
        """GPUs of one node: as asked, else as many as such a machine has or as usual."""
        if self.gpus is None:
            return min(USUAL_NODE_SIZE, self.gpu.node_size or USUAL_NODE_SIZE)
        return max(1, self.gpus // self.nodes)

    @property
    def usable_bytes(self) -> int | None:
        """Bytes per GPU to stay within: what is free, or may be of memory that is shared.

        None where the whole GPU is the server's.
        """
        if self.free_bytes is None and self.gpu.unified:
            return int(self.gpu.visible_bytes * _UNIFIED_SHARE)
        return self.free_bytes


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
    if gpu.compute_capability is None and platform_of(gpu).modelled:
        notes.append(
            f"The compute capability of {gpu.name} is not known; "
            f"{_ASSUMED_CAPABILITY[0]}.{_ASSUMED_CAPABILITY[1]} is assumed."
        )
    if gpu.unified:
        notes.append(
            f"{gpu.name} shares its memory with the CPU and the operating system: a server gets "
            "what is free when it starts. Give free_vram_gb, the GiB available."
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
        named = read_hardware_name(request.gpu)
    except UnknownGpu:
        if request.vram_gb is None:
            raise
        size = gib_to_bytes(request.vram_gb)
        # A card that was changed is the card, with the memory that is given.
        described = card_of_other_size(request.gpu) or Gpu(request.gpu, "unknown", size, "given")
        named = NamedHardware(described)
    gpus, further = _counted(request, named)
    nodes = request.nodes or _machines(named.gpu, gpus)
    if nodes > 1 and request.nodes is None:
        further.append(f"{gpus} × {named.gpu.name} are {nodes} machines of {named.gpu.node_size}.")
    link = _linked(request, named.gpu)
    instance = named.instance.id if named.instance and named.instance.gpus else None
    notes = (*named.notes, *further)
    return Hardware(named.gpu, gpus, nodes, link, notes=notes, instance=instance)


def _counted(request: HardwareInput, named: NamedHardware) -> tuple[int | None, list[str]]:
    """GPUs in all: as the request says, as the name says, and no more than that.

    Raises:
        InvalidRequest: `gpus` asks for more than the name has.
    """
    if named.gpu.mig_profile is not None:
        return _one_instance(request, named), []
    if named.gpus is None:
        return request.gpus, []
    # An instance type is one machine; a count is of all GPUs.
    there = named.gpus * (request.nodes or 1) if named.instance else named.gpus
    if request.gpus is None:
        return there, []
    if request.gpus > there:
        more = "more nodes" if named.instance else "the number once"
        raise InvalidRequest(
            f"gpus is {request.gpus}, but {request.gpu} is {there} × {named.gpu.name}.",
            f"Give {more}, or ask for at most {there}.",
        )
    fewer = request.gpus < there
    return request.gpus, [f"Uses {request.gpus} of {there} GPUs."] if fewer else []


def _one_instance(request: HardwareInput, named: NamedHardware) -> int:
    """A process uses one MIG instance, and instances cannot reach each other."""
    if (asked := max(request.gpus or 1, named.gpus or 1)) > 1:
        raise InvalidRequest(
            f"{asked} × {named.gpu.name} is asked for, but a vLLM server runs on one MIG instance.",
            "Plan for one; start one server for each instance.",
        )
    return 1


def _machines(gpu: Gpu, gpus: int | None) -> int:
    """Machines that hold `gpus` GPUs of a card that comes in machines of a known size."""
    if gpus is None or gpu.node_size is None or gpus % gpu.node_size:
        return 1
    return max(1, gpus // gpu.node_size)


def _detected(request: HardwareInput) -> Hardware:
    detection = detect_gpus()
    if not detection.gpus:
        raise NoGpuDetected(
            f"gpu is auto, but no GPU was detected: {detection.reason}",
            "Name it as gpu, such as H100.",
        )
    if request.gpus is not None and request.gpus > len(detection.gpus) * (request.nodes or 1):
        raise InvalidRequest(
            f"gpus is {request.gpus}, but this machine has {len(detection.gpus)}.",
            "Ask for at most as many, or name the GPU to plan for other machines.",
        )
    least = weakest([as_gpu(gpu) for gpu in detection.gpus])
    notes = [] if detection.reason is None else [detection.reason]
    names = sorted({gpu.name for gpu in detection.gpus})
    if len(names) > 1:
        notes.append(f"The GPUs differ ({', '.join(names)}); the weakest, {least.name}, decides.")
    linked = all(gpu.nvlink_peers for gpu in detection.gpus) and len(detection.gpus) > 1
    interconnect = request.interconnect
    if interconnect == "unknown":
        interconnect = "nvlink" if linked else "pcie"
    return Hardware(
        least,
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
