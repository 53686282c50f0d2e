"""Read the GPUs of this machine through NVML, whatever state its driver is in.

Only what NVML says: what CUDA_VISIBLE_DEVICES hides is `visible_devices`' matter. Every
call may fail on some machine; a GPU is listed when its memory can be read, and the rest
is filled in as far as it goes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.hardware.detected import DetectedGpu, Detection, MigInstance

KERNEL = Path("/proc/version")
SYSTEM_MEMORY = Path("/proc/meminfo")

# NVML's error to a sentence for the whole machine.
NO_NVML = {
    "NVML_ERROR_LIBRARY_NOT_FOUND": (
        "The NVIDIA driver's library (NVML) was not found: there is no NVIDIA driver here, "
        "or the container was started without GPUs (--gpus all)."
    ),
    "NVML_ERROR_DRIVER_NOT_LOADED": (
        "The NVIDIA driver is installed but not loaded, or this container has no GPU devices."
    ),
    "NVML_ERROR_NO_PERMISSION": (
        "This user may not talk to the NVIDIA driver: check the permissions of /dev/nvidia*."
    ),
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH": (
        "The NVIDIA driver's library and kernel module are of different versions, as after an "
        "update: reboot or reload the driver."
    ),
    "NVML_ERROR_FUNCTION_NOT_FOUND": "The NVIDIA driver is too old to be asked.",
    "NVML_ERROR_GPU_IS_LOST": "A GPU has fallen off the bus: reset it or reboot.",
}
# NVML's error to what ends "GPU 1 cannot be read: ".
LOST_GPU = {
    "NVML_ERROR_GPU_IS_LOST": "it has fallen off the bus; reset it or reboot",
    "NVML_ERROR_RESET_REQUIRED": "it must be reset",
    "NVML_ERROR_NO_PERMISSION": "this user or container may not use it",
    "NVML_ERROR_NOT_SUPPORTED": "it reports no memory of its own and the system's is not known",
}


@dataclass(frozen=True)
class _Memory:
    total_mib: int
    free_mib: int
    used_mib: int
    reserved_mib: int | None = None


def read_gpus() -> Detection:
    """All GPUs NVML can read, UUIDs included. Never raises; `reason` says what is missing."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except Exception as error:
        return Detection(reason=f"The nvidia-ml-py package cannot be imported ({error}).")
    try:
        with _session(nvml):
            return _read_all(nvml)
    except Exception as error:
        return Detection(reason=_sentence(nvml, error))


@contextmanager
def _session(nvml: Any) -> Generator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        with suppress(Exception):
            nvml.nvmlShutdown()


def _read_all(nvml: Any) -> Detection:
    driver = _optional(nvml.nvmlSystemGetDriverVersion)
    cuda = _cuda_version(_optional(nvml.nvmlSystemGetCudaDriverVersion_v2))
    count: int = nvml.nvmlDeviceGetCount()
    gpus: dict[int, DetectedGpu] = {}
    handles: dict[int, Any] = {}
    reasons: list[str] = []
    for index in range(count):
        try:
            handles[index] = nvml.nvmlDeviceGetHandleByIndex(index)
            gpu = _read_gpu(nvml, handles[index], index)
        except Exception as error:
            why = _known(nvml, error, LOST_GPU) or f"NVML says {_text(error)}"
            reasons.append(f"GPU {index} cannot be read: {why}.")
            continue
        gpus[index] = replace(gpu, driver_version=driver, cuda_version=cuda)
        if gpu.unified:
            reasons.append(
                f"GPU {index} shares the system's memory: total and free are the system's now."
            )
    if not count:
        reasons.append("The NVIDIA driver is loaded but sees no GPU.")
    linked = tuple(
        replace(gpu, nvlink_peers=_peers(nvml, handles, index, gpus)) for index, gpu in gpus.items()
    )
    return Detection(linked, " ".join(reasons) or None, driver, cuda)


def _read_gpu(nvml: Any, handle: Any, index: int) -> DetectedGpu:
    """One GPU; raises when there is no way to tell its memory."""
    mode = _optional(nvml.nvmlDeviceGetMigMode, handle)
    mig_enabled = bool(mode and mode[0])
    instances = tuple(_instances(nvml, handle)) if mig_enabled else ()
    unified = False
    try:
        memory = _memory(nvml, handle)
    except Exception as error:
        shared = _system_memory() if _is(nvml, error, "NVML_ERROR_NOT_SUPPORTED") else None
        if instances:
            # A container that was given instances may not ask about the whole GPU.
            memory = _sum(instances)
        elif shared is not None:
            memory, unified = shared, True
        else:
            raise
    capability = _optional(nvml.nvmlDeviceGetCudaComputeCapability, handle)
    return DetectedGpu(
        index=index,
        name=_optional(nvml.nvmlDeviceGetName, handle) or "NVIDIA GPU",
        total_mib=memory.total_mib,
        free_mib=memory.free_mib,
        used_mib=memory.used_mib,
        reserved_mib=memory.reserved_mib,
        compute_capability=(capability[0], capability[1]) if capability else None,
        uuid=_optional(nvml.nvmlDeviceGetUUID, handle),
        mig_enabled=mig_enabled,
        mig_instances=instances,
        process_mib=_process_mib(nvml, handle),
        unified=unified,
        shows_total=_under_wsl(),
    )


