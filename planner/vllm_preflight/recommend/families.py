"""What a model's family needs of `vllm serve`, by vLLM's recipes, documentation and registries.

`family_facts(model, version)` is the one entry. It answers None where nothing is published about
the model's family; otherwise a `FamilyFacts` of which each field is either stated by its `source`
or empty. A parser is named only where that release's own registry has it; what was left out for
that reason is a sentence in `left_out`. `FamilyFacts.arguments_for_serving()` writes the flags
that are safe in every command: parsers, `--enable-auto-tool-choice`, remote code, tokenizer mode,
config and load format. `recipe_arguments`, `environment`, `platforms` and `images` are the
recipe's choices and are given as they are, for the caller to weigh.

A model is covered by, in this order:

1. `recipe`: a recipe of the model, or one that names it as a checkpoint;
2. `checkpoint`: a recipe of the model it is a quantised checkpoint of, by its name;
3. `documentation`: a series that vLLM's documentation names;
4. `sibling`: recipes of models that differ in their size alone, of the same publisher, in what
   all of them say.

`families.json` is written by `scripts/build_family_facts.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version, parse_version
from vllm_preflight.models.checkpoint_names import read_name

Basis = Literal["recipe", "checkpoint", "documentation", "sibling"]

# Until vLLM 0.9 a reasoning parser was read only beside --enable-reasoning
# (vLLM 0.8.5 and 0.9.0 engine/arg_utils.py).
_PARSER_ALONE: Version = (0, 9, 0)
# A parameter count in a name: 8B, 0.6B, 30B-A3B, E4B.
_SIZE = r"[a-z]?\d+(?:\.\d+)?[bmt](?:-a\d+(?:\.\d+)?b)?"
_SIZED = re.compile(rf"(?<=-){_SIZE}(?=-|$)", re.IGNORECASE)
# Fields whose word must be registered in the release, and the others all sizes share.
_REGISTERED = ("reasoning_parser", "tool_call_parser", "tokenizer_mode")
_SHARED = ("chat_template", "trust_remote_code", "config_format", "load_format")


@dataclass(frozen=True)
class VerifiedHardware:
    """A machine a recipe was verified on.

    Attributes:
        label: the recipe's word, such as "mi300x".
        gpu: the card in the GPU catalogue, None for what is no card there.
        gpus: how many cards, None where the recipe leaves it open.
    """

    label: str
    gpu: str | None
    gpus: int | None


@dataclass(frozen=True)
class PlatformFacts:
    """What a recipe adds on one platform ("amd", "hopper", "blackwell", "cpu", "xpu")."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class FamilyFacts:
    """What a model needs or is recommended, each empty where no source says.

    Attributes:
        model: whose facts they are: the recipe's model, or the documentation's series.
        basis: how the asked model is covered (see the module's docstring).
        version: the release the parsers were looked up for.
        reasoning_parser: `--reasoning-parser`, registered in that release.
        enable_reasoning: whether that release wants `--enable-reasoning` beside it.
        tool_call_parser: `--tool-call-parser`, to be set with `--enable-auto-tool-choice`.
        chat_template: `--chat-template`, a path in vLLM's source tree and container image.
        trust_remote_code: whether the source sets `--trust-remote-code`.
        tokenizer_mode: `--tokenizer-mode`.
        config_format: `--config-format`.
        load_format: `--load-format`.
        recipe_arguments: the recipe's other arguments: its choice, not all of them needed.
        environment: the recipe's environment variables, those of the checkpoint included.
        minimum_version: the least vLLM release the recipe names; None where it names none.
        nightly: whether the recipe knew of no release that has the model.
        images: container images by vendor ("nvidia", "amd").
        verified_hardware: machines the recipe was verified on.
        platforms: what the recipe adds by platform.
        left_out: sentences: what a source names and this release has not.
        source: where the facts come from.
        date: the source's date (ISO 8601).
    """

    model: str
    basis: Basis
    version: str
    source: str
    date: str
    reasoning_parser: str | None = None
    enable_reasoning: bool = False
    tool_call_parser: str | None = None
    chat_template: str | None = None
    trust_remote_code: bool = False
    tokenizer_mode: str | None = None
    config_format: str | None = None
    load_format: str | None = None
    recipe_arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    minimum_version: str | None = None
    nightly: bool = False
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    verified_hardware: tuple[VerifiedHardware, ...] = ()
    platforms: Mapping[str, PlatformFacts] = field(default_factory=dict[str, PlatformFacts])
    left_out: tuple[str, ...] = ()

    def arguments_for_serving(self) -> tuple[str, ...]:
        """The flags every command of this model should carry, in vLLM's spelling."""
        words: list[str] = ["--trust-remote-code"] if self.trust_remote_code else []
        for flag, value in (
            ("--tokenizer-mode", self.tokenizer_mode),
            ("--config-format", self.config_format),
            ("--load-format", self.load_format),
            ("--reasoning-parser", self.reasoning_parser),
            ("--tool-call-parser", self.tool_call_parser),
        ):
            words += [flag, value] if value else []
        words += ["--enable-reasoning"] if self.enable_reasoning else []
        words += ["--enable-auto-tool-choice"] if self.tool_call_parser else []
        return tuple(words)


