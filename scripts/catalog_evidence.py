"""What settles a fact that a catalogue entry's own source leaves open, and what contradicts it.

An entry that is not the published config may have lost its quantisation, or have its length cut.
Other published facts are set beside it: vLLM's recipe of the model (precision, context), the
Hub's context length as scraped, the bytes of its files, a length in its name, and its siblings:
models of the same publisher with the same dimensions, or in the same series. Each settled fact
is written with what settled it; one that nothing settles stays `unknown`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_preflight.models.catalog.compact import decode
from vllm_preflight.models.checkpoint_names import Precision, read_name
from vllm_preflight.models.config_reader import read_architecture, states_length
from vllm_preflight.models.implied import with_implied_scheme
from vllm_preflight.models.parameters import count_parameters
from vllm_preflight.models.quantization import quantization_section, read_quantization
from vllm_preflight.models.weight_scheme import Quantization

Json = dict[str, Any]

# Another project's copy of a config, kept for its own use: it may cut lengths and drop schemes.
PRESETS = re.compile(r"model_preset|testdata|Model_Config\.md")
# The scrape's context length where it could not read a config.
UNREAD_CONTEXT = 4096
GIB = 1024**3
RECIPE = "vLLM's recipe"
HUB = "the Hub, as llmfit read it"
_SIZE = re.compile(r"(?<=-)[a-z]?\d+(?:\.\d+)?[bmt](?:-a\d+(?:\.\d+)?b)?(?=-|$)", re.IGNORECASE)
_LENGTH_IN_NAME = re.compile(r"(?:^|[-_])(\d{1,4})k(?:[-_]|$)", re.IGNORECASE)
# The recipes' words for precisions, as names of checkpoints say them.
_PRECISIONS: Mapping[str, Precision] = {
    "bf16": "16-bit",
    "fp8": "fp8",
    "int4": "int4",
    "int8": "int8",
    "nvfp4": "nvfp4",
    "fp4": "nvfp4",
    "mxfp4": "mxfp4",
    "mxfp8": "mxfp8",
}
# Bytes a parameter: 16 bit with room for an inexact total, and 8 bit with scales and 16-bit rest.
_SIXTEEN_BIT = (1.8, 2.2)
_EIGHT_BIT = (0.95, 1.2)


@dataclass(frozen=True)
class Recipe:
    """What vLLM's recipe says of one checkpoint; `served` where it is the recipe's own model."""

    precision: Precision
    context: int | None
    served: bool


def read_recipes(path: Path) -> dict[str, Recipe]:
    """Precision and context by checkpoint that vLLM itself serves."""
    found: dict[str, Recipe] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["tasks"] == ["omni"]:
            continue
        own = row["model"]["model_id"]
        for variant in row["variants"].values():
            name = variant.get("model_id") or own
            precision = _PRECISIONS.get(variant["precision"], "other")
            same = read_name(name).base.lower() == read_name(own).base.lower()
            context = row["model"].get("context_length") if same else None
            found.setdefault(name, Recipe(precision, context or None, name == own))
    return found


class Evidence:
    """All published facts, and what they settle for one entry."""

    def __init__(
        self, entries: list[Json], index: Mapping[str, Json], recipes: Mapping[str, Recipe]
    ) -> None:
        self._index = index
        self._recipes = recipes
        self._published = {
            entry["id"]: decode(entry["config"])
            for entry in entries
            if entry["completeness"] == "full"
        }
        # Parts of configs that state their length, which sources quote.
        self._quoted = {
            entry["id"]: config
            for entry in entries
            if entry["completeness"] == "subset"
            and states_length(config := decode(entry["config"]))
        }
        # Publishers that store weights quantised under a name that does not say so.
        self._silent = {
            organisation(name)
            for name, config in self._published.items()
            if read_name(name).precision is None and quantisation(config).method != "none"
        } | {
            organisation(name)
            for name, recipe in recipes.items()
            if recipe.served and read_name(name).precision is None and recipe.precision != "16-bit"
        }

    def settle(self, entry: Json) -> tuple[Json, dict[str, str], list[str]]:
        """Config, what settled its facts, and notes on what contradicts it."""
        config: Json = decode(entry["config"])
        notes: list[str] = []
        config, length = self._length(entry, config, notes)
        config, storage = self._storage(entry, config, notes)
        return config, {"max_position_embeddings": length, "quantization_config": storage}, notes

    def _length(self, entry: Json, config: Json, notes: list[str]) -> tuple[Json, str]:
        stated = states_length(config)
        value = read_architecture(config).max_position
        votes = self._lengths(entry, config)
        others = {source: length for source, length in votes.items() if length != value}
        if entry["completeness"] == "full":
            if not others:
                return config, "published"
            longest, source = majority(others)
            if list(others.values()).count(longest) > 1:
                return lengthened(config, longest, source)
            said = "; ".join(f"{length:,} by {source}" for source, length in others.items())
            notes.append(f"its longest length is {value:,}, but {said}")
            return config, "unknown" if HUB in others else "published"
        if not stated and votes:
            return lengthened(config, *majority(votes))
        if not stated:
            return config, "unknown"
        if not others:
            # A cut length is a short one; a class default says nothing of a checkpoint.
            cut = entry["completeness"] != "subset" and value <= UNREAD_CONTEXT
            default = entry["completeness"] == "transformers-default"
            return config, "unknown" if not votes and (cut or default) else "quoted"
        if len(others) < len(votes):
            return config, "unknown" if others.get(RECIPE, 0) > value else "quoted"
        longest, source = majority(votes)
        if longest > value:
            return lengthened(config, longest, source)
        return config, "unknown"

    def _lengths(self, entry: Json, config: Json) -> dict[str, int]:
        """Lengths that other sources publish for the model, by source."""
        name, row = entry["id"], self._index[entry["id"]]
        votes: dict[str, int] = {}
        recipe = self._recipes.get(name)
        if recipe is not None and recipe.context:
            votes[RECIPE] = recipe.context
        scraped = row.get("context_length_llmfit")
        if scraped and scraped != UNREAD_CONTEXT and scraped not in scaled(config):
            votes[HUB] = scraped
        in_name = _LENGTH_IN_NAME.search(name)
        if in_name and int(in_name[1]) >= 4:
            votes["its name"] = int(in_name[1]) * 1024
        siblings = {
            read_architecture(sibling).max_position
            for sibling in self._series_configs(name, quoted=not states_length(config))
            if states_length(sibling)
        }
        # A scrape of 4,096 may be a reading or, always of a gated model, none; a sibling's other
        # length settles nothing beside a reading.
        maybe_read = scraped == UNREAD_CONTEXT and not row.get("gated")
        if len(siblings) == 1 and not (maybe_read and siblings != {scraped}):
            votes["its published siblings"] = siblings.pop()
        return votes

    def _storage(self, entry: Json, config: Json, notes: list[str]) -> tuple[Json, str]:
        name, row = entry["id"], self._index[entry["id"]]
        stored = quantisation(config).method != "none"
        recipe = self._recipes.get(name)
        ratio = bytes_per_parameter(row)
        if entry["completeness"] == "full":
            if not stored and ratio and ratio < _SIXTEEN_BIT[0]:
                notes.append(
                    f"its files hold {ratio:.2f} bytes a parameter, but its config names no "
                    "quantisation"
                )
            return config, "published"
        if stored:
            return config, "quoted"
        if recipe is not None:
            return self._as(entry, config, recipe.precision, RECIPE)
        if ratio and _SIXTEEN_BIT[0] <= ratio <= _SIXTEEN_BIT[1]:
            return config, "bytes of its files"
        if ratio and _EIGHT_BIT[0] <= ratio <= _EIGHT_BIT[1]:
            return self._as(entry, config, "fp8", "bytes of its files")
        claimed = read_name(name).precision
        if claimed is not None:
            return self._as(entry, config, claimed, "its name")
        related = [*self._series(name), *self._twins(name)]
        plain = [other for other in related if read_name(other).precision is None]
        methods = {quantisation(self._published[other]).method for other in plain}
        if methods == {"none"}:
            return config, "its published siblings"
        if not methods and organisation(name) not in self._silent:
            return config, "its publisher's naming"
        if counted(config) == row.get("params_total"):
            # Scales and packed integers would count too.
            return config, "its parameter total"
        return config, "unknown"

    def _as(self, entry: Json, config: Json, precision: Precision, source: str) -> tuple[Json, str]:
        """The config with a precision: a published twin's own scheme, else the implied one."""
        if precision == "16-bit":
            return config, source
        for other in self._twins(entry["id"]):
            scheme = quantisation(self._published[other])
            if scheme.method != "none" and matches(scheme, precision):
                section = quantization_section(self._published[other])
                assert section is not None
                scheme_of = {"quantization_config": dict(section.raw)}
                return {**config, **scheme_of}, f"{source}, as in {other}"
        implied = with_implied_scheme(config, precision)
        if implied is None:
            return config, "unknown"
        return implied, source

    def _series(self, name: str) -> list[str]:
        """Published models of the publisher, of other sizes or tunings."""
        return [
            other
            for other in self._published
            if other != name
            and organisation(other) == organisation(name)
            and series(other) == series(name)
            and not PRESETS.search(self._index[other]["source"])
        ]

    def _series_configs(self, name: str, *, quoted: bool) -> list[Json]:
        """Configs of the series: published ones, and with `quoted` parts of configs."""
        parts = [
            config
            for other, config in self._quoted.items()
            if quoted
            and other != name
            and organisation(other) == organisation(name)
            and series(other) == series(name)
        ]
        return [*(self._published[other] for other in self._series(name)), *parts]

    def _twins(self, name: str) -> list[str]:
        """Published models of the publisher with the same dimensions."""
        return [
            other
            for other in self._index[name].get("same_dims_as") or ()
            if other in self._published and organisation(other) == organisation(name)
        ]


