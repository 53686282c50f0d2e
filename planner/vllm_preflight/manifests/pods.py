"""vLLM servers of pod specs, wherever in a Kubernetes object they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.words.server import ServerCommand
from vllm_preflight.manifests.accelerators import pod_gpus
from vllm_preflight.manifests.claims import Claim, with_claims
from vllm_preflight.manifests.environment import ConfigMaps, container_environment
from vllm_preflight.manifests.groups import Group, group_of, object_name
from vllm_preflight.manifests.nodes import (
    Fields,
    Node,
    Text,
    at,
    fields_of,
    is_true,
    items_of,
    text_at,
    walk,
)
from vllm_preflight.manifests.releases import image_release
from vllm_preflight.manifests.servers import ManifestServer, SharedMemory
from vllm_preflight.manifests.words import (
    Values,
    read_command,
    read_script,
    split_words,
    with_settings,
    words_of,
)

_NO_SERVER_IMAGE = ("router", "exporter", "frontend", "scheduler", "tokenizer")
# Flags that vLLM alone has; images of other engines take some of them too.
_OWN_FLAGS = frozenset(
    {"--gpu-memory-utilization", "--max-model-len", "--tensor-parallel-size", "--enforce-eager"}
)
_OTHER_ENGINES = ("sglang", "text-generation-inference", "tensorrt", "trtllm", "ollama", "llama")


@dataclass(frozen=True)
class Input:
    """What a reader of objects needs beside the object.

    ConfigMaps, given variables, what a .env file beside a compose file sets, and claims of
    devices.
    """

    maps: ConfigMaps
    given: Mapping[str, str]
    defaults: Mapping[str, str] = field(default_factory=dict[str, str])
    claims: Mapping[str, Claim] = field(default_factory=dict[str, Claim])


def read_object(node: Node, known: Input) -> list[ManifestServer]:
    """Every vLLM server of an object's pod specs."""
    servers: list[ManifestServer] = []
    devices = 0
    for pod, path in walk(node):
        if isinstance(at(pod, "containers"), list):
            around = (*path, pod)
            group = group_of(pod, path)
            devices += (pod_gpus(items_of(pod["containers"]), pod).count or 0) * max(
                group.replicas, 1
            )
            servers += _of_pod(pod, path, group, object_name(around[0]), known)
        elif isinstance(at(pod, "mainContainer"), Fields):
            servers += _of_service(pod, path, object_name(path[0] if path else pod), known)
    return [replace(server, object_gpus=devices) for server in servers]


def _of_pod(
    pod: Fields, path: Sequence[Node], group: Group, name: str, known: Input
) -> Iterator[ManifestServer]:
    containers = [item for item in items_of(pod["containers"]) if isinstance(item, Fields)]
    holders = [node for node in path if isinstance(node, Fields) and "resources" in node]
    gpus = pod_gpus(containers, pod)
    if gpus.count is None and holders:
        gpus = pod_gpus(containers, pod, holders[-1:])
    component = next((c for node in reversed(path) if (c := text_at(node, "name"))), None)
    size = next((s for node in reversed(path) if (s := text_at(node, "sharedMemorySize"))), None)
    more = _system_values(group)
    for container in containers:
        memory = SharedMemory(str(size)) if size else shared_memory(pod, container)
        if memory.is_default and group.mounts:
            memory = SharedMemory(known=False)
        server = container_server(container, known, more)
        if server is None or group.worker:
            continue
        # Containers share no devices: each server has what its own container asks for.
        own = pod_gpus([container], pod)
        own = with_claims(gpus if own.count is None else own, container, pod, known.claims)
        label = str(component or text_at(container, "name") or "server")
        yield replace(
            server,
            name=name if name == label else f"{name}/{label}",
            gpus=group.gpus if group.gpus is not None and gpus.count is None else own,
            nodes=group.nodes,
            total_gpus=group.total,
            replicas=group.replicas,
            pods_may_be_nodes=group.may_be_nodes,
            shared_memory=memory,
        )


