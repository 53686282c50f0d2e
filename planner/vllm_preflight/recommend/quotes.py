"""What a number of GPUs costs by the built-in list of offers, and by the user's own before it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.hardware.offers import Offer, load_offers

# Rental prices change within months.
STALE_DAYS = 90
_USUAL_CURRENCY = "USD"
# Providers by other names than the list's.
_SPOKEN = {
    "amazon": "aws",
    "ec2": "aws",
    "google": "gcp",
    "google cloud": "gcp",
    "microsoft": "azure",
    "oracle": "oci",
    "lambda labs": "lambda",
    "datacrunch": "verda",
    "vast": "vast.ai",
}


@dataclass(frozen=True)
class Quote:
    """What an hour costs, of which price, as of which day; `listed`: of the built-in list."""

    per_hour: float
    name: str
    date: date
    listed: bool = True

    def text(self, today: date | None = None) -> str:
        """The price's origin with its day and age."""
        return f"{self.name}, of {self.date.isoformat()} ({days_old(self.date, today)} days old)"


class Prices(Protocol):
    """What GPUs cost in one currency."""

    @property
    def currency(self) -> str:
        """A code of three letters."""
        ...

    def quote(
        self, gpu: str, gpus: int, nodes: int = 1, instance: str | None = None
    ) -> Quote | None:
        """An hour of `gpus` of a catalogue name over `nodes` machines; None if not known.

        Where the machine is an `instance` type, its own price.
        """
        ...

    def knows(self, gpu: str, instance: str | None = None) -> bool:
        """Whether there is a price of a catalogue name at all, in such an instance type."""
        ...

    def note(self, used: Sequence[Quote], today: date | None = None) -> str:
        """Where the prices `used` come from and how old they are."""
        ...


@dataclass(frozen=True)
class ListPrices:
    """The built-in list: the cheapest offer whose machines hold the GPUs."""

    offers: tuple[Offer, ...]
    currency: str

    def quote(
        self, gpu: str, gpus: int, nodes: int = 1, instance: str | None = None
    ) -> Quote | None:
        """The cheapest way to rent the machines whole; None where no offer has such."""
        each = -(-gpus // nodes)
        found = [
            (price, offer)
            for offer in self._of(gpu, instance)
            if (price := offer.machine(each)) is not None
        ]
        if not found:
            return None
        # Of equal prices the newest.
        price, offer = min(found, key=lambda item: (item[0], -item[1].date.toordinal()))
        number = f"{nodes} × " if nodes > 1 else f"{each} × " if each > offer.gpus else ""
        idle = f" ({each} of {offer.gpus} GPUs used)" if each < offer.gpus else ""
        name = f"{number}{offer.provider} {offer.name}{idle} on demand in {offer.region}"
        return Quote(round(price * nodes, 4), name, offer.date)

    def knows(self, gpu: str, instance: str | None = None) -> bool:
        """Whether any offer has the card, in such an instance type."""
        return any(self._of(gpu, instance))

    def note(self, used: Sequence[Quote], today: date | None = None) -> str:
        """How old the prices used are; those too old by name."""
        return (
            f"List prices in {self.currency} per hour, on demand, without storage, traffic and "
            f"tax{age_note(used, today)}"
        )

    def _of(self, gpu: str, instance: str | None) -> Iterator[Offer]:
        for offer in self.offers:
            if offer.gpu == gpu and instance in (None, offer.name):
                yield offer


def age_note(used: Sequence[Quote], today: date | None = None) -> str:
    """The days the prices used are of, with a warning by name of those too old."""
    if not used:
        return "; none of them is used."
    days = sorted({quote.date for quote in used})
    between = days[0].isoformat() if len(days) == 1 else f"{days[0]} to {days[-1]}"
    old = sorted({quote.name for quote in used if days_old(quote.date, today) > STALE_DAYS})
    text = f", of {between}."
    if old:
        text += f" More than {STALE_DAYS} days old, check them: {'; '.join(old)}."
    return text


def days_old(day: date, today: date | None = None) -> int:
    """Days since a price's date."""
    return ((today or datetime.now(UTC).date()) - day).days


def list_prices(providers: str = "", currency: str = "") -> ListPrices:
    """The offers of providers (comma-separated; all of them without) in one currency.

    Without `currency` it is USD, or that of the providers where they have no other.

    Raises:
        InvalidRequest: a provider that the list does not have, or not in that currency.
    """
    offers = load_offers()
    chosen: list[Offer] = []
    for name in filter(None, (part.strip() for part in providers.split(","))):
        chosen += _of_provider(name, offers)
    kept = tuple(chosen or offers)
    currencies = sorted({offer.currency for offer in kept})
    used = currency or (_USUAL_CURRENCY if _USUAL_CURRENCY in currencies else currencies[0])
    if used not in currencies:
        raise InvalidRequest(
            f"The list prices are in {' and '.join(currencies)}, not in {used}.",
            "Give prices of your own for these GPUs, or in that currency.",
        )
    return ListPrices(tuple(offer for offer in kept if offer.currency == used), used)


def _of_provider(name: str, offers: Sequence[Offer]) -> list[Offer]:
    wanted = _SPOKEN.get(name.lower(), name.lower())
    found = [
        offer
        for offer in offers
        if offer.provider.lower() == wanted or offer.provider.lower().startswith(f"{wanted} ")
    ]
    if not found:
        known = sorted({offer.provider for offer in offers})
        near = difflib.get_close_matches(wanted, [item.lower() for item in known], 1)
        guess = f" Did you mean {near[0]}?" if near else ""
        raise InvalidRequest(
            f"The price list has no provider {name[:60]!r}.{guess}",
            f"It has {', '.join(known)}.",
        )
    return found
