"""vLLM servers of Helm values: the production stack and llm-d's modelservice.

Which key stands for which flag is in `charts.json`, with the chart it was read from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from vllm_preflight.manifests.accelerators import gpus_of_labels, placed_on, pod_gpus
from vllm_preflight.manifests.environment import container_environment
from vllm_preflight.manifests.nodes import (
    Fields,
    Items,
    Node,
    Text,
    at,
    fields_of,
    is_false,
    is_true,
    items_of,
    number_at,
    text_at,
)
from vllm_preflight.manifests.pods import Input, container_server
from vllm_preflight.manifests.releases import image_release
from vllm_preflight.manifests.servers import Gpus, ManifestServer, SharedMemory
from vllm_preflight.manifests.words import flag, read_command, words_of


@dataclass(frozen=True)
class _Chart:
    flags: Mapping[str, str]
    switches: Mapping[str, Mapping[str, str]]


@cache
def _chart(name: str) -> _Chart:
    path = Path(__file__).with_name("charts.json")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["charts"][name]
    return _Chart(data["flags"], data["switches"])


def is_production_stack(node: Node) -> bool:
    """Whether a document is values of the production stack's chart."""
    return isinstance(at(node, "servingEngineSpec", "modelSpec"), Items)


def read_production_stack(node: Node, known: Input) -> Iterator[ManifestServer]:
    """One server for each modelSpec."""
    for spec in items_of(at(node, "servingEngineSpec", "modelSpec")):
        if isinstance(spec, Fields) and not is_false(at(spec, "enabled")):
            yield _of_model_spec(spec, known)


def _of_model_spec(spec: Fields, known: Input) -> ManifestServer:
    config = fields_of(at(spec, "vllmConfig"))
    model = text_at(spec, "modelURL")
    start = Text.at("vllm", spec.line)
    name = str(text_at(spec, "name") or "model")
    if model is None:
        return ManifestServer(name, spec.line, problem="The modelSpec has no modelURL.")
    words = [start, start.moved("serve"), model]
    chart = _chart("production-stack")
    words += _written(chart, config, spec)
    words += words_of(at(config, "extraArgs"))
    image = f"{text_at(spec, 'repository') or ''}:{text_at(spec, 'tag') or 'latest'}"
    version = text_at(config, "v0")
    more = {"VLLM_USE_V1": "0"} if version == "1" else dict[str, str]()
    environment = container_environment([spec], known.maps, known.given, more)
    workers, gpus, total = 1, _requested(spec, spec), None
    ray = fields_of(at(spec, "raySpec"))
    if ray and not is_false(at(ray, "enabled")):
        workers, total = _ray_nodes(spec, ray, gpus)
    shm, replicas = text_at(spec, "shmSize"), number_at(spec, "replicaCount")
    # The chart mounts 20 GiB where a tensor-parallel size is given.
    sized = "tensorParallelSize" in config
    return ManifestServer(
        name,
        model.line,
        command=read_command(words, environment.values, image=image),
        sources=tuple(words),
        image=image,
        release=image_release(image),
        gpus=gpus,
        nodes=workers,
        total_gpus=total,
        replicas=1 if replicas is None or (workers > 1 and replicas) else replicas,
        shared_memory=SharedMemory(str(shm or "20Gi")) if sized else SharedMemory(),
    )


def _written(chart: _Chart, config: Fields, spec: Fields) -> Iterator[Text]:
    """The flags that the chart's template writes for its keys."""
    for holder in (config, spec):
        for key, value in holder.items():
            if key in chart.flags and isinstance(value, Text):
                place = value.moved(str(value))
                place.line = holder.lines.get(key, value.line)
                yield from flag(chart.flags[key], value, place)
            elif key in chart.switches and isinstance(value, Text):
                written = chart.switches[key].get("true" if is_true(value) else "false")
                if written is not None:
                    yield value.moved(written)


def _requested(spec: Fields, around: Fields) -> Gpus:
    count = number_at(spec, "requestGPU")
    kind = str(text_at(spec, "requestGPUType") or "nvidia.com/gpu")
    asked = Fields(spec.line)
    limits = Fields(spec.line)
    limits[kind] = Text.at(str(count or 0), spec.line)
    resources = Fields(spec.line)
    resources["limits"] = limits
    asked["resources"] = resources
    return pod_gpus([asked], _placement(around))


def _placement(spec: Fields) -> Fields:
    """The chart's nodeSelectorTerms as the affinity it writes."""
    terms = at(spec, "nodeSelectorTerms")
    pod = Fields(spec.line)
    pod["nodeSelector"] = at(spec, "nodeSelector")
    if isinstance(terms, Items):
        inner: Node = terms
        for key in (
            "nodeSelectorTerms",
            "requiredDuringSchedulingIgnoredDuringExecution",
            "nodeAffinity",
        ):
            around = Fields(spec.line)
            around[key] = inner
            inner = around
        pod["affinity"] = inner
    return pod


def _ray_nodes(spec: Fields, ray: Fields, gpus: Gpus) -> tuple[int, int | None]:
    """Pods of the Ray cluster and their devices: the head and replicaCount workers."""
    workers = number_at(spec, "replicaCount") or 1
    head = number_at(ray, "headNode", "requestGPU") or 0
    total = head + workers * (gpus.count or 0)
    return workers + (1 if head else 0), total or None


