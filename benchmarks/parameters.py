"""Do our shapes add up to the parameters the Hub publishes?

Every model with a whole published config, unquantised weights and a published total is
counted from its config and compared. Run from the repository's root:

    python benchmarks/parameters.py [--shared PATH] [--all]

With the folder of shared data the models are its index, without it the embedded
catalogue. Exits 1 when fewer than 95 % agree within 0.1 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.catalog.entries import catalog_entry, catalog_ids
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.parameters import ParameterCount, count_parameters

TOLERANCE = 0.001
TARGET = 0.95


@dataclass(frozen=True)
class Case:
    """A model with the total the Hub publishes for it."""

    model: str
    published: int
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """A published total beside ours; `ours` is None for a refused config."""

    case: Case
    ours: int | None
    note: str

    @property
    def difference(self) -> float:
        """Ours against the published total, as a fraction of it."""
        if self.ours is None:
            return float("nan")
        return (self.ours - self.case.published) / self.case.published

    @property
    def agrees(self) -> bool:
        """Whether ours is within the tolerance."""
        return abs(self.difference) <= TOLERANCE


def shared_cases(folder: Path) -> Iterator[Case]:
    """The models of the shared index with a full config and a plain published total."""
    configs: dict[str, Any] = {}
    for line in (folder / "configs.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        configs[row["model"]] = row["config"]
    for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        config = configs.get(row["model"])
        if config is None or row["completeness"] != "full" or row.get("params_note"):
            continue
        if row["params_total"] and not _quantised(config):
            yield Case(row["model"], row["params_total"], config)


def catalogue_cases() -> Iterator[Case]:
    """The same models from the embedded catalogue."""
    for model in catalog_ids():
        entry = catalog_entry(model)
        if entry is None or entry.completeness != "full" or entry.params_note:
            continue
        if entry.params_total and not _quantised(entry.config):
            yield Case(entry.id, entry.params_total, entry.config)


def _quantised(config: Mapping[str, Any]) -> bool:
    parts: list[Mapping[str, Any]] = [config, config.get("text_config") or {}]
    return any(part.get("quantization_config") for part in parts)


def compare(case: Case) -> Comparison:
    """Count the model of a case; of the totals its checkpoint can have, take the nearest."""
    try:
        count = count_parameters(read_architecture(case.config))
    except UnsupportedArchitecture as error:
        return Comparison(case, None, error.message)
    nearest = min(count.published, key=lambda total: abs(total - case.published))
    if not Comparison(case, nearest, "").agrees:
        nearest = count.total
    return Comparison(case, nearest, _note(case, count, nearest))


def _note(case: Case, count: ParameterCount, nearest: int) -> str:
    """Which stored copies explain the total, or what a miss comes from."""
    if abs(nearest - case.published) <= TOLERANCE * case.published:
        if nearest == count.total:
            return ""
        return "stores its tied head" if nearest > count.total else "stores no predictor copies"
    missing = count.total - case.published
    if missing > 0 and abs(missing - count.head) < TOLERANCE * case.published:
        return "untied by its config, but stores no output head"
    if "audio_config" in case.config and case.config["audio_config"] is None:
        return "its config gives no audio tower, its checkpoint may hold one"
    if "code2wav_config" in case.config:
        return "stores a talker and a vocoder, which vLLM does not load"
    return "not explained"


def table(comparisons: list[Comparison]) -> str:
    """The comparisons as aligned text."""
    lines = [f"{'model':52} {'published':>17} {'ours':>17} {'diff %':>8}  note"]
    for row in comparisons:
        ours = "refused" if row.ours is None else f"{row.ours:,}"
        lines.append(
            f"{row.case.model:52} {row.case.published:17,} {ours:>17} "
            f"{100 * row.difference:8.3f}  {row.note}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Do our shapes add up to what is published?")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--all", action="store_true", help="print agreeing models too")
    options = parser.parse_args(arguments)
    folder = options.shared / "data/models"
    shared = folder.is_dir()
    cases = shared_cases(folder) if shared else catalogue_cases()
    comparisons = [compare(case) for case in cases]
    misses = [row for row in comparisons if not row.agrees]
    shown = comparisons if options.all else [row for row in comparisons if row.note]
    print(table(shown))
    if not comparisons:
        print("No model to compare.")
        return 1
    share = 1 - len(misses) / len(comparisons)
    source = "shared index" if shared else "embedded catalogue"
    plain = sum(row.agrees and not row.note for row in comparisons)
    print(
        f"\n{len(comparisons)} models of the {source}: {share:.1%} within {TOLERANCE:.1%} "
        f"({plain} as the config says, {len(comparisons) - len(misses) - plain} with stored "
        f"copies the config does not tell, {len(misses)} misses)"
    )
    return 0 if share >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