def series(model: str) -> tuple[str, ...]:
    """What a model's name has in common with its siblings' of other sizes and tunings."""
    words = re.split(r"[-_]", _SIZE.sub("{size}", model.lower()))
    return tuple(word for word in words if word not in {"instruct", "chat", "it", "hf", "base"})


def organisation(model: str) -> str:
    return model.partition("/")[0]


def quantisation(config: Json) -> Quantization:
    return read_quantization(config)


def matches(scheme: Quantization, precision: Precision) -> bool:
    """Whether a published scheme is of the precision a recipe names."""
    label = scheme.label.lower()
    return {"fp8": "fp8", "int4": "int4", "int8": "int8"}.get(precision, precision) in label


def bytes_per_parameter(row: Json) -> float | None:
    """Bytes of the published files a published parameter, where both are known."""
    stored = row.get("safetensors_total_bytes") or (row.get("kaito_files_gib") or 0) * GIB
    total = row.get("params_total")
    return stored / total if stored and total else None


def counted(config: Json) -> int:
    """The parameters that a config makes without a quantisation."""
    return count_parameters(read_architecture(config)).total


def scaled(config: Json) -> set[int]:
    """Lengths that a reader gets who multiplies the published one by its rope's factor."""
    text = config.get("text_config") or config
    rope = text.get("rope_scaling") or text.get("rope_parameters") or {}
    factor = rope.get("factor") if isinstance(rope, dict) else None
    if not isinstance(factor, int | float):
        return set()
    return {int(read_architecture(config).max_position * factor)}


