"""Write recommend/checkpoint_ids.json: quantised checkpoints that exist, by the model they are of.

    python scripts/build_checkpoint_ids.py --shared ../shared --date 2026-11-28

Reads `data/models/index.jsonl` (repositories of the Hugging Face Hub that other projects list)
and the checkpoints that vLLM's recipes name (`recommend/families.json`). Kept are those whose
name says of which catalogued model they are and how their weights are stored; of a publisher's
several the one most downloaded. A second run writes the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.checkpoint_names import read_name
from vllm_preflight.models.derived import base_of, derived_model

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "planner/vllm_preflight/recommend/checkpoint_ids.json"
FAMILIES = ROOT / "planner/vllm_preflight/recommend/families.json"


@dataclass(frozen=True)
class Named:
    """A repository that a source names."""

    id: str
    source: str
    downloads: int = 0


def main() -> None:
    """Write the table and say how many checkpoints of how many models it has."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--date", required=True, help="of the table, ISO 8601")
    options = parser.parse_args()
    named = {item.id: item for item in _listed(options.shared / "data/models/index.jsonl")}
    named |= {item.id: item for item in _of_recipes()}
    models: dict[str, list[Named]] = {}
    for item in sorted(named.values(), key=_order):
        base = base_of(item.id)
        if base is not None and _is_answered(item.id):
            models.setdefault(base.id, []).append(item)
    table = {
        "unit": "ids of repositories on the Hugging Face Hub, the first to be named first",
        "source": "each entry's own: a list of repositories, or a recipe of vLLM's",
        "date": options.date,
        "models": {
            base: [{"id": item.id, "source": item.source} for item in models[base]]
            for base in sorted(models, key=str.lower)
        },
    }
    TARGET.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{sum(map(len, models.values()))} checkpoints of {len(models)} models")


def _order(item: Named) -> tuple[bool, bool, int, str]:
    """The model's own publisher first, then what a recipe names, then what most people take."""
    base = base_of(item.id)
    publisher = read_name(item.id).organisation.lower()
    own = base is not None and publisher == read_name(base.id).organisation.lower()
    return (not own, "recipes" not in item.source, -item.downloads, item.id)


def _is_answered(identifier: str) -> bool:
    """Whether its name, or the catalogue, says how its weights are stored."""
    if read_name(identifier).precision in (None, "16-bit"):
        return False
    try:
        return catalog_entry(identifier) is not None or derived_model(identifier) is not None
    except PreflightError:
        return False


def _listed(path: Path) -> Iterator[Named]:
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["source"].startswith("public file"):
            # Nobody could look it up.
            continue
        yield Named(row["model"], row["source"], row.get("hf_downloads") or 0)


def _of_recipes() -> Iterator[Named]:
    for entry in json.loads(FAMILIES.read_text(encoding="utf-8"))["families"]:
        for identifier in entry.get("checkpoints", ()):
            yield Named(identifier, entry["source"])


if __name__ == "__main__":
    main()
