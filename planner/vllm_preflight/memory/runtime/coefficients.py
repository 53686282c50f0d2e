"""The fitted numbers behind `runtime`: each with its range, spread and evidence.

`coefficients.json` is written by `scripts/fit_runtime.py`. An entry holds for
releases from `since` up to (not including) `until` and for launches whose traits equal
its `where`; the first entry that holds is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch, Version
from vllm_preflight.launch.versions import format_version, parse_version
from vllm_preflight.models.architecture import Architecture

Traits = Mapping[str, str]
# Name, range and traits of an entry.
Key = tuple[str, Version, Version | None, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, eq=False)
class Coefficient:
    """One number of the runtime model.

    Attributes:
        name: what it multiplies; several entries share a name and differ in range.
        value: the number, in `unit`.
        spread: standard deviation of `value` between sources, in the same unit.
        unit: what one of `value` stands for.
        since, until: first release it holds for, and first it no longer holds for.
        where: traits of launch and GPU it holds for; empty for all.
        basis: fitted (from start-ups), derived (arithmetic) or assumed (no data).
        samples: start-ups it was fitted on.
        residual_gib: median absolute residual of those start-ups, GiB; None without any.
        sources: repositories and threads of those start-ups, or the reasoning.
        description: which memory this is.
    """

    name: str
    value: float
    spread: float
    unit: str
    since: Version
    until: Version | None
    where: Traits
    basis: Literal["fitted", "derived", "assumed"]
    samples: int
    residual_gib: float | None
    sources: tuple[str, ...]
    description: str
    date: str = ""

    @cached_property
    def key(self) -> Key:
        """What identifies the entry whatever its value."""
        return (self.name, self.since, self.until, tuple(sorted(self.where.items())))

    def holds(self, version: Version, traits: Traits) -> bool:
        """Whether this entry is for that release and launch."""
        if version < self.since or (self.until is not None and version >= self.until):
            return False
        return all(traits.get(key) == value for key, value in self.where.items())

    @property
    def evidence(self) -> str:
        """Where the number comes from, as one sentence for a term's source."""
        until = f" to before {format_version(self.until)}" if self.until else " on"
        span = f"vLLM {format_version(self.since)}{until}"
        if not self.samples:
            return f"{self.description} ({span}; {self.basis}: {'; '.join(self.sources)})"
        return (
            f"{self.description} ({span}; {self.samples} start-ups of {len(self.sources)} "
            f"sources, median residual {self.residual_gib:.2f} GiB)"
        )


@dataclass(frozen=True, eq=False)
class Coefficients:
    """All entries, in order of precedence."""

    entries: tuple[Coefficient, ...]
    date: str = field(default="")

    @cached_property
    def _by_name(self) -> Mapping[str, tuple[Coefficient, ...]]:
        names = dict.fromkeys(entry.name for entry in self.entries)
        return {name: tuple(e for e in self.entries if e.name == name) for name in names}

    def find(self, name: str, version: Version, traits: Traits) -> Coefficient:
        """The entry of `name` that holds; KeyError when the file has a gap."""
        for entry in self._by_name.get(name, ()):
            if entry.holds(version, traits):
                return entry
        raise KeyError(f"{name} for {format_version(version)} and {dict(traits)}")


def launch_traits(launch: Launch, gpu: Gpu, architecture: Architecture) -> Traits:
    """What the entries' `where` distinguishes.

    `fabric` is "switched" where vLLM's fused and symmetric-memory all-reduces run: NVIDIA
    of compute capability 9 or 10 with NVLink. `chip` is "datacentre" for those two
    capabilities, whose kernels are the largest modules.
    """
    capability = gpu.compute_capability or (0, 0)
    switched = capability[0] in {9, 10} and gpu.nvlink_gb_s is not None
    return {
        "vendor": gpu.vendor.lower(),
        "chip": "datacentre" if capability[0] in {9, 10} else "other",
        "memory": "unified" if gpu.unified else "own",
        "fabric": "switched" if switched else "plain",
        "tensor_parallel": "one" if launch.tensor_parallel_size == 1 else "many",
        "pipeline_parallel": "one" if launch.pipeline_parallel_size == 1 else "many",
        "graphs": "none" if launch.enforce_eager or launch.cudagraph_mode == "NONE" else "captured",
        "feed_forward": "routed" if architecture.moe else "dense",
        "attention": "latent" if architecture.uses_latent_attention else "plain",
        "runner": launch.model_runner,
    }


@cache
def load_coefficients() -> Coefficients:
    """The coefficients that ship with the package."""
    path = Path(__file__).with_name("coefficients.json")
    return coefficients_from(json.loads(path.read_text(encoding="utf-8")))


def coefficients_from(document: Mapping[str, Any]) -> Coefficients:
    """Coefficients of a parsed `coefficients.json`."""
    return Coefficients(
        tuple(_coefficient(entry, document["date"]) for entry in document["coefficients"]),
        document["date"],
    )


def _coefficient(entry: Mapping[str, Any], date: str) -> Coefficient:
    fields: dict[str, Any] = {
        **entry,
        "since": parse_version(entry["since"]),
        "until": parse_version(entry["until"]) if entry["until"] else None,
        "sources": tuple(entry["sources"]),
        "date": date,
    }
    return Coefficient(**fields)