def is_modelservice(node: Node) -> bool:
    """Whether a document is values of llm-d's modelservice chart."""
    roles = (at(node, role) for role in ("decode", "prefill"))
    return isinstance(at(node, "modelArtifacts"), Fields) and any(
        isinstance(role, Fields) for role in roles
    )


def read_modelservice(node: Node, known: Input) -> Iterator[ManifestServer]:
    """The server of each role that the chart creates."""
    for role in ("decode", "prefill"):
        spec = at(node, role)
        if isinstance(spec, Fields) and not is_false(at(spec, "create")):
            server = _of_role(node, role, spec, known)
            if server is not None:
                yield server


@dataclass(frozen=True)
class _Parallelism:
    """As the chart's helpers work it out of what is set."""

    tensor: int
    data: int
    local: int
    workers: int

    @classmethod
    def of(cls, node: Node) -> _Parallelism:
        tensor = number_at(node, "tensor") or 1
        data, local = number_at(node, "data"), number_at(node, "dataLocal")
        workers = number_at(node, "workers")
        if workers is None:
            workers = max(data // local, 1) if data and local else 1
        return cls(
            tensor,
            data or (local or 1) * (workers if local else 1),
            local or max((data or 1) // workers, 1),
            workers,
        )


def _of_role(node: Node, role: str, spec: Fields, known: Input) -> ManifestServer | None:
    parallel = _Parallelism.of(at(spec, "parallelism"))
    more = {
        "TP_SIZE": str(parallel.tensor),
        "DP_SIZE": str(parallel.data),
        "DP_SIZE_LOCAL": str(parallel.local),
    }
    multinode = parallel.workers > 1 or is_true(at(node, "multinode"))
    if multinode:
        more |= {"LWS_GROUP_SIZE": str(parallel.workers), "LWS_WORKER_INDEX": "0"}
    name = str(text_at(node, "modelArtifacts", "name") or "model")
    for container in items_of(at(spec, "containers")):
        if not isinstance(container, Fields):
            continue
        whole = _with_model(node, container, parallel)
        server = container_server(whole, known, more)
        if server is None:
            continue
        gpus = _role_gpus(node, spec, container, parallel)
        replicas = number_at(spec, "replicas")
        return replace(
            server,
            name=f"{name}/{role}",
            gpus=gpus,
            nodes=parallel.workers,
            replicas=1 if replicas is None else replicas,
            shared_memory=SharedMemory(known=False),
        )
    return None


def _with_model(node: Node, container: Fields, parallel: _Parallelism) -> Fields:
    """The container with the command that the chart writes for its modelCommand."""
    kind = text_at(container, "modelCommand")
    if kind not in {"vllmServe", "imageDefault"}:
        return container
    model = _model(node)
    if model is None:
        return container
    place = text_at(node, "modelArtifacts", "uri") or Text.at("", container.line)
    arguments = Items(container.line)
    if kind == "imageDefault":
        arguments.append(place.moved("--model"))
    arguments.append(place.moved(model))
    for name, value in (
        ("tensor-parallel-size", parallel.tensor),
        ("data-parallel-size", parallel.data),
        ("data-parallel-size-local", parallel.local),
    ):
        if value > 1:
            arguments += flag(name, value, Text.at("", container.line))
    arguments += items_of(at(container, "args"))
    whole = Fields(container.line)
    whole.update(container)
    whole["args"] = arguments
    command = Items(container.line)
    if kind == "vllmServe":
        command += [Text.at("vllm", container.line), Text.at("serve", container.line)]
    whole["command"] = command
    return whole


def _model(node: Node) -> str | None:
    """The model of modelArtifacts: the chart's argument for its uri."""
    uri = text_at(node, "modelArtifacts", "uri")
    if uri is None:
        return None
    protocol, _, rest = uri.partition("://")
    parts = rest.split("/")
    mount = str(text_at(node, "modelArtifacts", "mountPath") or "/model-cache")
    match protocol:
        case "hf":
            return rest
        case "pvc+hf":
            return "/".join(parts[-2:])
        case "pvc":
            return f"{mount}/{'/'.join(parts[1:])}"
        case _:
            name = text_at(node, "modelArtifacts", "name")
            return str(name) if name else None


def _role_gpus(node: Node, spec: Fields, container: Fields, parallel: _Parallelism) -> Gpus:
    """Resources as written, else what the parallelism needs; products of acceleratorTypes."""
    pod = at(spec, "extraConfig")
    key = text_at(spec, "acceleratorTypes", "labelKey")
    values = items_of(at(spec, "acceleratorTypes", "labelValues"))
    names = placed_on(pod) or placed_on(spec)
    if key is not None:
        names = gpus_of_labels([(str(key), [str(v) for v in values if isinstance(v, Text)])])
    asked = pod_gpus([container], None)
    vendor = str(text_at(node, "accelerator", "type") or "nvidia")
    other = None if vendor in {"nvidia", "amd"} or "mig" in vendor else f"accelerator {vendor}"
    count = asked.count or parallel.local * parallel.tensor
    return Gpus(names or asked.names, count, mig=asked.mig, other=asked.other or other)
