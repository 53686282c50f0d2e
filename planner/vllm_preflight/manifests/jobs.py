"""vLLM servers of SkyPilot tasks and dstack configurations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.manifests.accelerators import alternatives, counted_gpu
from vllm_preflight.manifests.nodes import (
    Fields,
    Items,
    Node,
    Text,
    at,
    fields_of,
    items_of,
    number_at,
    text_at,
)
from vllm_preflight.manifests.pods import is_worker
from vllm_preflight.manifests.releases import image_release, installed_release
from vllm_preflight.manifests.servers import Gpus, ManifestServer, SharedMemory
from vllm_preflight.manifests.words import read_script, unknown


def is_skypilot(node: Node) -> bool:
    """Whether a document is a SkyPilot task."""
    return isinstance(at(node, "run"), Text) and bool(
        {"resources", "setup", "envs", "num_nodes", "service"} & fields_of(node).keys()
    )


def read_skypilot(node: Node, given: Mapping[str, str]) -> Iterator[ManifestServer]:
    """The server of a task's run text; its accelerators are alternatives."""
    run = text_at(node, "run")
    if run is None:
        return
    names, count = _accelerators(at(node, "resources"))
    nodes = number_at(node, "num_nodes") or 1
    values = _variables(at(node, "envs"), given)
    values |= {"SKYPILOT_NUM_NODES": str(nodes), "SKYPILOT_NODE_RANK": "0"}
    if count is not None:
        values["SKYPILOT_NUM_GPUS_PER_NODE"] = str(count)
    values |= given
    setup = str(text_at(node, "setup") or "")
    image = text_at(node, "resources", "image_id")
    docker = str(image).removeprefix("docker:") if image else None
    replicas = number_at(node, "service", "replicas")
    replicas = replicas or number_at(node, "service", "replica_policy", "min_replicas")
    yield from _of_text(
        run,
        values,
        name=str(text_at(node, "name") or "task"),
        image=docker,
        release=installed_release(setup) or installed_release(run) or image_release(docker),
        gpus=Gpus(names, count),
        nodes=nodes,
        replicas=max(replicas or 1, 1),
    )


def _accelerators(resources: Node) -> tuple[tuple[str, ...], int | None]:
    """The GPUs of resources, or of its any_of and ordered choices, and one node's count."""
    choices = [*items_of(at(resources, "any_of")), *items_of(at(resources, "ordered"))]
    names: list[str] = []
    counts: list[int] = []
    for choice in [resources, *choices]:
        for written in alternatives(at(choice, "accelerators")):
            name, count = counted_gpu(written)
            names += [name] if name else []
            counts.append(count or 1)
        instance = text_at(choice, "instance_type")
        if instance is not None and not counts:
            name, count = counted_gpu(str(instance))
            names += [name] if name else []
            counts += [count] if count else []
    return tuple(dict.fromkeys(names)), min(counts, default=None)


def _variables(node: Node, given: Mapping[str, str]) -> dict[str, str]:
    """Variables of a mapping, or of a list of NAME=value; without a value they are unknown."""
    values: dict[str, str] = {}
    for name, value in fields_of(node).items():
        values[name] = str(value) if isinstance(value, Text) and value else unknown(f"${name}")
    for item in items_of(node):
        if isinstance(item, Text):
            name, equals, value = item.partition("=")
            values[name] = value if equals else given.get(name, unknown(f"${name}"))
    return values


def is_dstack(node: Node) -> bool:
    """Whether a document is a dstack service or task."""
    return text_at(node, "type") in {"service", "task", "dev-environment"} and bool(
        {"commands", "image", "resources"} & fields_of(node).keys()
    )


def read_dstack(node: Node, given: Mapping[str, str]) -> Iterator[ManifestServer]:
    """The server of the commands; without commands the image's entry point is not known."""
    commands = [item for item in items_of(at(node, "commands")) if isinstance(item, Text)]
    entry = text_at(node, "entrypoint")
    commands = [entry] if entry is not None and not commands else commands
    if not commands:
        return
    names, count = _dstack_gpus(at(node, "resources", "gpu"))
    nodes = number_at(node, "nodes") or 1
    values = _variables(at(node, "env"), given)
    values |= {"DSTACK_NODES_NUM": str(nodes), "DSTACK_NODE_RANK": "0"}
    if count is not None:
        values |= {
            "DSTACK_GPUS_NUM": str(count * nodes),
            "DSTACK_GPUS_PER_NODE": str(count),
        }
    values |= given
    image = text_at(node, "image")
    text = Text.at("\n".join(commands), commands[0].line, commands[-1].last)
    memory = text_at(node, "resources", "shm_size")
    replicas = text_at(node, "replicas")
    least = re.match(r"[0-9]{1,9}", replicas) if replicas is not None else None
    yield from _of_text(
        text,
        values,
        name=str(text_at(node, "name") or "dstack"),
        image=str(image) if image else None,
        release=image_release(image) or installed_release(text),
        gpus=Gpus(names, count),
        nodes=nodes,
        replicas=max(int(least[0]) if least else 1, 1),
        memory=SharedMemory(str(memory)) if memory else SharedMemory(known=False),
    )


def _dstack_gpus(node: Node) -> tuple[tuple[str, ...], int | None]:
    """`gpu: L40S:2`, `gpu: A100,H100:80GB:8`, `gpu: {name: […], count: 2, memory: 80GB}`."""
    if isinstance(node, Fields):
        names, size = at(node, "name"), text_at(node, "memory")
        written = [str(n) for n in items_of(names)] if isinstance(names, Items) else [str(names)]
        count = re.match(r"[0-9]{1,9}", text_at(node, "count") or "1")
        found = [] if names is None else _of_size(written, str(size or ""))
        return tuple(found), int(count[0]) if count else 1
    if not isinstance(node, Text):
        return (), None
    count, size, cards = 1, "", list[str]()
    for part in str(node).split(":"):
        if re.fullmatch(r"[0-9]{1,9}(?:\.\.\d*)?", part):
            count = int(part.partition("..")[0])
        elif re.fullmatch(r"\d+(?:GB|TB)(?:\.\..*)?|\.\.\d+GB", part, re.IGNORECASE):
            size = part
        else:
            cards = [card.strip() for card in part.split(",")]
    return tuple(_of_size(cards, size)), count


def _of_size(names: list[str], size: str) -> list[str]:
    """The GPUs of these names, with the memory asked for where a name leaves it open."""
    exact = re.match(r"\d+GB", size, re.IGNORECASE)
    found: list[str] = []
    for name in names:
        sized = counted_gpu(f"{name} {exact[0]}")[0] if exact else None
        gpu = sized or counted_gpu(name)[0]
        found += [gpu] if gpu else []
    return list(dict.fromkeys(found))


def _of_text(
    text: Text,
    values: Mapping[str, str],
    *,
    name: str,
    image: str | None,
    release: str | None,
    gpus: Gpus,
    nodes: int,
    replicas: int,
    memory: SharedMemory | None = None,
) -> Iterator[ManifestServer]:
    try:
        command = read_script(str(text), values, image=image)
    except InvalidRequest as error:
        if "vllm" in text:
            yield ManifestServer(name, text.line, problem=error.message, hint=error.hint)
        return
    if command is None or is_worker(command):
        return
    yield ManifestServer(
        name,
        text.line,
        command=command,
        sources=(text,),
        image=image,
        release=release,
        gpus=gpus,
        nodes=nodes,
        replicas=replicas,
        shared_memory=memory or SharedMemory(known=False),
    )
