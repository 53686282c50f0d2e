"""The variables of a container: values and ConfigMaps of the same input, never secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vllm_preflight.launch.words.server import ServerCommand
from vllm_preflight.manifests.nodes import (
    Fields,
    Node,
    Text,
    at,
    fields_of,
    items_of,
    read_nodes,
    text_at,
)
from vllm_preflight.manifests.settings import setting_words
from vllm_preflight.manifests.words import replaced_in_pod, unknown


@dataclass(frozen=True)
class ConfigMaps:
    """The ConfigMaps of the input by name."""

    by_name: Mapping[str, Mapping[str, Text]] = field(default_factory=dict[str, Mapping[str, Text]])

    def get(self, name: str | None) -> Mapping[str, Text] | None:
        """The data of a ConfigMap; None where the input has none of that name."""
        return self.by_name.get(name or "")

    def file(self, path: str) -> Text | None:
        """The text of a file that a ConfigMap may be mounted as."""
        name = path.rsplit("/", 1)[-1]
        return next((data[name] for data in self.by_name.values() if name in data), None)

    def script(self, words: Sequence[Text]) -> list[Text]:
        """The script of a ConfigMap that these words run, its name and its arguments.

        As in `bash /scripts/start.sh --port 80`; nothing where they run none.
        """
        for index, word in enumerate(words[:4]):
            if "/" in word and " " not in word and (found := self.file(word)) is not None:
                return [found, *words[index:]]
        return []

    def settings(self, command: ServerCommand) -> Iterator[Text]:
        """The words of the file that --config names, where a ConfigMap has it."""
        texts = [word.text for word in command.words]
        place = texts.index("--config") + 1 if "--config" in texts[:-1] else 0
        found = self.file(texts[place]) if place else None
        for node in read_nodes(str(found)) if found is not None else []:
            if isinstance(node, Fields):
                for word in setting_words(node):
                    yield Text.at(word, found.line_of(word.line) if found is not None else 1)


@dataclass(frozen=True)
class Environment:
    """Variables of a container: known or marked values, and ConfigMaps that are not here."""

    values: Mapping[str, str]
    absent: tuple[str, ...] = ()


def config_maps(objects: Iterable[Node]) -> ConfigMaps:
    """Every ConfigMap of the input, and what a kustomization generates from literals."""
    found: dict[str, Mapping[str, Text]] = {}
    for node in objects:
        kind = text_at(node, "kind")
        if kind == "ConfigMap":
            data = fields_of(at(node, "data"))
            name = text_at(node, "metadata", "name")
            found[name or ""] = {k: v for k, v in data.items() if isinstance(v, Text)}
        for generated in items_of(at(node, "configMapGenerator")):
            name = text_at(generated, "name")
            found[name or ""] = dict(_literals(at(generated, "literals")))
    return ConfigMaps(found)


def _literals(node: Node) -> Iterable[tuple[str, Text]]:
    for item in items_of(node):
        if isinstance(item, Text) and "=" in item:
            name, _, value = item.partition("=")
            yield name, item.moved(value.strip("\"'"))


def container_environment(
    holders: Sequence[Node],
    maps: ConfigMaps,
    given: Mapping[str, str],
    more: Mapping[str, str] | None = None,
) -> Environment:
    """What `envFrom` and `env` of the holders set, `$(X)` in it replaced by what stands before.

    `given` wins over all, `more` is what the system sets; both are values by name.
    """
    values: dict[str, str] = dict(more or {})
    absent: list[str] = []
    for source in (item for holder in holders for item in items_of(at(holder, "envFrom"))):
        name = text_at(source, "configMapRef", "name")
        data = maps.get(name)
        if data is not None:
            prefix = text_at(source, "prefix") or ""
            values |= {f"{prefix}{key}": str(value) for key, value in data.items()}
        elif name is not None:
            absent.append(str(name))
    lists = [at(holder, name) for holder in holders for name in ("envs", "env")]
    for entry in (item for entries in lists for item in items_of(entries)):
        name = text_at(entry, "name")
        if name is None:
            continue
        if name in given:
            values[name] = given[name]
            continue
        values[name] = _value(entry, name, values, maps, absent)
    return Environment({**values, **given}, tuple(dict.fromkeys(absent)))


def _value(
    entry: Node, name: str, values: Mapping[str, str], maps: ConfigMaps, absent: list[str]
) -> str:
    source = at(entry, "valueFrom")
    if source is None:
        return replaced_in_pod(text_at(entry, "value") or "", values)
    map_name = text_at(source, "configMapKeyRef", "name")
    if map_name is None:
        return unknown(f"${name}")
    data = maps.get(map_name)
    key = text_at(source, "configMapKeyRef", "key")
    if data is None or key is None or key not in data:
        absent.append(str(map_name))
        return unknown(f"${name}")
    return str(data[key])
