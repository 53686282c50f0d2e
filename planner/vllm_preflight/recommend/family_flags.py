"""The flags that a model's family needs beside what memory asks for, with their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.demand import generates_nothing
from vllm_preflight.recommend.families import Basis, FamilyFacts, family_facts

# How a flag's source is named, by what it says of the model asked for.
_SAYS: Mapping[Basis, str] = {
    "recipe": "vLLM's recipe of {}",
    "checkpoint": "vLLM's recipe of {}, which names this checkpoint",
    "documentation": "vLLM's documentation of {}",
    "sibling": "vLLM's recipes of {}, which agree for every other size",
}


@dataclass(frozen=True)
class FamilyFlags:
    """Words to append to a command, why each flag is there, and what else to know.

    Attributes:
        words: flags and values in vLLM's spelling.
        reasons: by vLLM's argument names.
        warnings: what the release lacks of what a source names.
        steps: what the family's recipe sets beside them, for the reader to weigh.
    """

    words: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


@lru_cache(maxsize=256)
def family_flags(model: Model, version: Version, given: frozenset[str]) -> FamilyFlags:
    """What the model's family needs of that release; flags `given` by the user are kept.

    Nothing for a model that generates nothing, or of whose family nothing is published.
    """
    if generates_nothing(model):
        return FamilyFlags()
    facts = family_facts(model.id, format_version(version))
    if facts is None:
        return FamilyFlags()
    words: list[str] = []
    reasons: list[tuple[str, str]] = []
    for flag, values in _flags(facts.arguments_for_serving()):
        name = flag[2:].replace("-", "_")
        if name in given:
            continue
        words += [flag, *values]
        reasons.append((name, _SAYS[facts.basis].format(facts.model)))
    return FamilyFlags(tuple(words), tuple(reasons), _warnings(facts, version), _steps(facts))


def _flags(words: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Each flag with the values that follow it."""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            found.append((word, []))
        else:
            found[-1][1].append(word)
    return found


def _warnings(facts: FamilyFacts, version: Version) -> tuple[str, ...]:
    least = facts.minimum_version
    if least is None or version >= tuple(int(part) for part in least.split(".")[:3]):
        return facts.left_out
    return (
        *facts.left_out,
        f"vLLM's recipe names {least} as the first release that serves it.",
    )


def _steps(facts: FamilyFacts) -> tuple[str, ...]:
    if not facts.environment:
        return ()
    settings = " ".join(f"{name}={value}" for name, value in facts.environment.items())
    return (f"The recipe of {facts.model} also sets {settings}.",)
