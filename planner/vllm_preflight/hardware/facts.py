"""The catalogue of GPUs as data: `gpus.json` read into `Gpu` and what it may be called.

`gpus.json` is written by `scripts/build_gpu_catalog.py`; memory that CUDA shows is
measured where start-ups printed it and derived elsewhere (`Gpu.visible_basis`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.hardware.gpu import ComputeCapability, Gpu

_DTYPE_KEYS = {
    "fp16": "fp16_tflops",
    "fp8": "fp8_tflops",
    "fp4": "fp4_tflops",
    "int8": "int8_tops",
}


@dataclass(frozen=True)
class Entry:
    """A GPU with what its names hang on.

    Attributes:
        gpu: its facts.
        nominal_gib: the size it is sold under.
        aliases: other names of people, neither the catalogue's nor NVML's.
        must_say: words without which a name means another card ("8gb", "quadro").
    """

    gpu: Gpu
    nominal_gib: float
    aliases: tuple[str, ...]
    must_say: tuple[str, ...]


@cache
def load_entries() -> tuple[Entry, ...]:
    """Every GPU of the data file with its names, in the file's order (by kind and age)."""
    path = Path(__file__).with_name("gpus.json")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    sources: list[str] = data["sources"]
    return tuple(_entry(entry, sources) for entry in data["gpus"])


@cache
def load_catalog() -> tuple[Gpu, ...]:
    """Every GPU of the catalogue, in the order of the data file."""
    return tuple(entry.gpu for entry in load_entries())


def gpu_names() -> tuple[str, ...]:
    """The catalogue's names, in its order."""
    return tuple(gpu.name for gpu in load_catalog())


def _entry(entry: dict[str, Any], sources: list[str]) -> Entry:
    return Entry(
        _gpu(entry, sources),
        entry["nominal_gib"],
        tuple(entry["aliases"]),
        tuple(entry.get("must_say", ())),
    )


def _gpu(entry: dict[str, Any], sources: list[str]) -> Gpu:
    numbers: dict[str, int] = entry["sources"]
    generation: str | None = entry.get("compute_capability")
    return Gpu(
        name=entry["name"],
        vendor=entry["vendor"],
        visible_bytes=int(entry["visible_mib"] * BYTES_TO_MIB),
        visible_basis=entry["visible_basis"],
        vram_mib=entry.get("vram_mib"),
        compute_capability=_capability(generation),
        memory_bandwidth_gb_s=entry.get("bandwidth_gb_s"),
        dense_tflops={dtype: entry[key] for dtype, key in _DTYPE_KEYS.items() if key in entry},
        nvlink_gb_s=entry.get("nvlink_gb_s"),
        pcie_gen=entry.get("pcie_gen"),
        sources={key: sources[number] for key, number in numbers.items()},
        nvml_names=tuple(entry["nvml_names"]),
        architecture=generation if generation and generation.startswith("gfx") else None,
        unified=entry.get("unified", False),
        node_size=entry.get("node_size"),
        nvlink_domain=entry.get("nvlink_domain"),
    )


def _capability(text: str | None) -> ComputeCapability | None:
    """(9, 0) from "9.0"; None for AMD's "gfx942" and for cards without one."""
    major, dot, minor = (text or "").partition(".")
    return (int(major), int(minor)) if dot else None
