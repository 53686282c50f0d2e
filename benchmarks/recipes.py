"""Every recipe's model on its verified hardware with its own arguments: does it start?

    python benchmarks/recipes.py [--check] [--list] [--shared ../shared --write]

vLLM's maintainers ran each of these, so "does not start" and "refused" are exceptions that need
vLLM's own reason: an argument that the newest release no longer has (and with which the recipe's
own release starts), or a model's whole length that does not fit beside the weights where the
recipe gives none. Models are read without a network. The number of GPUs is the recipe's where it
names one, else the least of 1, 2, 4, 8 that has the recipe's minimum of memory and starts; a
checkpoint that needs more than a node is counted apart, machines that are no NVIDIA or AMD GPU
are left out. With `--check`, exits 1 for an exception without such a reason. Runs anywhere: the
launches are in `data/recipe_launches.jsonl`, which `--write` makes of the recipes' facts.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
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
LAUNCHES = Path(__file__).with_name("data") / "recipe_launches.jsonl"
DATE = "2026-11-28"
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

    `counts` are tried in order; none stands for more than a node. `release` is asked, `least` is
    the recipe's own.
    """

    model: str
    gpu: str
    counts: tuple[int, ...]
    words: tuple[str, ...]
    release: str
    least: str
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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--write", action="store_true", help="make the committed launches again")
    parser.add_argument("--check", action="store_true", help="exit 1 without vLLM's own reason")
    parser.add_argument("--list", action="store_true", help="print what is not understood as well")
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    if options.write:
        write(list(cases(options.shared / "data" / "recipes.jsonl")))
    counts: Counter[str] = Counter()
    wrong = 0
    for case in launches():
        outcome = predicted(case)
        counts[outcome.word] += 1
        bad = outcome.word in ("does not start", "refused")
        why = exception(case, outcome) if bad else ""
        wrong += bad and not why
        if outcome.reason and (options.list or bad):
            where = f"up to {max(case.counts)} x {case.gpu}" if case.counts else case.gpu
            print(f"{outcome.word}{f' ({why})' if why else ''}: {case.model} on {where}: ", end="")
            print(outcome.reason)
    print(f"{sum(counts.values())} launches: " + report(counts))
    print(f"{wrong} do not start or are refused without a reason of vLLM's")
    return 1 if options.check and wrong else 0


def report(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in counts.most_common())


def write(found: Iterable[Case]) -> None:
    """The committed launches, one a line, after a line that says where they come from."""
    header = {
        "provenance": "facts of vLLM's recipes (github.com/vllm-project/recipes): a checkpoint "
        "with its arguments on each machine it was verified on",
        "date": DATE,
    }
    lines = [header, *(asdict(case) for case in found)]
    text = "\n".join(json.dumps(line, separators=(",", ":")) for line in lines)
    LAUNCHES.write_text(text + "\n", encoding="utf-8")


def launches() -> list[Case]:
    """The committed launches."""
    rows = map(json.loads, LAUNCHES.read_text(encoding="utf-8").splitlines()[1:])
    return [
        Case(**{**row, "counts": tuple(row["counts"]), "words": tuple(row["words"])})
        for row in rows
    ]


def exception(case: Case, outcome: Outcome) -> str:
    """VLLM's own reason why a launch of a recipe does not start, empty where there is none."""
    if outcome.word == "refused":
        before = predicted(replace(case, release=case.least))
        if before.word not in ("refused", "does not start"):
            return f"{before.word} with {case.least}"
        never = "unrecognized arguments" in before.reason
        return "no release has the argument" if never else ""
    if outcome.word == "does not start" and not {"--max-model-len"} & set(case.words):
        shorter = predicted(replace(case, words=(*case.words, "--max-model-len", "auto")))
        return "starts with a shorter length" if shorter.word == "starts" else ""
    return ""


def cases(path: Path) -> Iterable[Case]:
    """The launches of all recipes that vLLM itself serves."""
    for line in path.read_text(encoding="utf-8").splitlines():
        recipe = json.loads(line)
        if recipe["tasks"] == ["omni"]:
            continue
        facts = family_facts(recipe["model"]["model_id"])
        for machine in () if facts is None else facts.verified_hardware:
            if machine.gpu and find_gpu(machine.gpu).vendor in ("NVIDIA", "AMD"):
                yield case_of(recipe, machine.label, machine.gpu, machine.gpus)


def case_of(recipe: Json, label: str, gpu: str, cards: int | None) -> Case:
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
    newest, least = format_version(NEWEST_KNOWN), release_of(recipe, variant)
    return Case(model, gpu, enough, tuple(words), newest, least, recipe["source"])


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


def release_of(recipe: Json, variant: Json) -> str:
    """The least release the recipe asks for, where it names one that is known."""
    named = variant.get("min_vllm_version") or recipe["model"]["min_vllm_version"]
    if named == "nightly":
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
    sys.exit(main())
