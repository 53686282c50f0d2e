"""What GPUs cost, from the user's own list: nothing is assumed for a GPU it leaves out.

The list is an object `{"currency": "USD", "date": "2026-11-01", "source": "…",
"gpu_hour": {"H100": 2.4}}`: the price of one GPU for one hour, by names that the catalogue
understands. `currency`, `date` and `gpu_hour` are required. With `"others": "list"` the
built-in list prices the GPUs that it leaves out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest, UnknownGpu
from vllm_preflight.hardware.spoken import NamedHardware, read_hardware_name
from vllm_preflight.recommend.quotes import (
    STALE_DAYS,
    ListPrices,
    Prices,
    Quote,
    days_old,
    list_prices,
)

# What asks for the built-in list, and for no prices.
LIST, NONE = "list", "none"
# Of one GPU for one hour: costs are told in ten-thousandths.
_LEAST, _MOST = 1e-4, 1_000_000
_KEYS = frozenset({"currency", "date", "source", "gpu_hour", "others"})
_HINT = 'Such as {"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 2.4}}.'


@dataclass(frozen=True)
class PriceList:
    """Prices of one GPU for one hour, by catalogue name; `others` for GPUs that have none."""

    currency: str
    date: date
    gpu_hour: Mapping[str, float]
    source: str = ""
    others: ListPrices | None = None

    def cost(self, gpu: str, gpus: int) -> float | None:
        """What `gpus` of a catalogue name cost in an hour; None where it is not known."""
        price = self.gpu_hour.get(gpu)
        return None if price is None else round(price * gpus, 4)

    def quote(
        self, gpu: str, gpus: int, nodes: int = 1, instance: str | None = None
    ) -> Quote | None:
        """The list's own price; else that of the built-in list, where it is asked for."""
        cost = self.cost(gpu, gpus)
        if cost is not None:
            name = f"{gpus} × {self.gpu_hour[gpu]:g} of the prices given"
            return Quote(cost, name, self.date, listed=False)
        return None if self.others is None else self.others.quote(gpu, gpus, nodes, instance)

    def knows(self, gpu: str, instance: str | None = None) -> bool:
        """Whether the card has a price."""
        if gpu in self.gpu_hour:
            return True
        return self.others is not None and self.others.knows(gpu, instance)

    def note(self, used: Sequence[Quote] = (), today: date | None = None) -> str:
        """Where the prices come from and how old they are, with a warning when too old."""
        age = days_old(self.date, today)
        origin = f" ({self.source})" if self.source else ""
        text = f"Prices in {self.currency} per hour of {self.date.isoformat()}{origin}, {age} days"
        text += f" old: more than {STALE_DAYS} days, check them." if age > STALE_DAYS else " old."
        if self.others is None:
            return text
        listed = [quote for quote in used if quote.listed]
        return f"{text} {self.others.note(listed, today)}"


def chosen_prices(text: str | None, providers: str = "") -> Prices | None:
    """The prices that a request means: its own, the built-in list ("list"), or none.

    Raises:
        InvalidRequest: as parse_prices; providers where the built-in list is not asked for.
    """
    word = None if text is None else text.strip().lower()
    if word == LIST:
        return list_prices(providers)
    own = None if text is None or word == NONE else parse_prices(text, providers)
    if providers.strip() and (own is None or own.others is None):
        raise InvalidRequest(
            f"provider is {providers[:60]!r}, but the list of providers' prices is not asked for.",
            "Ask with prices: list.",
        )
    return own


def parse_prices(text: str, providers: str = "") -> PriceList:
    """The price list in JSON text, as the module's docstring describes it.

    `providers` narrow the built-in list where it stands in for what the text leaves out.

    Raises:
        InvalidRequest: no such object, an impossible price or date, an unknown GPU.
    """
    try:
        data: object = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InvalidRequest("The prices are no JSON object.", _HINT) from None
    return read_prices(data, providers)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object's members; two of one name are two prices, of which none is right."""
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(
            name for name, count in Counter(name for name, _ in pairs).items() if count > 1
        )
        raise InvalidRequest(f"The prices name {twice[:60]!r} twice.", "Give one.")
    return members


def read_prices(data: object, providers: str = "") -> PriceList:
    """The price list in parsed JSON or YAML; raises InvalidRequest as parse_prices does."""
    if not isinstance(data, Mapping):
        raise InvalidRequest("The prices are no object of names and values.", _HINT)
    members = cast(Mapping[Any, Any], data)
    unknown = sorted(str(key)[:40] for key in members if key not in _KEYS)
    if unknown:
        raise InvalidRequest(f"The prices have no field {unknown[0]!r}.", _HINT)
    for key in ("currency", "date", "gpu_hour"):
        if members.get(key) is None:
            raise InvalidRequest(f"The prices have no {key}.", _HINT)
    source = members.get("source", "")
    if not isinstance(source, str):
        raise InvalidRequest(f"source is {str(source)[:40]!r}, but must be text.", _HINT)
    currency = _currency(members["currency"])
    others = members.get("others")
    if others not in (None, LIST):
        raise InvalidRequest(f"others is {str(others)[:40]!r}, but may be {LIST!r} alone.", _HINT)
    return PriceList(
        currency=currency,
        date=_past(_date(members["date"])),
        gpu_hour=_gpu_hours(members["gpu_hour"]),
        source=source[:200],
        others=None if others is None else list_prices(providers, currency),
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


def _past(day: date) -> date:
    # Somewhere it is tomorrow already.
    if days_old(day) < -1:
        raise InvalidRequest(f"date is {day.isoformat()}, a day yet to come.", _HINT)
    return day


def _gpu_hours(value: object) -> dict[str, float]:
    if not isinstance(value, Mapping) or not value:
        raise InvalidRequest("gpu_hour must be an object of GPU names and prices.", _HINT)
    prices: dict[str, float] = {}
    for name, price in cast(Mapping[Any, Any], value).items():
        number = isinstance(price, int | float) and not isinstance(price, bool)
        if not number or not _LEAST <= price <= _MOST:
            raise InvalidRequest(
                f"The price of {str(name)[:60]!r} is {str(price)[:40]!r}, but must be a number "
                f"from {_LEAST:g} to {_MOST:,}.",
                _HINT,
            )
        named = _named(str(name))
        if named.gpus is not None and named.gpus > 1:
            raise InvalidRequest(
                f"gpu_hour is the price of one GPU, but {str(name)[:60]!r} is {named.gpus}.",
                f"Divide it by {named.gpus} and name the GPU: {named.gpu.name!r}.",
            )
        gpu = named.gpu.name
        if prices.setdefault(gpu, float(price)) != float(price):
            raise InvalidRequest(f"{gpu} has two prices.", "Give one.")
    return prices


def _named(name: str) -> NamedHardware:
    try:
        return read_hardware_name(name)
    except UnknownGpu as error:
        # Of its hint what leads to a name; a card's memory is no help here.
        raise UnknownGpu(error.message, error.hint.partition(" Give vram_gb")[0]) from None