@cache
def family_facts(model: str, version: str | None = None) -> FamilyFacts | None:
    """What is published about serving a model, for one release of vLLM (None: the newest).

    `model` is a Hub id; case does not matter. Raises InvalidRequest for a version that is none.
    """
    release = parse_version(version)
    entries = _Entries.read()
    matches = entries.matches(model)
    if not matches:
        return None
    basis, first = matches[0]
    fields = _merged([entry for _, entry in matches])
    own: Mapping[str, Any] = first.get("checkpoints", {}).get(entries.spelling(model), {})
    facts, left_out = _of_release(fields, release, entries.registries)
    environment = {**first.get("environment", {}), **own.get("environment", {})}
    return FamilyFacts(
        model=first["model"],
        basis=basis,
        version=format_version(release),
        source="; ".join(dict.fromkeys(str(entry["source"]) for _, entry in matches)),
        date=max(str(entry["date"]) for _, entry in matches),
        **facts,
        recipe_arguments=tuple(first.get("arguments", ())),
        environment=environment,
        minimum_version=own.get("minimum_version") or fields.get("minimum_version"),
        nightly=bool(first.get("nightly")),
        images=first.get("images", {}),
        verified_hardware=tuple(entries.verified(first)),
        platforms={
            name: PlatformFacts(tuple(given.get("arguments", ())), given.get("environment", {}))
            for name, given in first.get("platforms", {}).items()
        },
        left_out=tuple(left_out),
    )


