"""What artefacts assume of the machines they run on, from `assumptions.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Values with sources in `assumptions.json`; units are part of the names."""

    read_mb_s: int
    start_allowance_s: int
    cpus_beside_gpus: int
    host_gib: int
    host_gib_per_gpu: int
    shared_memory_gib_per_gpu: int


@dataclass(frozen=True, slots=True)
class RayImage:
    """An image of Ray Serve LLM and the vLLM release inside."""

    ray: str
    vllm: str
    image: str


@cache
def _data() -> dict[str, Any]:
    package = resources.files("vllm_preflight.artifacts")
    return json.loads(package.joinpath("assumptions.json").read_text(encoding="utf-8"))


@cache
def assumptions() -> Assumptions:
    """The assumptions all artefacts share."""
    return Assumptions(**{name: entry["value"] for name, entry in _data()["values"].items()})


@cache
def ray_images() -> tuple[RayImage, ...]:
    """Images of Ray Serve LLM, those with the oldest vLLM first."""
    return tuple(RayImage(**entry) for entry in _data()["ray_llm"]["images"])


def ray_image_with(version: Version) -> RayImage | None:
    """The image with this vLLM release, None when none is known."""
    wanted = format_version(version)
    return next((image for image in ray_images() if image.vllm == wanted), None)
