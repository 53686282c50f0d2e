"""Every recipe's model on its verified hardware with its own arguments: does it start?

    python benchmarks/recipes.py --shared ../shared [--release least]

vLLM's maintainers ran each of these, so "does not start" and "refused" are exceptions that need
vLLM's own reason. Models are read without a network. The number of GPUs is the recipe's where it
names one, else the least of 1, 2, 4, 8 that has the recipe's minimum of memory and starts; a
checkpoint that needs more than a node is counted apart, machines that are no NVIDIA or AMD GPU
are left out. Prints each launch that does not start, is refused or is not understood, and the
counts.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import PreflightError, UnknownModel
from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.versions import NEWEST_KNOWN, OLDEST_KNOWN, format_version
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.recommend.families import family_facts

Json = dict[str, Any]
COUNTS = (1, 2, 4, 8)
_GENERATIONS = {
    "h100": "hopper",
    "h200": "hopper",
    "h20": "hopper",
    "b200": "blackwell",
    "b300": "blackwell",
    "gb200": "blackwell",
    "gb300": "blackwell",
    "dgx_spark_gb10": "blackwell",
    "dgx_station_gb300": "blackwell",
    "rtx_5090": "blackwell",
    "rtx_pro_5000": "blackwell",
    "rtx_pro_6000": "blackwell",
}
# Machines of one card.
_SINGLE = {"dgx_spark_gb10", "dgx_station_gb300"}


@dataclass(frozen=True)
class Case:
    """A checkpoint with its recipe's arguments on a verified machine, and how many GPUs it may be.

    `counts` are tried in order; none stands for more than a node.
    """

    model: str
    gpu: str
    counts: tuple[int, ...]
    words: tuple[str, ...]
    release: str
    source: str = ""

    def command(self, gpus: int) -> str:
        """The line for a number of GPUs."""
        words = [*self.words]
        if gpus > 1 and not named_size(words):
            words += ["--tensor-parallel-size", str(gpus)]
        return shlex.join(["vllm", "serve", self.model, *words])


@dataclass(frozen=True)
class Outcome:
    """What was predicted: "starts", "does not start", "refused", "not understood" or "unknown"."""

    word: str
    reason: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--release", choices=("newest", "least"), default="newest")
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    counts: Counter[str] = Counter()
    for case in cases(arguments.shared / "data" / "recipes.jsonl", arguments.release == "least"):
        outcome = predicted(case)
        counts[outcome.word] += 1
        if outcome.reason:
            where = f"up to {max(case.counts)} x {case.gpu}" if case.counts else case.gpu
            print(f"{outcome.word}: {case.model} on {where}: {outcome.reason}")
    print(f"{sum(counts.values())} launches: " + report(counts))


def report(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in counts.most_common())


def cases(path: Path, least: bool) -> Iterable[Case]:
    """The launches of all recipes that vLLM itself serves."""
    for line in path.read_text(encoding="utf-8").splitlines():
        recipe = json.loads(line)
        if recipe["tasks"] == ["omni"]:
            continue
        facts = family_facts(recipe["model"]["model_id"])
        for machine in () if facts is None else facts.verified_hardware:
            if machine.gpu and find_gpu(machine.gpu).vendor in ("NVIDIA", "AMD"):
                yield case_of(recipe, machine.label, machine.gpu, machine.gpus, least)


def case_of(recipe: Json, label: str, gpu: str, cards: int | None, least: bool) -> Case:
    """The recipe's default checkpoint where it fits the machine, else its smallest."""
    variants = list(recipe["variants"].values())
    memory = find_gpu(gpu).visible_bytes / BYTES_TO_GIB
    strategy = size_of(recipe, {}, label)
    most = 1 if label in _SINGLE else cards or strategy or COUNTS[-1]
    fitting = [one for one in variants if one["vram_minimum_gb"] <= memory * most]
    variant = fitting[0] if fitting else min(variants, key=lambda one: one["vram_minimum_gb"])
    model = variant.get("model_id") or recipe["model"]["model_id"]
    words = arguments_of(recipe, variant, label)
    named = named_size(words) or size_of(recipe, variant, label)
    counts = (cards,) if cards else (named,) if named else COUNTS
    enough = tuple(
        count
        for count in counts
        if count <= most and (named or count * memory >= variant["vram_minimum_gb"])
    )
    release = release_of(recipe, variant, least)
    return Case(model, gpu, enough, tuple(words), release, recipe["source"])


def size_of(recipe: Json, variant: Json, label: str) -> int | None:
    """The tensor-parallel size a recipe gives its checkpoint, or its strategy, on a machine."""
    strategy = (recipe.get("strategy_overrides") or {}).get("single_node_tp") or {}
    for size in (variant.get("tp"), strategy.get("tp")):
        found = size.get(label) if isinstance(size, dict) else size
        if found:
            return int(found)
    return None


def arguments_of(recipe: Json, variant: Json, label: str) -> list[str]:
    """Base, parsers, variant and platform, as the recipe's page joins them."""
    features = recipe.get("features") or {}
    overrides = recipe.get("hardware_overrides") or {}
    platform = "amd" if label.startswith("mi3") else _GENERATIONS.get(label, "")
    parts = [
        recipe["model"].get("base_args"),
        (features.get("tool_calling") or {}).get("args"),
        (features.get("reasoning") or {}).get("args"),
        variant.get("extra_args"),
        (overrides.get(platform) or {}).get("extra_args"),
    ]
    joined = [word for part in parts if part for word in part]
    # One entry of one recipe is a flag and its value in one word.
    return [piece for word in joined for piece in (word.split(" ") if word[:2] == "--" else [word])]


def named_size(words: list[str]) -> int | None:
    """The last tensor-parallel size among the arguments."""
    flag = "--tensor-parallel-size"
    places = [place for place, word in enumerate(words) if word == flag]
    return int(words[places[-1] + 1]) if places else None


def release_of(recipe: Json, variant: Json, least: bool) -> str:
    named = variant.get("min_vllm_version") or recipe["model"]["min_vllm_version"]
    if not least or named == "nightly":
        return format_version(NEWEST_KNOWN)
    number = tuple(int(part) for part in named.split("."))
    return named if number >= OLDEST_KNOWN else format_version(OLDEST_KNOWN)


_WORDS = {
    "invalid_arguments": "refused",
    "unsupported": "refused",
    "not_modelled": "not modelled",
}


def predicted(case: Case) -> Outcome:
    """The first number of GPUs that starts decides; else the last one's failure."""
    outcome = Outcome("more than a node")
    for gpus in case.counts:
        outcome = asked(case, gpus)
        if outcome.word != "does not start":
            break
    return outcome


def asked(case: Case, gpus: int) -> Outcome:
    try:
        answer = predict_startup(
            StartupRequest(
                command=case.command(gpus), gpu=case.gpu, gpus=gpus, vllm_version=case.release
            )
        )
    except UnknownModel:
        return Outcome("model unknown offline", "not in the catalogue")
    except PreflightError as error:
        return Outcome("not understood", error.message)
    failure = answer.startup.failure
    if failure is None:
        return Outcome("starts")
    return Outcome(_WORDS.get(failure.kind, "does not start"), failure.message.splitlines()[0])


if __name__ == "__main__":
    main()
