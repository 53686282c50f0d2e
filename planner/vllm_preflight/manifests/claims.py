"""GPUs that pods claim by dynamic resource allocation: ResourceClaims and their templates.

Source: Kubernetes documentation, Dynamic Resource Allocation (resource.k8s.io/v1 and its
betas); device classes of NVIDIA's and AMD's drivers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from vllm_preflight.manifests.accelerators import named_gpu
from vllm_preflight.manifests.nodes import Fields, Node, Text, at, items_of, number_at, text_at
from vllm_preflight.manifests.servers import Gpus

_CLASSES = frozenset({"gpu.nvidia.com", "gpu.amd.com", "mig.nvidia.com"})
_KINDS = frozenset({"ResourceClaim", "ResourceClaimTemplate"})
# A selector by name: device.attributes['gpu.nvidia.com'].productName == 'NVIDIA L4'.
_PRODUCT = re.compile(r"product(?:Name)?\s*==\s*['\"]([^'\"]{1,80})['\"]")


@dataclass(frozen=True)
class Claim:
    """What a claim asks for: GPUs, None where it leaves their number open; their names."""

    count: int | None
    names: tuple[str, ...] = ()


def claims_of(objects: Iterable[Node]) -> dict[str, Claim]:
    """The claims and templates of the input that ask for GPUs, by name."""
    found: dict[str, Claim] = {}
    for node in objects:
        if text_at(node, "kind") not in _KINDS:
            continue
        spec = at(node, "spec", "spec") or at(node, "spec")
        requests = items_of(at(spec, "devices", "requests"))
        claim = _claim(request for request in requests if _asks_for_gpus(request))
        name = text_at(node, "metadata", "name")
        if claim is not None and name is not None:
            found[str(name)] = claim
    return found


def with_claims(gpus: Gpus, container: Node, pod: Node, claims: Mapping[str, Claim]) -> Gpus:
    """The GPUs with those of the claims that a container uses.

    A claim that is not in the input is left out: what it holds is not known.
    """
    used = {text_at(item, "name") for item in items_of(at(container, "resources", "claims"))}
    for item in items_of(at(pod, "resourceClaims")):
        name = text_at(item, "resourceClaimTemplateName") or text_at(item, "resourceClaimName")
        claim = claims.get(str(name))
        if claim is None or text_at(item, "name") not in used:
            continue
        count = None if claim.count is None else (gpus.count or 0) + claim.count
        names = tuple(dict.fromkeys((*gpus.names, *claim.names)))
        gpus = replace(gpus, names=names, count=count, every=count is None)
    return gpus


def _request(node: Node) -> Node:
    """A request itself, or the part of it that says exactly what is asked."""
    exactly = at(node, "exactly")
    return exactly if isinstance(exactly, Fields) else node


def _asks_for_gpus(request: Node) -> bool:
    return text_at(_request(request), "deviceClassName") in _CLASSES


def _claim(requests: Iterable[Node]) -> Claim | None:
    counts: list[int | None] = []
    names: list[str] = []
    for request in map(_request, requests):
        every = text_at(request, "allocationMode") == "All"
        counts.append(None if every else number_at(request, "count") or 1)
        for selector in items_of(at(request, "selectors")):
            text = text_at(selector, "cel", "expression") or Text("")
            names += [name for word in _PRODUCT.findall(text) if (name := named_gpu(word))]
    if not counts:
        return None
    known = [count for count in counts if count is not None]
    return Claim(sum(known) if len(known) == len(counts) else None, tuple(dict.fromkeys(names)))
