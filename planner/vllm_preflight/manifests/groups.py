"""How many pods make one server, and how many servers there are, from what is around a pod."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vllm_preflight.manifests.accelerators import pod_gpus
from vllm_preflight.manifests.nodes import (
    Fields,
    Node,
    Text,
    at,
    digits,
    fields_of,
    is_true,
    items_of,
    number_at,
    text_at,
)
from vllm_preflight.manifests.servers import Gpus

_REPLICAS = ("replicas", "minReplicas", "replicaCount")
# Fewest copies that an autoscaler keeps: none are started where a request comes.
_LEAST = "minReplicas"


@dataclass(frozen=True)
class Group:
    """What is around a pod; no `replicas` where the object is scaled to nothing.

    `worker` is true for pods that only join a server; `gpus` are those of the pods with
    GPUs where the server's own pod has none, `total` all devices where pods differ. `mounts`
    is true where an operator mounts /dev/shm itself, as KubeRay does.
    """

    nodes: int = 1
    replicas: int = 1
    worker: bool = False
    may_be_nodes: bool = False
    gpus: Gpus | None = None
    total: int | None = None
    mounts: bool = False


def group_of(pod: Fields, path: Sequence[Node]) -> Group:
    """The group of a pod spec whose ancestors are `path`, outermost first."""
    around = [node for node in path if isinstance(node, Fields)]
    for depth, node in enumerate(around):
        if isinstance(at(node, "leaderWorkerTemplate"), Fields):
            return _leader_worker(pod, fields_of(node["leaderWorkerTemplate"]), around[: depth + 1])
        if isinstance(at(node, "headGroupSpec"), Fields):
            return _ray(pod, node, around[: depth + 1])
    nodes = next((n for node in reversed(around) if (n := _multinode(node))), 1)
    kind = text_at(around[0], "kind") if around else None
    return Group(
        nodes,
        _replicas(around),
        may_be_nodes=kind in {"StatefulSet", "Job", "JobSet", "StormService"},
    )


def _replicas(around: Sequence[Fields]) -> int:
    """The nearest count of copies around a pod; jobs count their pods."""
    for node in reversed(around):
        for name in _REPLICAS:
            count = number_at(node, name)
            if count is not None:
                return max(count, 1) if name == _LEAST else count
        parallelism = digits(text_at(node, "parallelism"))
        if parallelism is not None:
            return parallelism
    return 1


def _multinode(node: Fields) -> int | None:
    """Pods of one server by the operators' own fields."""
    for path in (("multinode", "nodeCount"), ("podGroupSize",)):
        count = number_at(node, *path)
        if count is not None:
            return count
    return None


def _leader_worker(pod: Fields, template: Fields, around: Sequence[Fields]) -> Group:
    size = number_at(template, "size") or 1
    leader = at(template, "leaderTemplate", "spec")
    workers = at(template, "workerTemplate", "spec")
    replicas = number_at(around[-1], "replicas")
    is_worker = isinstance(leader, Fields) and pod is not leader
    nodes, gpus = size, None
    if pod is leader and isinstance(workers, Fields):
        own = _gpus(pod)
        if own.count is None and _gpus(workers).count is not None:
            nodes, gpus = max(size - 1, 1), _gpus(workers)
    return Group(nodes, 1 if replicas is None else replicas, is_worker, gpus=gpus)


def _ray(pod: Fields, cluster: Fields, around: Sequence[Fields]) -> Group:
    """A Ray cluster: the head's pod and those of every worker group."""
    head = at(cluster, "headGroupSpec", "template", "spec")
    own = _gpus(head)
    nodes = 1 if own.count else 0
    total = own.count or 0
    gpus = own if own.count else None
    for workers in items_of(at(cluster, "workerGroupSpecs")):
        asked = _gpus(at(workers, "template", "spec"))
        if not asked.count:
            continue
        copies = (number_at(workers, "replicas") or 1) * (number_at(workers, "numOfHosts") or 1)
        nodes += copies
        total += copies * asked.count
        gpus = gpus or asked
    replicas = _replicas(around[:-1]) if len(around) > 1 else 1
    # An autoscaled cluster grows to what its actors ask for.
    grows = is_true(at(cluster, "enableInTreeAutoscaling"))
    fixed = None if grows else total or None
    return Group(max(nodes, 1), replicas, pod is not head, gpus=gpus, total=fixed, mounts=True)


def _gpus(pod: Node) -> Gpus:
    return pod_gpus(items_of(at(pod, "containers")), pod)


def object_name(node: Node) -> str:
    """The name of a Kubernetes object."""
    name = text_at(node, "metadata", "name") or text_at(node, "metadata", "generateName")
    return str(name) if isinstance(name, Text) else str(text_at(node, "kind") or "object").lower()
