"""What a GPU and the links between GPUs can do, as the step times need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.platforms import platform_of

GpuClass = Literal[
    "ampere server", "hopper", "blackwell server", "instinct", "workstation", "older"
]
LinkKind = Literal["none", "nvlink", "pcie", "network"]

# Usable one-way GB/s of 16 lanes, by PCIe generation.
_PCIE_GB_S = {3: 16.0, 4: 32.0, 5: 64.0, 6: 128.0}
_ASSUMED_PCIE = 4
# One-way GB/s per GPU between machines: a 400 Gb/s card each, the usual of servers.
_NETWORK_GB_S = 50.0
# First capability whose tensor cores take FP4.
_FP4_CAPABILITY = (10, 0)
# FP8 and FP4 double and quadruple the 16-bit rate wherever hardware takes them.
_DOUBLE, _QUADRUPLE = 2.0, 4.0


@dataclass(frozen=True, slots=True)
class Link:
    """How GPUs of one replica exchange activations: one-way GB/s per GPU."""

    kind: LinkKind
    gb_s: float


@dataclass(frozen=True, slots=True)
class Machine:
    """One GPU's rates: bytes/s and FLOP/s (dense, before any efficiency).

    `link` is between the ranks of a replica, `exchange` between replicas that share
    experts.
    """

    gpu_class: GpuClass
    bandwidth: float
    flops16: float
    flops8: float
    flops4: float
    link: Link
    exchange: Link
    pcie: float


def missing_facts(gpu: Gpu) -> tuple[str, ...]:
    """What of a GPU's rates is not known and an estimate needs."""
    missing: list[str] = []
    if not gpu.memory_bandwidth_gb_s:
        missing.append("memory bandwidth")
    if not gpu.dense_tflops.get("fp16"):
        missing.append("dense 16-bit FLOPS")
    return tuple(missing)


def gpu_class(gpu: Gpu) -> GpuClass:
    """The class whose efficiencies a GPU shares."""
    capability = gpu.compute_capability
    if platform_of(gpu).name == "rocm":
        return "instinct"
    if capability is None or capability < (8, 0):
        return "older"
    if capability == (8, 0):
        return "ampere server"
    if capability[0] == 9:
        return "hopper"
    return "blackwell server" if capability[0] == 10 else "workstation"


def link_between(gpu: Gpu, gpus: int, interconnect: str, node_size: int | None = None) -> Link:
    """The link `gpus` GPUs of one tensor-parallel group reach each other by.

    `interconnect` is "nvlink", "pcie" or "unknown": then NVLink where the card has it.
    A group larger than `node_size` is linked by the network, unless NVLink reaches so far.
    """
    if gpus == 1:
        return Link("none", 0.0)
    if node_size is not None and gpus > max(node_size, gpu.nvlink_domain or 0):
        return Link("network", _NETWORK_GB_S)
    pcie = pcie_gb_s(gpu)
    if gpu.nvlink_gb_s and interconnect != "pcie":
        return Link("nvlink", max(gpu.nvlink_gb_s / 2, pcie))
    return Link("pcie", pcie)


def machine_of(gpu: Gpu, link: Link, exchange: Link) -> Machine:
    """The rates of `gpu`, for which `missing_facts` found nothing missing."""
    tflops = gpu.dense_tflops
    capability = gpu.compute_capability
    flops16 = tflops["fp16"] * 1e12
    eight = platform_of(gpu).fp8_format is not None
    four = capability is not None and capability >= _FP4_CAPABILITY
    flops8 = tflops.get("fp8", tflops["fp16"] * _DOUBLE) * 1e12 if eight else flops16
    flops4 = tflops.get("fp4", tflops["fp16"] * _QUADRUPLE) * 1e12 if four else flops16
    return Machine(
        gpu_class(gpu),
        (gpu.memory_bandwidth_gb_s or 0) * 1e9,
        flops16,
        flops8,
        flops4,
        link,
        exchange,
        pcie_gb_s(gpu) * 1e9,
    )


def pcie_gb_s(gpu: Gpu) -> float:
    """Usable one-way GB/s of a card's 16 lanes."""
    return _PCIE_GB_S.get(gpu.pcie_gen or _ASSUMED_PCIE, _PCIE_GB_S[_ASSUMED_PCIE])
