"""From the text of a file to the vLLM servers it starts: which shape it is, and who reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Literal

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.manifests import (
    charts,
    compose,
    dockerfiles,
    jobs,
    kserve,
    operators,
    ray,
    scripts,
    units,
)
from vllm_preflight.manifests.claims import claims_of
from vllm_preflight.manifests.environment import config_maps
from vllm_preflight.manifests.nodes import Fields, Node, Text, at, items_of, read_nodes, text_at
from vllm_preflight.manifests.pods import Input, read_object
from vllm_preflight.manifests.servers import ManifestServer
from vllm_preflight.manifests.words import unknown, with_parameters

_TEMPLATE = re.compile(
    r"\{\{-?\s*(?:\.Values|\.Release|\.Chart|include|if|range|with|end|define|\$|toYaml|template)"
)
_KUSTOMIZE = frozenset({"Kustomization", "Component"})
_YAML = frozenset({".yaml", ".yml", ".json"})

RENDER_FIRST = (
    "Render it first: helm template CHART -f values.yaml | vllm-preflight check -f -, or "
    "kustomize build DIR | vllm-preflight check -f -."
)

Kind = Literal["yaml", "unit", "dockerfile", "shell"]


@dataclass(frozen=True)
class Loaded:
    """A file as it was loaded: its shape, and the documents of a YAML or JSON text."""

    name: str
    text: str
    kind: Kind
    nodes: tuple[Node, ...] = ()


def load_manifest(text: str, name: str = "-") -> Loaded:
    """A file's documents; `name` is the file's, whose ending helps.

    Raises:
        InvalidRequest: a template that is not rendered, or no text of a known shape.
    """
    kind = _kind(text, name)
    if kind != "yaml":
        return Loaded(name, text, kind)
    try:
        nodes = read_nodes(text)
    except InvalidRequest as error:
        if "{{" in text:
            raise _unrendered(name) from error
        raise
    if nodes and all(isinstance(node, Text) for node in nodes):
        return Loaded(name, text, "shell")
    if _TEMPLATE.search(text) and _is_template(nodes):
        raise _unrendered(name)
    if nodes and all(text_at(node, "kind") in _KUSTOMIZE for node in nodes):
        raise InvalidRequest(
            f"{name} says how kustomize puts objects together; the objects are elsewhere.",
            RENDER_FIRST,
        )
    return Loaded(name, text, "yaml", tuple(nodes))


def read_manifest(
    text: str, name: str = "-", given: Mapping[str, str] | None = None
) -> list[ManifestServer]:
    """Every vLLM server that one file starts; see load_manifest and read_loaded."""
    loaded = load_manifest(text, name)
    return read_loaded(loaded, [loaded], given or {})


def read_loaded(
    file: Loaded,
    files: Sequence[Loaded],
    given: Mapping[str, str],
    defaults: Mapping[str, str] | None = None,
) -> list[ManifestServer]:
    """Every vLLM server that a file starts; none where it starts none.

    ConfigMaps and serving runtimes may be in any of the files. `given` are values of
    variables, `defaults` those of the .env file beside a compose file. A server that cannot
    be read whole has its `problem` instead of its command.
    """
    stem = PurePath(file.name).stem if file.name != "-" else "stdin"
    match file.kind:
        case "unit":
            return list(units.read_unit(file.text, stem, given))
        case "dockerfile":
            return list(dockerfiles.read_dockerfile(file.text, stem, given))
        case "shell":
            return list(scripts.read_shell(file.text, stem, given))
        case "yaml":
            objects = [
                item for one in files for node in one.nodes for item in _objects(node, given)
            ]
            return list(_of_documents(file, objects, stem, given, defaults or {}))


def _unrendered(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name} is a template: its {{{{ … }}}} are not filled in.",
        RENDER_FIRST,
    )


def _is_template(nodes: Iterable[Node]) -> bool:
    """Whether `{{ … }}` stands where the text has a kind or a name of an object."""
    return any(
        "{{" in (text_at(node, "metadata", "name") or "") or "{{" in (text_at(node, "kind") or "")
        for node in nodes
    )


def _kind(text: str, name: str) -> Kind:
    path = PurePath(name)
    if path.suffix in _YAML:
        return "yaml"
    if units.is_unit(text):
        return "unit"
    if dockerfiles.is_dockerfile(text):
        return "dockerfile"
    if path.suffix in {".sh", ".bash"} or text.startswith("#!"):
        return "shell"
    return "yaml"


def _of_documents(
    file: Loaded,
    objects: Sequence[Node],
    stem: str,
    given: Mapping[str, str],
    defaults: Mapping[str, str],
) -> Iterator[ManifestServer]:
    known = Input(config_maps(objects), given, defaults, claims_of(objects))
    used = {text_at(item, "spec", "predictor", "model", "runtime") for item in objects}
    for number, node in enumerate(file.nodes):
        for item in _objects(node, given):
            runtime = text_at(item, "kind") in kserve.RUNTIMES
            if runtime and text_at(item, "metadata", "name") in used:
                continue
            for server in _of_object(item, objects, stem, known):
                yield replace(server, document=number)


def _objects(node: Node, given: Mapping[str, str]) -> Iterator[Node]:
    """The objects of a List or an OpenShift Template, or the document itself."""
    if (text_at(node, "kind") or "").endswith("List") and isinstance(at(node, "items"), list):
        yield from items_of(at(node, "items"))
    elif text_at(node, "kind") == "Template" and isinstance(at(node, "objects"), list):
        values = {
            str(name): text_at(parameter, "value") or unknown(f"${{{name}}}")
            for parameter in items_of(at(node, "parameters"))
            if (name := text_at(parameter, "name"))
        }
        yield from items_of(with_parameters(at(node, "objects"), {**values, **given}))
    else:
        yield node


def _of_object(
    node: Node, objects: Sequence[Node], stem: str, known: Input
) -> Iterable[ManifestServer]:
    if not isinstance(node, Fields):
        return ()
    kind = text_at(node, "kind")
    if kind in kserve.LLM_SERVICES and at(node, "spec", "model") is not None:
        return kserve.read_llm_service(node, known)
    if kind == "InferenceService" and at(node, "spec", "predictor", "model") is not None:
        found = kserve.read_service(node, objects, known)
        return () if found is None else (found,)
    if kind in kserve.RUNTIMES:
        return _named_or_said(node, known)
    if kind == "RayService":
        return ray.read_ray_service(node, known)
    for fits, read in (
        (operators.is_kubeai, operators.read_kubeai),
        (operators.is_kaito, operators.read_kaito),
        (charts.is_production_stack, charts.read_production_stack),
        (charts.is_modelservice, charts.read_modelservice),
        (operators.is_kubeai_values, operators.read_kubeai_values),
    ):
        if fits(node):
            return read(node, known)
    if kind is not None:
        return read_object(node, known)
    return _without_kind(node, stem, known)


def _named_or_said(node: Fields, known: Input) -> Iterable[ManifestServer]:
    """A serving runtime that names its model, or what it lacks."""
    alone = kserve.runtime_alone(node)
    found = read_object(node, known)
    named = [
        server
        for server in found
        if server.command and not any("/mnt/models" in w.text for w in server.command.words)
    ]
    return named or (() if alone is None else (alone,))


def _without_kind(node: Fields, stem: str, known: Input) -> Iterable[ManifestServer]:
    if ray.is_serve_config(node):
        return ray.read_serve_config(node, None, known)
    if compose.is_compose(node):
        return compose.read_compose(node, {**known.defaults, **known.given})
    if jobs.is_skypilot(node):
        return jobs.read_skypilot(node, known.given)
    if jobs.is_dstack(node):
        return jobs.read_dstack(node, known.given)
    if scripts.is_config(node):
        return (scripts.read_config(node, stem, known.given),)
    return read_object(node, known)
