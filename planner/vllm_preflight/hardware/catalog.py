"""The catalogue of GPUs: facts with sources, found by the names people use.

`gpus.json` is written by `scripts/build_gpu_catalog.py`; memory that CUDA shows is
measured where start-ups printed it and derived elsewhere (`Gpu.visible_basis`).
"""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import UnknownGpu
from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.hardware.gpu import ComputeCapability, Gpu
from vllm_preflight.hardware.names import (
    LONGEST_NAME,
    Spelling,
    form_of,
    memory_words,
    spelling,
    squash,
)

DTYPE_KEYS = {
    "fp16": "fp16_tflops",
    "fp8": "fp8_tflops",
    "fp4": "fp4_tflops",
    "int8": "int8_tops",
}


@cache
def load_catalog() -> tuple[Gpu, ...]:
    """Every GPU of the catalogue, in the order of the data file (by kind and age)."""
    return tuple(gpu for gpu, _ in _entries())


def gpu_names() -> tuple[str, ...]:
    """The catalogue's names, in its order."""
    return tuple(gpu.name for gpu in load_catalog())


@lru_cache(maxsize=512)
def find_gpu(name: str) -> Gpu:
    """The GPU meant by `name`: any case and punctuation, brand and form optional.

    A name without a form means the usual one: SXM before PCIe before NVL, server before
    workstation, so "H100" is the SXM card. A name that leaves the memory size open is
    refused ("A100": 40 or 80 GB), because the answer would hang on it.

    Raises:
        UnknownGpu: no such card, or several that differ in memory; the hint names them.
    """
    squashed = squash(name)
    shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    if (exact := _exact_names().get(squashed)) is not None:
        return exact
    found = [
        gpu
        for gpu, spellings in _spellings()
        if any(spelled.matches(squashed) for spelled in spellings)
    ]
    forms = {form for gpu in found if (form := form_of(gpu.name)) is not None}
    likely = [gpu for gpu in found if form_of(gpu.name) in (None, min(forms, default=None))]
    if len(likely) == 1:
        return likely[0]
    if likely:
        names = " or ".join(gpu.name for gpu in likely)
        raise UnknownGpu(
            f'"{shown}" leaves open which GPU is meant: {names}.',
            "Add the memory size to the name.",
        )
    raise UnknownGpu(f'No GPU called "{shown}" is in the catalogue.', _hint(shown))


def gpus_with_nvml_name(nvml_name: str) -> tuple[Gpu, ...]:
    """The catalogue's cards that NVML calls `nvml_name`, or that are found by it."""
    squashed = squash(nvml_name)
    return tuple(
        gpu
        for gpu, spellings in _spellings()
        if squashed in map(squash, gpu.nvml_names)
        or any(spelled.matches(squashed) for spelled in spellings)
    )


def nearest_gpus(text: str, n: int = 3) -> tuple[str, ...]:
    """The `n` catalogue names written most like `text`, the nearest first.

    Names that contain the text come first, so this also completes what a user has begun
    to type; then names whose own words are in the text; then names that resemble it.
    """
    squashed = squash(text)

    def likeness(pair: tuple[Gpu, tuple[Spelling, ...]]) -> tuple[bool, int, float]:
        gpu, (own, *_) = pair
        ways = [squash(way) for way in (gpu.name, *gpu.nvml_names)]
        return (
            any(squashed in way for way in ways),
            sum(len(word) for word in own.required if word in squashed),
            max(SequenceMatcher(None, way, squashed).ratio() for way in (*ways, *own.required)),
        )

    # A stable sort keeps the catalogue's order among equals.
    ranked = sorted(_spellings(), key=likeness, reverse=True)
    return tuple(gpu.name for gpu, _ in ranked[: max(0, n)])


def _hint(name: str) -> str:
    """What to do about a name that no card has."""
    if counted := re.match(r"(\d+)\s*[x×]\s*(.+)", name, re.IGNORECASE):
        return f"Give the number of GPUs apart from the name: gpu={counted[2]}, gpus={counted[1]}."
    nearest = ", ".join(nearest_gpus(name, 3))
    return f"Nearest names: {nearest}. For any other card give vram_gb, the GiB that CUDA shows."


@cache
def _entries() -> tuple[tuple[Gpu, dict[str, Any]], ...]:
    """Each GPU with the entry it was read from."""
    path = Path(__file__).with_name("gpus.json")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    sources: list[str] = data["sources"]
    return tuple((_read(entry, sources), entry) for entry in data["gpus"])


def _read(entry: dict[str, Any], sources: list[str]) -> Gpu:
    numbers: dict[str, int] = entry["sources"]
    return Gpu(
        name=entry["name"],
        vendor=entry["vendor"],
        visible_bytes=int(entry["visible_mib"] * BYTES_TO_MIB),
        visible_basis=entry["visible_basis"],
        vram_mib=entry.get("vram_mib"),
        compute_capability=_capability(entry.get("compute_capability")),
        memory_bandwidth_gb_s=entry.get("bandwidth_gb_s"),
        dense_tflops={dtype: entry[key] for dtype, key in DTYPE_KEYS.items() if key in entry},
        nvlink_gb_s=entry.get("nvlink_gb_s"),
        pcie_gen=entry.get("pcie_gen"),
        sources={key: sources[number] for key, number in numbers.items()},
        nvml_names=tuple(entry["nvml_names"]),
    )


def _capability(text: str | None) -> ComputeCapability | None:
    """(9, 0) from "9.0"; None for AMD's "gfx942" and for cards without one."""
    major, dot, minor = (text or "").partition(".")
    return (int(major), int(minor)) if dot else None


@cache
def _exact_names() -> dict[str, Gpu]:
    """Squashed names to GPUs; a catalogue name wins over an NVML name of another card."""
    names: dict[str, Gpu] = {}
    for gpu in load_catalog():
        names.setdefault(squash(gpu.name), gpu)
    for gpu in load_catalog():
        for nvml_name in gpu.nvml_names:
            names.setdefault(squash(nvml_name), gpu)
    return names


@cache
def _spellings() -> tuple[tuple[Gpu, tuple[Spelling, ...]], ...]:
    """Each GPU with the ways to write it, the catalogue's name first."""
    spelled: list[tuple[Gpu, tuple[Spelling, ...]]] = []
    for gpu, entry in _entries():
        also = memory_words(f"{entry['nominal_gib']:g}")
        if form_of(gpu.name) is None:
            # A card of one form is a PCIe card where that is said at all.
            also.add("pcie")
        names = (gpu.name, *gpu.nvml_names, *entry["aliases"])
        spelled.append((gpu, tuple(spelling(name, gpu.vendor, also) for name in names)))
    return tuple(spelled)
