"""What GPUs cost, from the user's own list: nothing is assumed for a GPU it leaves out.

The list is an object `{"currency": "USD", "date": "2026-11-01", "source": "…",
"gpu_hour": {"H100": 2.4}}`: the price of one GPU for one hour, by names that the catalogue
understands. `currency`, `date` and `gpu_hour` are required.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.hardware.spoken import read_hardware_name

# Rental prices change within months.
STALE_DAYS = 90
_KEYS = frozenset({"currency", "date", "source", "gpu_hour"})
_HINT = 'Such as {"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 2.4}}.'


@dataclass(frozen=True)
class PriceList:
    """Prices of one GPU for one hour, by catalogue name."""

    currency: str
    date: date
    gpu_hour: Mapping[str, float]
    source: str = ""

    def cost(self, gpu: str, gpus: int) -> float | None:
        """What `gpus` of a catalogue name cost in an hour; None where it is not known."""
        price = self.gpu_hour.get(gpu)
        return None if price is None else round(price * gpus, 4)

    def age_days(self, today: date | None = None) -> int:
        """Days since the list's date."""
        return ((today or datetime.now(UTC).date()) - self.date).days

    def note(self, today: date | None = None) -> str:
        """Where the prices come from and how old they are, with a warning when too old."""
        age = self.age_days(today)
        origin = f" ({self.source})" if self.source else ""
        text = f"Prices in {self.currency} per hour of {self.date.isoformat()}{origin}, {age} days"
        if age > STALE_DAYS:
            return f"{text} old: more than {STALE_DAYS} days, check them."
        return f"{text} old."


def parse_prices(text: str) -> PriceList:
    """The price list in JSON text, as the module's docstring describes it.

    Raises:
        InvalidRequest: no such object, an impossible price or date, an unknown GPU.
    """
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("The prices are no JSON object.", _HINT) from None
    return read_prices(data)


def read_prices(data: object) -> PriceList:
    """The price list in parsed JSON or YAML; raises InvalidRequest as parse_prices does."""
    if not isinstance(data, Mapping):
        raise InvalidRequest("The prices are no object of names and values.", _HINT)
    members = cast(Mapping[Any, Any], data)
    unknown = sorted(str(key)[:40] for key in members if key not in _KEYS)
    if unknown:
        raise InvalidRequest(f"The prices have no field {unknown[0]!r}.", _HINT)
    return PriceList(
        currency=_currency(members.get("currency")),
        date=_date(members.get("date")),
        gpu_hour=_gpu_hours(members.get("gpu_hour")),
        source=str(members.get("source", ""))[:200],
    )


def _currency(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]{3}", value):
        raise InvalidRequest(
            f"currency is {str(value)[:40]!r}, but must be a code of three letters.", _HINT
        )
    return value.upper()


def _date(value: object) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        # YAML reads a plain date as one.
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise InvalidRequest(
            f"date is {str(value)[:40]!r}, but must be a day such as 2026-11-01.", _HINT
        ) from None


def _gpu_hours(value: object) -> dict[str, float]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidRequest("gpu_hour must be an object of GPU names and prices.", _HINT)
    prices: dict[str, float] = {}
    for name, price in cast(Mapping[Any, Any], value).items():
        number = isinstance(price, int | float) and not isinstance(price, bool)
        if not number or not 0 < price < 1e6:
            raise InvalidRequest(
                f"The price of {str(name)[:60]!r} is {str(price)[:40]!r}, but must be a number "
                "above 0.",
                _HINT,
            )
        named = read_hardware_name(str(name))
        if named.gpus is not None and named.gpus > 1:
            raise InvalidRequest(
                f"gpu_hour is the price of one GPU, but {str(name)[:60]!r} is {named.gpus}.",
                f"Divide it by {named.gpus} and name the GPU: {named.gpu.name!r}.",
            )
        gpu = named.gpu.name
        if prices.setdefault(gpu, float(price)) != float(price):
            raise InvalidRequest(f"{gpu} has two prices.", "Give one.")
    return prices
