"""Detect this machine's GPUs and make planner facts of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from vllm_preflight.base.errors import NoGpuDetected, UnknownGpu
from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.hardware.amd import read_amd_gpus
from vllm_preflight.hardware.cards import find_card
from vllm_preflight.hardware.catalog import gpus_with_nvml_name
from vllm_preflight.hardware.detected import DetectedGpu, Detection
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.nvml import read_gpus
from vllm_preflight.hardware.visible_devices import visible_gpus
from vllm_preflight.hardware.visible_memory import visible_bytes_from_total

# Totals of one card differ by driver up to 1.6 % (T4) and by ECC 6.7 % (A10, A40); a card
# that only shares the name, such as a laptop's, is further off.
SAME_MEMORY = 0.02
SAME_CARD = 0.08
RULE = "NVML's total less the driver's reserve"


def detect_gpus(*, include_uuid: bool = False) -> Detection:
    """The GPUs a process started here would see, in its order: NVIDIA's, else AMD's.

    Honours CUDA_VISIBLE_DEVICES, and ROCm's variables for AMD. UUIDs are left out unless
    `include_uuid`. Never raises: without a driver, a GPU or a permission the list is empty
    or partial and `reason` says why in a sentence.
    """
    found = read_gpus()
    if not found.gpus and ((amd := read_amd_gpus()).gpus or amd.reason):
        return _amd_gpus(amd, include_uuid=include_uuid)
    gpus, hidden = visible_gpus(found.gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    reasons = [found.reason, hidden if found.gpus else "", _order_remark(found.gpus)]
    usable: list[DetectedGpu] = []
    for gpu in gpus:
        if gpu.mig_enabled and not gpu.mig_instances:
            reasons.append(f"GPU {gpu.index} is in MIG mode without an instance to run on.")
            continue
        if len(gpu.mig_instances) > 1:
            reasons.append(
                f"GPU {gpu.index} is split by MIG: a process uses one instance; choose it "
                "with CUDA_VISIBLE_DEVICES."
            )
        usable.append(gpu if include_uuid else _without_uuid(gpu))
    reason = " ".join(sentence for sentence in reasons if sentence)
    return replace(found, gpus=tuple(usable), reason=reason or None)


def _amd_gpus(found: Detection, *, include_uuid: bool) -> Detection:
    """What ROCm's variables leave: first the runtime's list, then HIP's over what is left."""
    gpus, reasons = found.gpus, [found.reason]
    if (value := os.environ.get("ROCR_VISIBLE_DEVICES")) is not None:
        gpus, hidden = visible_gpus(gpus, value, "ROCR_VISIBLE_DEVICES")
        gpus = tuple(replace(gpu, index=place) for place, gpu in enumerate(gpus))
        reasons.append(hidden)
    for variable in ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        if (value := os.environ.get(variable)) is not None:
            gpus, hidden = visible_gpus(gpus, value, variable)
            reasons.append(hidden)
            break
    shown = gpus if include_uuid else tuple(map(_without_uuid, gpus))
    reason = " ".join(sentence for sentence in reasons if sentence)
    return replace(found, gpus=shown, reason=reason or None)


def as_gpu(detected: DetectedGpu) -> Gpu:
    """The planner's facts of a detected GPU; what is free now stays in `detected`.

    Speed facts come from the catalogue when NVML's name and total fit an entry. What CUDA
    shows is the entry's when it was measured on such a card with that total, the system's
    memory where it is unified, NVML's total under WSL, and else
    `visible_bytes_from_total`. Of a GPU split by MIG it is the first instance.
    """
    if detected.vendor == "AMD":
        return _as_amd(detected)
    if detected.mig_instances:
        first = detected.mig_instances[0]
        part = _bare(first.name, first.total_mib, detected)
        return replace(part, node_size=1, mig_profile=first.name)
    match = catalog_match(detected)
    if match is None:
        gpu = _bare(detected.name, detected.total_mib, detected)
    else:
        capability = detected.compute_capability or match.compute_capability
        gpu = replace(match, vram_mib=detected.total_mib, compute_capability=capability)
    if detected.unified:
        shared = replace(gpu, unified=True)
        return _showing(shared, detected.total_mib * BYTES_TO_MIB, "the system's memory")
    if detected.shows_total:
        return _showing(gpu, detected.total_mib * BYTES_TO_MIB, "NVML's total, as under WSL")
    if match and match.visible_basis == "measured" and _is_same_memory(match, detected):
        return gpu
    derived = visible_bytes_from_total(detected.total_mib)
    return replace(_showing(gpu, derived, RULE), visible_basis="derived")


