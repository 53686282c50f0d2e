"""What a cluster offers: its nodes with GPUs, as any of its readers tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vllm_preflight.hardware.gpu import Gpu

Source = Literal["ray", "kubernetes"]


@dataclass(frozen=True)
class FleetNode:
    """One machine: its GPUs are all of a kind.

    Attributes:
        name: as the cluster calls it.
        gpu: the planner's facts of its GPUs.
        gpus: how many of them the cluster may give away.
        reported: what the cluster calls the GPU.
    """

    name: str
    gpu: Gpu
    gpus: int
    reported: str


@dataclass(frozen=True)
class Fleet:
    """The nodes that have usable GPUs. `notes` say what was left out and what is not known."""

    source: Source
    nodes: tuple[FleetNode, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
