"""Write the list prices of clouds' GPU instances and of marketplaces.

    python scripts/build_prices.py            writes planner/vllm_preflight/hardware/prices.json
    python scripts/build_prices.py --check    exits 1 when it is stale

The facts are kept by hand in `scripts/price_facts.json`: each list with the provider's page,
the page that transcribed it, and the day it is of. A newer list of an offer replaces an older
one; nothing is taken over without a date, or for a card the catalogue lacks, or against the
table of instance types.
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any

from vllm_preflight.hardware.facts import gpu_names
from vllm_preflight.hardware.instances import find_instance

HERE = Path(__file__).parent
FACTS = HERE / "price_facts.json"
TARGET = HERE.parent / "planner/vllm_preflight/hardware/prices.json"
# Nothing on demand costs less or more for one GPU and hour, in dollars or euros.
CHEAPEST, DEAREST = 0.05, 25.0


def build() -> dict[str, Any]:
    """The whole table, one entry an offer; ValueError where a fact does not hold."""
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for listed in sorted(facts["lists"], key=lambda item: item["date"]):
        for offer in listed["offers"]:
            entry = _entry(listed, *offer)
            entries[entry["provider"], entry["offer"]] = entry
    return {"schema_version": 1, "prices": [entries[key] for key in sorted(entries)]}


def _entry(
    listed: dict[str, Any], offer: str, gpu: str, gpus: int, price: float, up_to: int = 0
) -> dict[str, Any]:
    date.fromisoformat(listed["date"])
    if gpu not in gpu_names():
        raise ValueError(f"{offer}: the catalogue has no card {gpu!r}")
    instance = find_instance(offer)
    ours = instance is not None and instance.provider == listed["provider"]
    if instance is not None and ours and (instance.gpu, instance.gpus) != (gpu, gpus):
        raise ValueError(f"{offer} is {instance.gpus} × {instance.gpu}")
    whole = round(price * gpus, 6) if listed["unit"] == "gpu" else price
    if not CHEAPEST <= whole / gpus <= DEAREST:
        raise ValueError(f"{offer}: {whole / gpus} for one GPU and hour")
    return {
        "provider": listed["provider"],
        "offer": offer,
        "gpu": gpu,
        "gpus": gpus,
        **({"up_to": up_to} if up_to else {}),
        "price_per_hour": whole,
        "currency": listed["currency"],
        "region": listed["region"],
        "kind": "on demand",
        "source": listed["source"],
        "recorded": listed["recorded"],
        "date": listed["date"],
    }


def render(table: dict[str, Any]) -> str:
    """JSON with one entry a line, so that a change shows as its own line."""
    rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in table["prices"])
    return f'{{\n"schema_version": {table["schema_version"]},\n"prices": [\n{rows}\n]\n}}\n'


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    text = render(build())
    if parser.parse_args().check:
        return int(TARGET.read_text(encoding="utf-8") != text)
    TARGET.write_text(text, encoding="utf-8")
    print(f"{len(json.loads(text)['prices'])} offers")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