@dataclass(frozen=True)
class _Entries:
    """The table, indexed by the ways a model is found in it."""

    registries: Mapping[str, Mapping[str, Mapping[str, str]]]
    hardware: Mapping[str, str | None]
    families: Sequence[Mapping[str, Any]]

    @staticmethod
    @cache
    def read() -> _Entries:
        text = Path(__file__).with_name("families.json").read_text(encoding="utf-8")
        table = json.loads(text)
        return _Entries(table["registries"], table["hardware"], table["families"])

    def matches(self, model: str) -> list[tuple[Basis, Mapping[str, Any]]]:
        """The entries that cover a model, the nearest first."""
        wanted, base = model.lower(), _base(model)
        recipes = [entry for entry in self.families if "checkpoints" in entry]
        found: list[tuple[Basis, Mapping[str, Any]]] = []
        named = [entry for entry in recipes if wanted in self._ids(entry)]
        # A model's own recipe says more of it than one that names it beside another.
        named.sort(key=lambda entry: entry["model"].lower() != wanted)
        if named:
            found.append(("recipe", named[0]))
        else:
            made_from = [entry for entry in recipes if base == _base(entry["model"])]
            found.extend(("checkpoint", entry) for entry in made_from[:1])
        found.extend(
            ("documentation", entry)
            for entry in self.families
            if "checkpoints" not in entry and _series(entry["model"]).fullmatch(_family_name(model))
        )
        return found or self._siblings(model, recipes)

    def _siblings(
        self, model: str, recipes: Iterable[Mapping[str, Any]]
    ) -> list[tuple[Basis, Mapping[str, Any]]]:
        name = _family_name(model)
        alike = [entry for entry in recipes if _series(_sized(entry["model"])).fullmatch(name)]
        if not alike:
            return []
        kept = {
            name: alike[0][name]
            for name in (*_REGISTERED, *_SHARED)
            if name in alike[0] and all(other.get(name) == alike[0][name] for other in alike)
        }
        least = [entry["minimum_version"] for entry in alike if "minimum_version" in entry]
        shared: dict[str, Any] = {
            **kept,
            "model": _sized(alike[0]["model"]),
            "source": "; ".join(str(entry["source"]) for entry in alike),
            "date": max(str(entry["date"]) for entry in alike),
        }
        if least:
            shared["minimum_version"] = max(least, key=_number)
        return [("sibling", shared)]

    def spelling(self, model: str) -> str:
        """A checkpoint's id as the table spells it."""
        for entry in self.families:
            for identifier in entry.get("checkpoints", ()):
                if identifier.lower() == model.lower():
                    return identifier
        return model

    def verified(self, entry: Mapping[str, Any]) -> Iterable[VerifiedHardware]:
        for machine in entry.get("verified_hardware", ()):
            label = machine["hardware"]
            yield VerifiedHardware(label, self.hardware[label], machine.get("gpus"))

    @staticmethod
    def _ids(entry: Mapping[str, Any]) -> set[str]:
        return {entry["model"].lower(), *(name.lower() for name in entry.get("checkpoints", ()))}


def _merged(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Fields of several entries, the nearest entry's word first."""
    merged: dict[str, Any] = {}
    for entry in reversed(entries):
        merged.update(entry)
    return merged


def _of_release(
    fields: Mapping[str, Any], release: Version, registries: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The stated fields that this release has, and a sentence for those it has not."""
    facts: dict[str, Any] = {name: fields[name] for name in _SHARED if name in fields}
    left_out: list[str] = []
    for kind in _REGISTERED:
        name = fields.get(kind)
        if name is None:
            continue
        if registered(registries[kind].get(name), release):
            facts[kind] = name
        else:
            left_out.append(f"--{kind.replace('_', '-')} {name}")
    if "tool_call_parser" not in facts:
        facts.pop("chat_template", None)
    facts["enable_reasoning"] = "reasoning_parser" in facts and release < _PARSER_ALONE
    if not left_out:
        return facts, []
    return facts, [f"vLLM {format_version(release)} has no {' and no '.join(left_out)}: left out."]


def registered(releases: Mapping[str, str] | None, release: Version) -> bool:
    """Whether a name with these `since` and `until` is in a release's registry."""
    if releases is None or _number(releases["since"])[:3] > release:
        return False
    return "until" not in releases or release < _number(releases["until"])[:3]


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part.removeprefix("post")) for part in release.split("."))


def _base(model: str) -> str:
    return read_name(model).base.lower()


def _family_name(model: str) -> str:
    """A model's id without its storage, lower case.

    A quantised checkpoint is often published by another organisation, which says nothing then.
    """
    name = read_name(model)
    organisation = "*" if name.precision else name.organisation
    return f"{organisation}/{name.base}".lower()


def _sized(model: str) -> str:
    """A recipe's model with `{size}` for its parameter count; itself where it has none."""
    name = read_name(model)
    return f"{name.organisation}/{_SIZED.sub('{size}', name.base)}"


@cache
def _series(pattern: str) -> re.Pattern[str]:
    """What matches the `_family_name` of a series' models."""
    organisation, _, name = pattern.lower().partition("/")
    body = re.escape(name).replace(re.escape("{size}"), _SIZE)
    return re.compile(rf"(?:{re.escape(organisation)}|\*)/{body}")