def majority(votes: Mapping[str, int]) -> tuple[int, str]:
    """The length most sources publish, the longest of equals, and which sources those are."""
    lengths = list(votes.values())
    chosen = max(set(lengths), key=lambda length: (lengths.count(length), length))
    sources = [source for source, length in votes.items() if length == chosen]
    return chosen, " and ".join(sources)


def lengthened(config: Json, length: int, source: str) -> tuple[Json, str]:
    """The config with a length, where its kind of config states one."""
    text = config.get("text_config")
    if isinstance(text, dict):
        return {**config, "text_config": {**text, "max_position_embeddings": length}}, source
    return {**config, "max_position_embeddings": length}, source


def unsaid_ropes(
    configs: Mapping[str, Json], dimensions: Sequence[str]
) -> dict[str, tuple[Any, str]]:
    """Rope scalings that a config leaves out, where one of the same shapes states them.

    Copies lose the key; what another of these dimensions, length and base states is its own.
    """
    same = (*dimensions, "model_type", "max_position_embeddings", "rope_theta")
    stated: dict[str, list[tuple[Any, str]]] = {}
    for model, config in configs.items():
        if "rope_scaling" in config:
            shape = json.dumps([config.get(key) for key in same])
            stated.setdefault(shape, []).append((config["rope_scaling"], model))
    found: dict[str, tuple[Any, str]] = {}
    for model, config in configs.items():
        others = stated.get(json.dumps([config.get(key) for key in same]), [])
        silent = "rope_theta" in config and not {"rope_scaling", "rope_parameters"} & config.keys()
        if silent and len({json.dumps(scaling) for scaling, _ in others}) == 1:
            found[model] = others[0]
    return found
