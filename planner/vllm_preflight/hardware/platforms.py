"""What vLLM runs on by vendor and generation: rules that differ are read here, not guessed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vllm_preflight.hardware.gpu import ComputeCapability, Gpu


@dataclass(frozen=True)
class Platform:
    """One platform of vLLM on one generation of GPUs.

    Attributes:
        name: "cuda", "rocm", "xpu", "tpu" or "npu"; "unknown" for a GPU that is described.
        modelled: whether this planner knows vLLM's own rules there; CUDA's alone.
        fp8_format: the 8-bit float of its matrix units, "e4m3fn" or "e4m3fnuz" (one bias
            more, no infinities: a checkpoint's scales are doubled); None without them.
    """

    name: str
    modelled: bool
    fp8_format: str | None = None


def platform_of(gpu: Gpu) -> Platform:
    """The platform of a GPU; of one that is only described, CUDA's rules are assumed."""
    return _lookup(gpu.vendor, gpu.compute_capability, gpu.architecture)


@cache
def _lookup(
    vendor: str, capability: ComputeCapability | None, architecture: str | None
) -> Platform:
    for row in _rows():
        since, prefixes = row.get("since"), row.get("prefixes")
        if row["vendor"] != vendor:
            continue
        if since is not None and (capability is None or capability < tuple(since)):
            continue
        if prefixes is not None and not (architecture or "").startswith(tuple(prefixes)):
            continue
        return Platform(row["name"], row["modelled"], row.get("fp8_format"))
    return Platform("unknown", modelled=True)


@cache
def _rows() -> tuple[dict[str, Any], ...]:
    path = Path(__file__).with_name("platforms.json")
    return tuple(json.loads(path.read_text(encoding="utf-8"))["platforms"])
