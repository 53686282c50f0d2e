"""CUDA_VISIBLE_DEVICES: which GPUs a CUDA process sees, and in which order.

The rules are CUDA's: entries are indices or unique beginnings of UUIDs; the first entry
that names no device ends the list; a device named twice hides all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from vllm_preflight.hardware.detected import DetectedGpu, MigInstance

# A chosen GPU, and the instance of it when the entry names one.
Choice = tuple[DetectedGpu, MigInstance | None]


def visible_gpus(
    gpus: Sequence[DetectedGpu], value: str | None, variable: str = "CUDA_VISIBLE_DEVICES"
) -> tuple[tuple[DetectedGpu, ...], str]:
    """The GPUs that `variable`=`value` leaves, in its order, and a remark.

    `gpus` must carry their UUIDs. None means the variable is not set. The remark is a
    sentence when something is hidden or wrong, else empty; it quotes no UUID.
    """
    if value is None:
        return tuple(gpus), ""
    entries = [entry.strip() for entry in value.split(",")]
    if not any(entries):
        return (), f"{variable} is empty, which hides every GPU."
    find = _finder(entries[0])
    chosen: list[Choice] = []
    remark = ""
    for position, entry in enumerate(entries, start=1):
        choice = find(entry, gpus)
        if choice is None:
            remark = (
                f"Entry {position} of {variable} names no usable GPU of this machine: it and what "
                "follows are ignored."
            )
            break
        if choice in chosen:
            return (), f"{variable} names a GPU twice, which hides every GPU."
        chosen.append(choice)
    visible = _joined(chosen)
    hidden = len(gpus) - len(visible)
    if hidden and not remark:
        remark = f"{variable} hides {hidden} of {len(gpus)} GPUs."
    return visible, remark


def _finder(first: str) -> Callable[[str, Sequence[DetectedGpu]], Choice | None]:
    """How entries are read: all as the first one is."""
    if first.startswith("GPU-"):
        return _by_uuid
    return _by_instance if first.startswith("MIG-") else _by_index


def _by_index(entry: str, gpus: Sequence[DetectedGpu]) -> Choice | None:
    # CUDA reads the leading digits, as C's strtol does; a negative number ends the list.
    number = re.match(r"\+?\d+", entry)
    found = [gpu for gpu in gpus if number and gpu.index == int(number[0])]
    return (found[0], None) if found else None


def _by_uuid(entry: str, gpus: Sequence[DetectedGpu]) -> Choice | None:
    if not entry.startswith("GPU-"):
        return None
    found = [gpu for gpu in gpus if (gpu.uuid or "").startswith(entry)]
    return (found[0], None) if len(found) == 1 else None


def _by_instance(entry: str, gpus: Sequence[DetectedGpu]) -> Choice | None:
    # "MIG-GPU-<uuid>/<gi>/<ci>" is how drivers before R470 name instances; NVML then
    # gives the same text as the instance's UUID.
    found = [
        (gpu, instance)
        for gpu in gpus
        for instance in gpu.mig_instances
        if entry.startswith("MIG-") and (instance.uuid or "").startswith(entry)
    ]
    return found[0] if len(found) == 1 else None


def _joined(chosen: Sequence[Choice]) -> tuple[DetectedGpu, ...]:
    """Each chosen GPU once, with only the chosen instances where some are named."""
    gpus: dict[int, DetectedGpu] = {}
    for gpu, instance in chosen:
        if instance is None:
            gpus[gpu.index] = gpu
            continue
        seen = gpus.get(gpu.index)
        earlier = seen.mig_instances if seen else ()
        gpus[gpu.index] = replace(gpu, mig_instances=(*earlier, instance))
    return tuple(gpus.values())