def _of_service(
    pod: Fields, path: Sequence[Node], name: str, known: Input
) -> Iterator[ManifestServer]:
    """A service of a Dynamo graph: mainContainer, its resources beside the pod spec."""
    container = fields_of(pod["mainContainer"])
    service = next((node for node in reversed(path) if isinstance(node, Fields)), pod)
    role = _key_of(service, path)
    server = container_server(container, known, around=[service])
    if server is None:
        return
    group = group_of(pod, path)
    memory = text_at(service, "sharedMemory", "size")
    yield replace(
        server,
        name=f"{name}/{role}" if role else name,
        gpus=pod_gpus([container], pod, [service]),
        nodes=group.nodes,
        replicas=group.replicas,
        # Dynamo's operator mounts /dev/shm itself where nothing is said.
        shared_memory=SharedMemory(str(memory)) if memory else SharedMemory(known=False),
    )


def _key_of(service: Fields, path: Sequence[Node]) -> str | None:
    for node in path:
        for key, value in fields_of(node).items():
            if value is service and key != "spec":
                return key
    return None


def _system_values(group: Group) -> dict[str, str]:
    """What operators set in a pod whatever the manifest says."""
    return {"LWS_GROUP_SIZE": str(group.nodes), "LWS_WORKER_INDEX": "0"} if group.nodes > 1 else {}


def container_server(
    container: Fields,
    known: Input,
    more: Mapping[str, str] | None = None,
    around: Sequence[Node] = (),
) -> ManifestServer | None:
    """The server that a container starts; None where it starts none.

    `more` is what the system sets, `around` has variables for every container in it.
    """
    holders = [*around, container]
    environment = container_environment(holders, known.maps, known.given, more)
    server = _server(container, environment.values, known.maps)
    if server is None or not environment.absent:
        return server
    names = " and ".join(environment.absent)
    return replace(server, notes=(f"Variables come from the ConfigMap {names}, not given here.",))


def _server(container: Fields, values: Values, maps: ConfigMaps) -> ManifestServer | None:
    image = text_at(container, "image")
    command, arguments = words_of(at(container, "command")), words_of(at(container, "args"))
    words = [*command, *arguments]
    try:
        if not command and len(arguments) == 1 and " " in arguments[0].strip():
            # Some operators join what Kubernetes would hand on as one word.
            words = split_words(arguments[0])
        found = read_command(
            words,
            values,
            image=str(image) if image else None,
            own_entry=not command and serves(image, words),
        )
        if found is None and (script := maps.script(words)):
            words = script
            found = read_script(script[0], values, script[1:], image=str(image) if image else None)
    except InvalidRequest as error:
        if not any("vllm" in word for word in (*words, image or "")):
            return None
        return ManifestServer("", container.line, image=image, problem=error.message)
    if found is None or is_worker(found):
        return None
    settings = list(maps.settings(found))
    if settings:
        found = with_settings(found, settings)
    return ManifestServer(
        "",
        words[0].line if words else container.line,
        command=found,
        sources=(*words, *settings),
        image=str(image) if image else None,
        release=image_release(image),
    )


def is_worker(command: ServerCommand) -> bool:
    """Whether a command only joins another node's server."""
    return any(word.text == "--headless" for word in command.words)


def serves(image: str | None, words: Sequence[str]) -> bool:
    """Whether an image's own entry point starts vLLM with these words as arguments."""
    whole = (image or "").lower()
    name = whole.rsplit("/", 1)[-1]
    # A flag and its value in one word are a slip that has to be seen, not passed over.
    flags = {re.split(r"[=\s]", word, maxsplit=1)[0].replace("_", "-") for word in words}
    known = "vllm" in whole or bool(flags & _OWN_FLAGS and "--model" in flags)
    if not known or any(part in name for part in (*_NO_SERVER_IMAGE, *_OTHER_ENGINES)):
        return False
    if flags & {"--model", "--config", "serve"}:
        return True
    # Since 0.11 the image takes the model first, as vllm serve does.
    first = words[0] if words else ""
    return bool(first) and not first.startswith("-") and ("/" in first or "$(" in first)


def shared_memory(pod: Node, container: Node) -> SharedMemory:
    """/dev/shm of a container: a mounted memory volume, or the host's."""
    if is_true(at(pod, "hostIPC")):
        return SharedMemory(host=True)
    mounts = {
        text_at(mount, "name")
        for mount in items_of(at(container, "volumeMounts"))
        if (text_at(mount, "mountPath") or "").rstrip("/") == "/dev/shm"
    }
    for volume in items_of(at(pod, "volumes")):
        if text_at(volume, "name") in mounts and mounts:
            size = text_at(volume, "emptyDir", "sizeLimit")
            return SharedMemory(str(size) if isinstance(size, Text) else "no limit")
    return SharedMemory()
