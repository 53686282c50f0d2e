"""vLLM servers of KubeAI's Model and of KAITO's Workspace and InferenceSet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import InvalidRequest, UnknownGpu
from vllm_preflight.hardware.spoken import read_hardware_name
from vllm_preflight.manifests.accelerators import counted_gpu, named_gpu, with_mig
from vllm_preflight.manifests.groups import object_name
from vllm_preflight.manifests.nodes import (
    Fields,
    Node,
    Text,
    at,
    digits,
    fields_of,
    is_false,
    number_at,
    read_nodes,
    text_at,
)
from vllm_preflight.manifests.pods import Input
from vllm_preflight.manifests.releases import image_release
from vllm_preflight.manifests.servers import Gpus, ManifestServer, SharedMemory
from vllm_preflight.manifests.settings import setting_words
from vllm_preflight.manifests.words import Values, flag, read_command, words_of

_PRESETS = "presets.json"


def is_kubeai(node: Node) -> bool:
    """Whether a document is a Model of KubeAI."""
    version = text_at(node, "apiVersion") or ""
    return text_at(node, "kind") == "Model" and version.startswith("kubeai.org/")


def read_kubeai(node: Node, known: Input) -> Iterator[ManifestServer]:
    """The server of a Model whose engine is vLLM."""
    spec = at(node, "spec")
    if text_at(spec, "engine") not in {None, "VLLM"}:
        return
    yield from kubeai_server(object_name(node), fields_of(spec), known)


def is_kubeai_values(node: Node) -> bool:
    """Whether a document is values of KubeAI's chart of models."""
    catalog = fields_of(at(node, "catalog"))
    return any({"engine", "url"} <= fields_of(model).keys() for model in catalog.values())


def read_kubeai_values(node: Node, known: Input) -> Iterator[ManifestServer]:
    """The servers of the catalogue's models that are not switched off."""
    for name, model in fields_of(at(node, "catalog")).items():
        on = isinstance(model, Fields) and not is_false(at(model, "enabled"))
        if on and text_at(model, "engine") == "VLLM":
            yield from kubeai_server(name, fields_of(model), known)


def kubeai_server(name: str, spec: Fields, known: Input) -> Iterator[ManifestServer]:
    """The server of a Model's spec: args behind the model of its url."""
    url = text_at(spec, "url")
    if url is None:
        yield ManifestServer(name, spec.line, problem="The model has no url.")
        return
    model = url.moved(url.removeprefix("hf://").partition("?")[0])
    env = fields_of(at(spec, "env"))
    values: Values = {k: str(v) for k, v in env.items() if isinstance(v, Text)} | dict(known.given)
    words = [model.moved("vllm"), model.moved("serve"), model, *words_of(at(spec, "args"))]
    profile = text_at(spec, "resourceProfile")
    image = text_at(spec, "image")
    replicas = number_at(spec, "minReplicas")
    yield ManifestServer(
        name,
        model.line,
        command=read_command(words, values, image=str(image) if image else None),
        sources=tuple(words),
        image=str(image) if image else None,
        release=image_release(image),
        gpus=_profile(str(profile)) if profile else Gpus(),
        replicas=max(replicas or 1, 1),
        # KubeAI mounts a memory volume itself.
        shared_memory=SharedMemory(known=False),
    )


def _profile(text: str) -> Gpus:
    name, _, count = text.partition(":")
    amount = digits(count) or 1
    if "tpu" in name:
        return Gpus(count=amount, other="a TPU")
    if name.startswith("cpu") or "gaudi" in name:
        return Gpus(count=amount, other="Intel Gaudi" if "gaudi" in name else "a CPU")
    gpu = named_gpu(name)
    return Gpus((gpu,) if gpu else (), amount)


def is_kaito(node: Node) -> bool:
    """Whether a document is a Workspace or an InferenceSet of KAITO."""
    return (text_at(node, "apiVersion") or "").startswith("kaito.sh/") and text_at(
        node, "kind"
    ) in {"Workspace", "InferenceSet"}


def read_kaito(node: Node, known: Input) -> Iterator[ManifestServer]:
    """The server of a Workspace with a preset; its config is a ConfigMap of the input."""
    around = at(node, "spec", "template") or at(node, "spec") or node
    around = around if at(around, "inference") else node
    preset = text_at(around, "inference", "preset", "name")
    if preset is None:
        return
    resource = at(around, "resource") or at(node, "resource")
    # Newer presets are the Hub's own ids.
    model = preset if "/" in preset else _presets().get(str(preset).lower())
    if model is None:
        yield ManifestServer(
            object_name(node),
            preset.line,
            problem=f"The preset {preset} is not in the table of KAITO's presets.",
            hint="Give the model: vllm-preflight check MODEL.",
        )
        return
    words = [preset.moved("vllm"), preset.moved("serve"), preset.moved(str(model))]
    notes: list[str] = []
    config = text_at(around, "inference", "config")
    if config is not None:
        words += _config_words(config, known, notes)
    nodes = number_at(resource, "count") or number_at(node, "spec", "nodeCountLimit") or 1
    instance = text_at(resource, "instanceType")
    gpus = _instance(instance)
    mig = text_at(resource, "partition", "profile")
    if mig is not None:
        gpus = with_mig(Gpus(gpus.names, 1), str(mig).removeprefix("mig-"))
    words += _whole_node(preset, words, gpus.count, nodes)
    replicas = number_at(node, "spec", "replicas")
    yield ManifestServer(
        object_name(node),
        preset.line,
        command=read_command(words, known.given),
        sources=tuple(words),
        gpus=gpus,
        nodes=nodes,
        replicas=1 if replicas is None else replicas,
        shared_memory=SharedMemory(known=False),
        notes=tuple(notes),
    )


def _whole_node(place: Text, words: list[Text], gpus: int | None, nodes: int) -> list[Text]:
    """The parallel sizes that KAITO adds: all GPUs of a node, and a stage for each node."""
    given = {word.partition("=")[0] for word in words}
    added: list[Text] = []
    for name, value in (("tensor-parallel-size", gpus or 1), ("pipeline-parallel-size", nodes)):
        if value > 1 and f"--{name}" not in given:
            added += flag(name, value, place)
    return added


def _instance(text: Text | None) -> Gpus:
    if text is None:
        return Gpus()
    name, count = counted_gpu(str(text))
    try:
        found = read_hardware_name(str(text))
    except UnknownGpu:
        return Gpus((name,) if name else (), count)
    return Gpus((found.gpu.name,), found.gpus)


def _config_words(config: Text, known: Input, notes: list[str]) -> list[Text]:
    """The `vllm` section of the inference config that a ConfigMap holds."""
    data = known.maps.get(str(config))
    if data is None:
        notes.append(f"The ConfigMap {config} is not given here; what it sets is not counted.")
        return []
    for text in data.values():
        try:
            nodes = read_nodes(str(text))
        except InvalidRequest:
            continue
        for node in nodes:
            section = at(node, "vllm")
            if isinstance(section, Fields):
                # Lines of the text inside count from where the text stands.
                return [Text.at(word, text.line_of(word.line)) for word in setting_words(section)]
    return []


@cache
def _presets() -> dict[str, str]:
    path = Path(__file__).with_name(_PRESETS)
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["presets"]
    return {row["name"]: row["model"] for row in rows}
