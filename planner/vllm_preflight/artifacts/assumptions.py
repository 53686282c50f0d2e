"""What artefacts assume of the machines they run on, from `assumptions.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version, parse_version


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Values with sources in `assumptions.json`; units are part of the names."""

    read_mb_s: int
    start_allowance_s: int
    cpus_beside_gpus: int
    host_gib: int
    host_gib_per_gpu: int
    shared_memory_gib_per_gpu: int
    cache_headroom_percent: int
    scratch_gib: int
    scrape_interval_s: int
    queue_per_replica: int
    kv_usage_percent: int
    replicas_grow_to: int


@dataclass(frozen=True, slots=True)
class RayImage:
    """An image of Ray Serve LLM and the vLLM release inside."""

    ray: str
    vllm: str
    image: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A Helm chart: the repository that publishes it, and its name there."""

    repository: str
    chart: str


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


def kv_usage_metric(version: Version) -> str:
    """The name under which this vLLM release publishes the share of the KV cache in use."""
    entries = _data()["kv_usage_metrics"]["metrics"]
    published = [entry for entry in entries if parse_version(entry["since"]) <= version]
    return (published or entries)[-1 if published else 0]["name"]


def chart(name: str) -> Chart:
    """A Helm chart by the name used here, such as "production-stack"."""
    return Chart(**_data()["charts"]["charts"][name])
