"""A cluster's GPUs: what its nodes offer, and the even layout of them to plan for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vllm_preflight.base.errors import InvalidRequest, NoGpuDetected
from vllm_preflight.base.units import ceil_div
from vllm_preflight.hardware.fleet.kubernetes import read_kubernetes
from vllm_preflight.hardware.fleet.nodes import Fleet, Source
from vllm_preflight.hardware.fleet.ray import read_ray
from vllm_preflight.hardware.gpu import Gpu

PREFIX = "fleet:"
_SOURCES: tuple[Source, ...] = ("ray", "kubernetes")


@dataclass(frozen=True)
class Share:
    """An even part of a fleet: `nodes` machines with `gpus_per_node` GPUs of at least `gpu`."""

    gpu: Gpu
    nodes: int
    gpus_per_node: int
    notes: tuple[str, ...]

    @property
    def gpus(self) -> int:
        """GPUs in all."""
        return self.nodes * self.gpus_per_node


def fleet_source(gpu: str) -> Source | None:
    """The cluster that `gpu` ("fleet:ray") means, None where it names a GPU.

    Raises:
        InvalidRequest: a fleet of no known kind.
    """
    lowered = gpu.strip().lower()
    if not lowered.startswith(PREFIX):
        return None
    name = lowered.removeprefix(PREFIX)
    found: Source | None = next((source for source in _SOURCES if source == name), None)
    if found is None:
        raise InvalidRequest(f"gpu is {gpu[:60]!r}.", "Write fleet:ray or fleet:kubernetes.")
    return found


def read_fleet(source: Source) -> Fleet:
    """What the cluster offers, asked through its own client.

    Raises:
        NoGpuDetected: the client is not installed, or the cluster does not answer.
    """
    return read_ray() if source == "ray" else read_kubernetes()


def share_of(fleet: Fleet, gpus: int | None, nodes: int | None) -> Share:
    """The part of the fleet to plan for: as asked, else the most GPUs on equal terms.

    vLLM splits a model evenly, so each machine gives the same number of GPUs, and the
    smallest GPU of those used decides.

    Raises:
        NoGpuDetected: the fleet has no GPU.
        InvalidRequest: it has not that many GPUs or nodes.
    """
    if not fleet.nodes:
        reason = " ".join(fleet.notes) or "No node has GPUs."
        raise NoGpuDetected(
            f"The {fleet.source} cluster offers no GPU. {reason}",
            "Name it as gpu instead, such as H100.",
        )
    machines, each = _layout(fleet, gpus, nodes)
    # Of the machines with enough GPUs those with the larger ones.
    fit = sorted(
        (node for node in fleet.nodes if node.gpus >= each),
        key=lambda node: (-node.gpu.visible_bytes, node.name),
    )[:machines]
    least = min(fit, key=lambda node: node.gpu.visible_bytes).gpu
    notes = [*fleet.notes]
    names = sorted({node.gpu.name for node in fit})
    if len(names) > 1:
        notes.append(f"The GPUs differ ({', '.join(names)}); the smallest, {least.name}, decides.")
    total = sum(node.gpus for node in fleet.nodes)
    if machines * each < total:
        notes.append(
            f"{machines} × {each} of the {total} GPUs on {len(fleet.nodes)} nodes are planned for."
        )
    return Share(least, machines, each, tuple(notes))


def _layout(fleet: Fleet, gpus: int | None, nodes: int | None) -> tuple[int, int]:
    """(machines, GPUs on each)."""
    counts = [node.gpus for node in fleet.nodes]
    if nodes is not None and nodes > len(counts):
        raise InvalidRequest(
            f"nodes is {nodes}, but {len(counts)} nodes of the {fleet.source} cluster have GPUs.",
            "Ask for at most as many.",
        )
    layouts = _even_layouts(counts, nodes)
    if gpus is None:
        return max(layouts, key=lambda layout: (layout[0] * layout[1], layout[1]))
    # As few machines as do: links within one are faster.
    for machines in range(1, len(counts) + 1) if nodes is None else (nodes,):
        each = ceil_div(gpus, machines)
        if each * machines == gpus and sum(count >= each for count in counts) >= machines:
            return machines, each
    most = max(machines * each for machines, each in layouts)
    raise InvalidRequest(
        f"gpus is {gpus}, which the {fleet.source} cluster cannot give evenly; its nodes have "
        f"{', '.join(map(str, sorted(counts, reverse=True)))}.",
        f"At most {most} can be had, the same number on each machine.",
    )


def _even_layouts(counts: Sequence[int], nodes: int | None) -> list[tuple[int, int]]:
    """(machines, GPUs on each) for each number of GPUs that some machine has."""
    layouts: list[tuple[int, int]] = []
    for each in sorted(set(counts)):
        having = sum(count >= each for count in counts)
        if nodes is None or having >= nodes:
            layouts.append((nodes or having, each))
    return layouts
