"""Measured kernels by GPU, operation and number format: a small roofline each.

`kernels.json` is written by `scripts/build_kernel_facts.py` from the tables of timed vLLM
kernels in the wheel aiconfigurator-core (Apache-2.0). A kernel takes

    floor + ((bytes / (bandwidth × memory))^p + (FLOPs / (rate × compute))^p)^(1/p)

seconds, with the bandwidth and the rate of the GPU's data sheet.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from vllm_preflight.launch.launch import Version

Operation = Literal[
    "gemm",
    "experts",
    "decode",
    "prefill",
    "mla_decode",
    "mla_prefill",
    "state_decode",
    "state_prefill",
]
Format = Literal[
    "bfloat16",
    "fp8",
    "fp8_block",
    "nvfp4",
    "int4_wo",
    "w4a16_mxfp4",
    "w4a8_mxfp4_mxfp8",
    "16",
]

# What a format is reckoned with where it was not measured on a card: its nearest relative.
_NEAREST: Mapping[Format, tuple[Format, ...]] = {
    "fp8_block": ("fp8", "bfloat16"),
    "fp8": ("fp8_block", "bfloat16"),
    "nvfp4": ("bfloat16",),
    "int4_wo": ("bfloat16",),
    "w4a16_mxfp4": ("bfloat16",),
    "w4a8_mxfp4_mxfp8": ("w4a16_mxfp4", "bfloat16"),
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """One measured kernel.

    Attributes:
        format: the number format it was timed with.
        release: the vLLM release it was timed in.
        floor: seconds it takes at least.
        memory, compute: shares of the data sheet's bandwidth and FLOPS it reaches.
        sharpness: the p of the p-norm, how sharply it turns from one bound to the other.
        alike: for experts, how independently tokens of the table chose them.
        per_token: for decoding, seconds per token of the context, however small the batch.
        error: median relative error of the fit.
    """

    format: Format
    release: str
    floor: float
    memory: float
    compute: float
    sharpness: float
    alike: float
    per_token: float
    error: float


@dataclass(frozen=True, slots=True)
class Reduces:
    """Seconds of an all-reduce by message size, for each number of ranks that was timed."""

    sizes: tuple[float, ...]
    seconds: Mapping[int, tuple[float, ...]]

    def of(self, ranks: int) -> tuple[float, ...]:
        """The times of the nearest number of ranks that is not smaller, else the largest."""
        enough = [known for known in self.seconds if known >= ranks]
        return self.seconds[min(enough) if enough else max(self.seconds)]


@dataclass(frozen=True, eq=False)
class CardKernels:
    """All that was timed on one card."""

    card: str
    kernels: Mapping[tuple[Operation, Format], tuple[tuple[Version, Kernel], ...]]
    reduces: Reduces

    def find(self, operation: Operation, kind: Format, version: Version) -> Kernel | None:
        """The kernel of a format as of a release: the newest not after it, else the oldest.

        A format that was not timed on the card is answered with its nearest relative; None
        where the card has none of the operation.
        """
        for candidate in (kind, *_NEAREST.get(kind, ())):
            releases = self.kernels.get((operation, candidate))
            if releases:
                past = [kernel for since, kernel in releases if since <= version]
                return past[-1] if past else releases[0][1]
        return None


def interpolated(sizes: tuple[float, ...], seconds: tuple[float, ...], size: float) -> float:
    """Seconds of a message of `size` bytes: linear between sizes, in proportion beyond."""
    if size <= sizes[0]:
        return seconds[0]
    if size >= sizes[-1]:
        return seconds[-1] * size / sizes[-1]
    above = bisect_left(sizes, size)
    low, high = sizes[above - 1], sizes[above]
    return seconds[above - 1] + (seconds[above] - seconds[above - 1]) * (size - low) / (high - low)


@cache
def load_kernels() -> Mapping[str, CardKernels]:
    """The kernels that ship with the package, by the catalogue's name of the card."""
    path = Path(__file__).with_name("kernels.json")
    document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    sizes = tuple(float(size) for size in document["reduce_bytes"])
    return {card: _card(card, facts, sizes) for card, facts in document["gpus"].items()}


def _card(card: str, facts: Mapping[str, Any], sizes: tuple[float, ...]) -> CardKernels:
    found: dict[tuple[Operation, Format], list[tuple[Version, Kernel]]] = {}
    for operation, kind, release, floor, memory, compute, p, alike, per_token, *rest in facts[
        "kernels"
    ]:
        kernel = Kernel(
            kind, release, floor * 1e-6, memory, compute, p, alike, per_token * 1e-12, rest[0]
        )
        found.setdefault((operation, kind), []).append((_version(release), kernel))
    reduces = {
        int(ranks): tuple(value * 1e-6 for value in times)
        for ranks, times in facts["reduce_us"].items()
    }
    ordered = {key: tuple(sorted(items, key=lambda item: item[0])) for key, items in found.items()}
    return CardKernels(card, ordered, Reduces(sizes, reduces))


def _version(release: str) -> Version:
    major, minor, patch = (int(part) for part in release.split("."))
    return major, minor, patch