def _memory(nvml: Any, handle: Any) -> _Memory:
    """Memory of a GPU or instance; v2 tells the driver's reserve from what is used."""
    # Drivers before R510 know only v1, whose used includes the reserve.
    info = _optional(nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)
    reserved = None if info is None else int(info.reserved) // BYTES_TO_MIB
    if info is None:
        info = nvml.nvmlDeviceGetMemoryInfo(handle)
    total, free, used = (int(size) // BYTES_TO_MIB for size in (info.total, info.free, info.used))
    return _Memory(total, free, used, reserved)


def _instances(nvml: Any, handle: Any) -> Iterator[MigInstance]:
    """The MIG instances that exist, each with its own memory."""
    for index in range(_optional(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        instance = _optional(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        memory = None if instance is None else _optional(_memory, nvml, instance)
        if memory is not None:
            yield MigInstance(
                index=index,
                name=_optional(nvml.nvmlDeviceGetName, instance) or f"MIG instance {index}",
                total_mib=memory.total_mib,
                free_mib=memory.free_mib,
                used_mib=memory.used_mib,
                uuid=_optional(nvml.nvmlDeviceGetUUID, instance),
            )


def _sum(instances: tuple[MigInstance, ...]) -> _Memory:
    return _Memory(
        sum(instance.total_mib for instance in instances),
        sum(instance.free_mib for instance in instances),
        sum(instance.used_mib for instance in instances),
    )


def _process_mib(nvml: Any, handle: Any) -> int | None:
    """MiB held by processes; one that computes and draws is listed twice but counts once."""
    listings = [
        _optional(nvml.nvmlDeviceGetComputeRunningProcesses, handle),
        _optional(nvml.nvmlDeviceGetGraphicsRunningProcesses, handle),
    ]
    if all(listing is None for listing in listings):
        return None
    used = {process.pid: process.usedGpuMemory for listing in listings for process in listing or ()}
    return sum(size for size in used.values() if size) // BYTES_TO_MIB


def _peers(
    nvml: Any, handles: dict[int, Any], index: int, gpus: dict[int, DetectedGpu]
) -> tuple[int, ...]:
    """GPUs reached over NVLink, directly or through a switch; the question vLLM asks too."""

    def linked(other: int) -> bool:
        link = nvml.NVML_P2P_CAPS_INDEX_NVLINK
        status = _optional(nvml.nvmlDeviceGetP2PStatus, handles[index], handles[other], link)
        return status == nvml.NVML_P2P_STATUS_OK

    return tuple(other for other in gpus if other != index and linked(other))


def _system_memory() -> _Memory | None:
    """The system's memory, which a GPU with unified memory shares; None where not known."""
    try:
        text = SYSTEM_MEMORY.read_text(encoding="utf-8")
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        total = int(fields["MemTotal"].split()[0]) // 1024
        free = int(fields["MemAvailable"].split()[0]) // 1024
    except (OSError, KeyError, ValueError):
        return None
    return _Memory(total, free, total - free)


def _under_wsl() -> bool:
    """Whether this Linux runs under Windows, where CUDA shows NVML's whole total."""
    try:
        return "microsoft" in KERNEL.read_text(encoding="utf-8").lower()
    except OSError:
        return False


def _cuda_version(number: int | None) -> str | None:
    """CUDA's version from NVML's number: 13000 is 13.0."""
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _optional(call: Callable[..., Any], *arguments: Any) -> Any:
    """What the call returns, or None when this machine cannot say."""
    # Any error: old bindings lack functions, and names may not decode.
    try:
        return call(*arguments)
    except Exception:
        return None


def _is(nvml: Any, error: Exception, name: str) -> bool:
    code = getattr(error, "value", None)
    return code is not None and code == getattr(nvml, name, None)


def _known(nvml: Any, error: Exception, sentences: dict[str, str]) -> str | None:
    found = (sentence for name, sentence in sentences.items() if _is(nvml, error, name))
    return next(found, None)


def _text(error: Exception) -> str:
    return f'"{error}"' if str(error) else type(error).__name__


def _sentence(nvml: Any, error: Exception) -> str:
    """Why NVML as a whole could not be used."""
    known = _known(nvml, error, NO_NVML)
    return known or f"The NVIDIA driver could not be asked: NVML says {_text(error)}."