def catalog_match(detected: DetectedGpu) -> Gpu | None:
    """The catalogue's entry for this card, by NVML's name and nearest total, or None.

    None too when the total is so far off that only the name is shared, and for an
    instance of a GPU split by MIG.
    """
    if detected.vendor == "AMD":
        return _amd_entry(detected)
    named = gpus_with_nvml_name(detected.name)
    if not named or detected.mig_enabled:
        return None
    if detected.unified:
        return named[0]
    best = min(named, key=lambda gpu: _difference(gpu, detected))
    return best if _difference(best, detected) <= SAME_CARD else None


def _amd_entry(detected: DetectedGpu) -> Gpu | None:
    """The catalogue's card of that name and memory; None for a partition of one."""
    try:
        gpu = find_card(detected.name)
    except UnknownGpu:
        return None
    same = gpu.vendor == "AMD" and _difference(gpu, detected) <= SAME_CARD
    return gpu if same or (gpu.vendor == "AMD" and gpu.unified) else None


def _as_amd(detected: DetectedGpu) -> Gpu:
    """HIP shows the whole of what AMD SMI calls total, but for what was measured less."""
    match = _amd_entry(detected)
    total = detected.total_mib * BYTES_TO_MIB
    if match is None:
        bare = _bare(detected.name, detected.total_mib, detected)
        return _showing(replace(bare, vendor="AMD"), total, "AMD SMI's total")
    gpu = replace(match, architecture=detected.architecture or match.architecture)
    if match.visible_basis == "measured" and _is_same_memory(match, detected):
        return gpu
    return _showing(replace(gpu, vram_mib=detected.total_mib), total, "AMD SMI's total")


def smallest(gpus: Sequence[DetectedGpu]) -> DetectedGpu:
    """The GPU with the least memory for CUDA, the first of equals.

    vLLM splits a model evenly, so the smallest GPU of a group decides what fits.

    Raises:
        NoGpuDetected: `gpus` is empty.
    """
    if not gpus:
        raise NoGpuDetected(
            "No usable GPU was found on this machine.",
            'Name one of the catalogue instead, such as gpu="H100".',
        )
    return min(gpus, key=lambda gpu: as_gpu(gpu).visible_bytes)


def _bare(name: str, total_mib: int, detected: DetectedGpu) -> Gpu:
    """Facts of a GPU the catalogue does not have: nothing but what the driver says."""
    return Gpu(
        name=name,
        vendor="NVIDIA",
        visible_bytes=visible_bytes_from_total(total_mib),
        visible_basis="derived",
        vram_mib=total_mib,
        compute_capability=detected.compute_capability,
        sources={"visible_mib": RULE},
        nvml_names=(detected.name,),
    )


def _showing(gpu: Gpu, visible_bytes: int, source: str) -> Gpu:
    return replace(
        gpu,
        visible_bytes=visible_bytes,
        visible_basis="detected",
        sources={**gpu.sources, "visible_mib": source},
    )


def _difference(gpu: Gpu, detected: DetectedGpu) -> float:
    """How far the entry's memory is from the detected total, as a share of the entry's."""
    if gpu.vram_mib is not None:
        return abs(detected.total_mib - gpu.vram_mib) / gpu.vram_mib
    visible = visible_bytes_from_total(detected.total_mib)
    return abs(visible - gpu.visible_bytes) / gpu.visible_bytes


def _is_same_memory(gpu: Gpu, detected: DetectedGpu) -> bool:
    return _difference(gpu, detected) <= SAME_MEMORY


def _without_uuid(gpu: DetectedGpu) -> DetectedGpu:
    instances = tuple(replace(instance, uuid=None) for instance in gpu.mig_instances)
    return replace(gpu, uuid=None, mig_instances=instances)


def _order_remark(gpus: Sequence[DetectedGpu]) -> str:
    """CUDA numbers different GPUs by speed, NVML by slot, unless it is told otherwise."""
    if os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or len({gpu.name for gpu in gpus}) < 2:
        return ""
    return (
        "The GPUs differ and CUDA numbers the fastest first: set CUDA_DEVICE_ORDER=PCI_BUS_ID "
        "so that indices here and in vLLM mean the same GPU."
    )
