"""vLLM servers of a docker compose file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.manifests.nodes import (
    Fields,
    Node,
    Text,
    at,
    digits,
    fields_of,
    items_of,
    number_at,
    text_at,
)
from vllm_preflight.manifests.pods import is_worker, serves
from vllm_preflight.manifests.releases import image_release
from vllm_preflight.manifests.servers import Gpus, ManifestServer, SharedMemory
from vllm_preflight.manifests.words import read_command, replaced, split_words, unknown, words_of

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<rule>:?[-+?])(?P<word>(?:[^{}]|\$\{[^{}]*\})*))?\}"
    r"|(?P<plain>[A-Za-z_]\w*))"
)
_DEEPEST = 4


@dataclass(frozen=True)
class Compose:
    """A compose file with the variables that its `${X}` may take."""

    node: Node
    values: Mapping[str, str]

    def text(self, node: Node) -> Text | None:
        """A scalar with its variables replaced; what is not known stays marked."""
        return node.moved(self.replaced(str(node))) if isinstance(node, Text) else None

    def replaced(self, text: str, depth: int = _DEEPEST) -> str:
        """Compose's ${X}, ${X:-default} and $$; `depth` bounds defaults in defaults."""

        def value(found: re.Match[str]) -> str:
            if found["dollar"]:
                return "$"
            name, rule = found["name"] or found["plain"], found["rule"] or ""
            known = self.values.get(name)
            given = known is not None and (known != "" or not rule.startswith(":"))
            if rule.endswith("+"):
                return self.replaced(found["word"], depth - 1) if given and depth else ""
            if given and known is not None:
                return known
            if rule.endswith("-"):
                return self.replaced(found["word"], depth - 1) if depth else found["word"]
            return unknown(f"${{{name}}}")

        return replaced(_REFERENCE, value, text)


def is_compose(node: Node) -> bool:
    """Whether a document is a compose file: services with images, builds or commands."""
    services = fields_of(at(node, "services"))
    keys = {"image", "build", "command", "entrypoint", "extends"}
    return any(keys & fields_of(service).keys() for service in services.values())


def read_compose(node: Node, given: Mapping[str, str]) -> list[ManifestServer]:
    """The servers of every service."""
    file = Compose(node, given)
    services = fields_of(at(node, "services"))
    found: list[ManifestServer] = []
    for name, service in services.items():
        if isinstance(service, Fields):
            whole = _extended(service, services)
            server = _server(file, whole)
            if server is not None:
                found.append(replace(server, name=name))
    return found


def _extended(service: Fields, services: Fields) -> Fields:
    """The service with what it extends from another of the file."""
    other = at(service, "extends", "service") or at(service, "extends")
    base = services.get(str(other)) if isinstance(other, Text) else None
    if not isinstance(base, Fields) or base is service:
        return service
    whole = Fields(service.line)
    whole.update({**base, **service})
    whole.lines = {**base.lines, **service.lines}
    return whole


def _server(file: Compose, service: Fields) -> ManifestServer | None:
    image = file.text(at(service, "image"))
    try:
        entry = _words(file, at(service, "entrypoint"))
        words = _words(file, at(service, "command"))
    except InvalidRequest as error:
        if "vllm" not in (image or ""):
            return None
        return ManifestServer("", service.line, image=image, problem=error.message)
    whole = [*entry, *words]
    values = _environment(file, at(service, "environment"))
    try:
        command = read_command(
            whole,
            values,
            image=str(image) if image else None,
            own_entry=not entry and serves(image, whole),
            # Kubernetes' references mean nothing here.
            expand=lambda text, _: text,
        )
    except InvalidRequest as error:
        if not any("vllm" in word for word in (*whole, image or "")):
            return None
        return ManifestServer("", service.line, image=image, problem=error.message)
    if command is None or is_worker(command):
        return None
    replicas = number_at(service, "deploy", "replicas")
    replicas = number_at(service, "scale") if replicas is None else replicas
    return ManifestServer(
        "",
        whole[0].line if whole else service.line,
        command=command,
        sources=tuple(whole),
        image=str(image) if image else None,
        release=image_release(image),
        gpus=_gpus(file, service, values),
        replicas=1 if replicas is None else replicas,
        shared_memory=_shared_memory(file, service),
    )


def _words(file: Compose, node: Node) -> list[Text]:
    """A list of words, or a text that compose splits as a shell would."""
    if isinstance(node, Text):
        text = file.text(node)
        continued = "" if text is None else text.replace("\\\n", " ")
        return split_words(node.moved(continued))
    return [word.moved(file.replaced(str(word))) for word in words_of(node)]


def _environment(file: Compose, node: Node) -> dict[str, str]:
    values: dict[str, str] = {}
    pairs: list[tuple[str, Text | None]] = []
    if isinstance(node, Fields):
        pairs = [(k, v if isinstance(v, Text) else None) for k, v in node.items()]
    for item in items_of(node):
        if isinstance(item, Text):
            name, equals, value = item.partition("=")
            pairs.append((name, item.moved(value) if equals else None))
    for name, value in pairs:
        if value is None:
            # Taken over from the shell that runs compose.
            values[name] = file.values.get(name, unknown(f"${name}"))
        else:
            values[name] = file.replaced(str(value))
    return values


def _gpus(file: Compose, service: Fields, values: Mapping[str, str]) -> Gpus:
    devices = items_of(at(service, "deploy", "resources", "reservations", "devices"))
    for device in [*devices, *items_of(at(service, "gpus"))]:
        ids = items_of(at(device, "device_ids"))
        if ids:
            names = [i for item in ids if (i := file.text(item))]
            return Gpus(count=sum(len(name.split(",")) for name in names))
        count = digits(file.text(at(device, "count")))
        if isinstance(device, Fields):
            every = count is None
            if every and (seen := _visible(values, "CUDA_VISIBLE_DEVICES")):
                return Gpus(count=seen)
            return Gpus(count=count, every=every)
    handed = [word.partition("=")[2] for word in words_of(at(service, "devices"))]
    handed = [name for name in handed if name]
    if text_at(service, "gpus") == "all" or "all" in handed:
        return Gpus(count=_visible(values, "CUDA_VISIBLE_DEVICES"), every=True)
    if handed:
        return Gpus(count=len(handed))
    visible = values.get("NVIDIA_VISIBLE_DEVICES") or values.get("CUDA_VISIBLE_DEVICES")
    runtime = text_at(service, "runtime") == "nvidia"
    if visible and (runtime or "CUDA_VISIBLE_DEVICES" in values):
        if visible == "all":
            return Gpus(every=True)
        if re.fullmatch(r"[\w.-]+(?:\s*,\s*[\w.-]+)*", visible):
            return Gpus(count=len(visible.split(",")))
    amd = any("/dev/kfd" in word for word in words_of(at(service, "devices")))
    return Gpus(every=runtime or amd)


def _visible(values: Mapping[str, str], name: str) -> int | None:
    """How many devices a variable lists."""
    text = values.get(name, "")
    return len(text.split(",")) if re.fullmatch(r"\d+(?:\s*,\s*\d+)*", text) else None


def _shared_memory(file: Compose, service: Fields) -> SharedMemory:
    ipc = text_at(service, "ipc")
    if ipc is not None and ipc != "private":
        return SharedMemory(host=True)
    size = file.text(at(service, "shm_size"))
    if size is not None:
        return SharedMemory(str(size))
    for mount in words_of(at(service, "tmpfs")):
        if mount.startswith("/dev/shm"):
            return SharedMemory(str(mount).partition("size=")[2] or "no limit")
    return SharedMemory()
