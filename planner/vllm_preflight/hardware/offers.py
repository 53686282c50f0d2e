"""What clouds and marketplaces ask for an hour of their GPU machines, each price with its day.

`prices.json` is written by `scripts/build_prices.py` from `scripts/price_facts.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Offer:
    """A machine with `gpus` of a catalogue name, on demand for `price_per_hour` of `currency`.

    Where `up_to` is not 0 any number of GPUs up to it may be had in one machine, each at the
    price of one. `source` is the provider's own list, `recorded` where it was transcribed with
    its date.
    """

    provider: str
    name: str
    gpu: str
    gpus: int
    up_to: int
    price_per_hour: float
    currency: str
    region: str
    source: str
    recorded: str
    date: date

    def machine(self, gpus: int) -> float | None:
        """The price of an hour of a machine with `gpus` in use; None where it has fewer.

        A machine of fixed size is paid whole.
        """
        if gpus <= self.gpus:
            return self.price_per_hour
        return self.price_per_hour * gpus / self.gpus if gpus <= self.up_to else None


@cache
def load_offers() -> tuple[Offer, ...]:
    """Every offer of the table."""
    text = Path(__file__).with_name("prices.json").read_text(encoding="utf-8")
    return tuple(
        Offer(
            provider=row["provider"],
            name=row["offer"],
            gpu=row["gpu"],
            gpus=row["gpus"],
            up_to=row.get("up_to", 0),
            price_per_hour=row["price_per_hour"],
            currency=row["currency"],
            region=row["region"],
            source=row["source"],
            recorded=row["recorded"],
            date=date.fromisoformat(row["date"]),
        )
        for row in json.loads(text)["prices"]
    )
