"""Read the AMD GPUs of this machine through AMD SMI, as `nvml` reads NVIDIA's.

Every call may fail on some machine or version; a GPU is listed when its memory can be
read, and the rest is filled in as far as it goes.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.hardware.detected import DetectedGpu, Detection

# The kernel's door to AMD's compute driver.
KFD = Path("/dev/kfd")

NOT_INSTALLED = (
    "An AMD GPU driver is here, but not the package that asks it: pip install "
    "'vllm-preflight[amd]'."
)
NO_LIBRARY = (
    "AMD SMI's library (libamd_smi.so) was not found: install ROCm's amd-smi-lib, or mount it "
    "into the container."
)
# AMD SMI's status to a sentence for the whole machine.
NO_SMI = {
    "AMDSMI_STATUS_DRIVER_NOT_LOADED": (
        "The AMD driver (amdgpu) is not loaded, or this container has no GPU devices "
        "(--device /dev/kfd --device /dev/dri)."
    ),
    "AMDSMI_STATUS_NO_DRV": "The AMD driver (amdgpu) is not loaded.",
    "AMDSMI_STATUS_NO_PERM": (
        "This user may not talk to the AMD driver: join the groups video and render."
    ),
    "AMDSMI_STATUS_INIT_ERROR": "AMD SMI could not be started: is the AMD driver loaded?",
}
# AMD SMI's status to what ends "GPU 1 cannot be read: ".
LOST_GPU = {
    "AMDSMI_STATUS_NO_PERM": "this user or container may not use it",
    "AMDSMI_STATUS_BUSY": "the driver is busy, as during a reset",
    "AMDSMI_STATUS_NOT_SUPPORTED": "it reports no memory of its own",
}
_WHOLE = "SPX"
_NAMELESS = ("N/A", "")


def read_amd_gpus() -> Detection:
    """All GPUs AMD SMI can read, UUIDs included. Never raises; `reason` says what is missing.

    Empty without a reason on a machine that shows no sign of an AMD driver.
    """
    if importlib.util.find_spec("amdsmi") is None:
        return Detection(reason=NOT_INSTALLED if KFD.exists() else None)
    try:
        smi = _binding()
    except Exception:
        return Detection(reason=NO_LIBRARY if KFD.exists() else None)
    try:
        with _session(smi):
            return _read_all(smi)
    except Exception as error:
        known = _known(error, NO_SMI)
        return Detection(reason=known or f"AMD SMI could not be asked: it says {_text(error)}.")


def _binding() -> Any:
    """The package, which writes on standard output when its library is missing."""
    # Standard output may be a protocol's.
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        return importlib.import_module("amdsmi")


@contextlib.contextmanager
def _session(smi: Any) -> Generator[None]:
    smi.amdsmi_init(smi.AmdSmiInitFlags.INIT_AMD_GPUS)
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            smi.amdsmi_shut_down()


def _read_all(smi: Any) -> Detection:
    handles: list[Any] = smi.amdsmi_get_processor_handles()
    gpus: dict[int, DetectedGpu] = {}
    places: dict[int, Any] = {}
    reasons: list[str] = []
    driver: str | None = None
    for position, handle in enumerate(handles):
        try:
            gpu = _read_gpu(smi, handle, position)
        except Exception as error:
            why = _known(error, LOST_GPU) or f"AMD SMI says {_text(error)}"
            reasons.append(f"GPU {position} cannot be read: {why}.")
            continue
        driver = driver or gpu.driver_version
        gpus[gpu.index], places[gpu.index] = gpu, handle
        if gpu.partition is not None and not gpu.partition.startswith(_WHOLE):
            reasons.append(
                f"GPU {gpu.index} is one of a card's partitions ({gpu.partition}): its memory and "
                "compute units are a share of the card's."
            )
    if not handles:
        reasons.append("The AMD driver is loaded but sees no GPU.")
    linked = tuple(
        replace(gpu, nvlink_peers=_peers(smi, places, index)) for index, gpu in sorted(gpus.items())
    )
    return Detection(linked, " ".join(reasons) or None, driver)


def _read_gpu(smi: Any, handle: Any, position: int) -> DetectedGpu:
    """One GPU; raises when its memory cannot be told."""
    vram = smi.AmdSmiMemoryType.VRAM
    total = int(smi.amdsmi_get_gpu_memory_total(handle, vram)) // BYTES_TO_MIB
    used = _optional(smi.amdsmi_get_gpu_memory_usage, handle, vram)
    used_mib = 0 if used is None else int(used) // BYTES_TO_MIB
    asic: Mapping[str, Any] = _optional(smi.amdsmi_get_gpu_asic_info, handle) or {}
    driver: Mapping[str, Any] = _optional(smi.amdsmi_get_gpu_driver_info, handle) or {}
    numbers: Mapping[str, Any] = (
        _optional(smi.amdsmi_get_gpu_enumeration_info, handle) if _has_order(smi) else None
    ) or {}
    hip = numbers.get("hip_id")
    return DetectedGpu(
        index=hip if isinstance(hip, int) else position,
        name=_named(asic.get("market_name")) or "AMD GPU",
        vendor="AMD",
        total_mib=total,
        free_mib=max(0, total - used_mib),
        used_mib=used_mib,
        architecture=_named(asic.get("target_graphics_version")),
        driver_version=_named(driver.get("driver_version")),
        uuid=_optional(smi.amdsmi_get_gpu_device_uuid, handle),
        partition=_partition(smi, handle),
        process_mib=_process_mib(smi, handle),
    )


def _has_order(smi: Any) -> bool:
    # AMD SMI lists cards by PCI address; HIP's own numbers can be asked since ROCm 6.4.
    return hasattr(smi, "amdsmi_get_gpu_enumeration_info")


def _named(value: object) -> str | None:
    text = str(value or "").strip()
    return None if text in _NAMELESS else text


def _partition(smi: Any, handle: Any) -> str | None:
    """How the card is split, for compute and for memory: "CPX, NPS4"; None where not told."""
    compute = _named(_optional(smi.amdsmi_get_gpu_compute_partition, handle))
    memory = _named(_optional(smi.amdsmi_get_gpu_memory_partition, handle))
    return ", ".join(part for part in (compute, memory) if part) or None


def _process_mib(smi: Any, handle: Any) -> int | None:
    """MiB of the GPU held by processes; None when it is not told."""
    listed = _optional(smi.amdsmi_get_gpu_process_list, handle)
    if listed is None:
        return None
    return sum(int(process["memory_usage"]["vram_mem"]) for process in listed) // BYTES_TO_MIB


def _peers(smi: Any, places: Mapping[int, Any], index: int) -> tuple[int, ...]:
    """GPUs that Infinity Fabric (xGMI) joins to this one."""

    def linked(other: int) -> bool:
        found = _optional(smi.amdsmi_topo_get_link_type, places[index], places[other])
        kind = smi.AmdSmiLinkType.AMDSMI_LINK_TYPE_XGMI
        return found is not None and found["type"] == int(kind)

    return tuple(other for other in sorted(places) if other != index and linked(other))


def _optional(call: Callable[..., Any], *arguments: Any) -> Any:
    """What the call returns, or None when this machine cannot say."""
    # Any error: names may not decode, and old libraries lack functions.
    try:
        return call(*arguments)
    except Exception:
        return None


def _known(error: Exception, sentences: Mapping[str, str]) -> str | None:
    """The sentence for AMD SMI's status, None for a status or an error that has none."""
    return sentences.get(_status(error).partition(" - ")[0])


def _status(error: Exception) -> str:
    """AMD SMI's status with its words: "AMDSMI_STATUS_NO_PERM - Permission Denied"."""
    told = getattr(error, "get_error_info", None)
    return str(told()) if callable(told) else str(error)


def _text(error: Exception) -> str:
    return f'"{_status(error)}"' if _status(error) else type(error).__name__
