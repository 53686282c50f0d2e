"""What choices cost: by the hour, at a day's load, and against an API, with each price's day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.costs import CostPoint, CostReport, PriceInput
from vllm_preflight.performance.estimate import Performance
from vllm_preflight.recommend.choose import Choice
from vllm_preflight.recommend.costs import (
    HOURS_PER_DAY,
    ApiPrice,
    DailyLoad,
    read_api_price,
    read_daily_load,
)
from vllm_preflight.recommend.prices import chosen_prices
from vllm_preflight.recommend.quotes import Prices, Quote

# So many cards without a price are named.
_NAMED = 3


@dataclass(frozen=True)
class Costing:
    """What costs are worked out from; without prices none is.

    `more` says how to ask for GPUs that serve a load which these do not.
    """

    prices: Prices | None = None
    load: DailyLoad | None = None
    api: ApiPrice | None = None
    more: str = ""

    def report(self, choice: Choice, quote: Quote | None) -> CostReport | None:
        """What the choice costs at the price of its machines; None without one."""
        if self.prices is None or quote is None:
            return None
        return CostReport(
            currency=self.prices.currency,
            per_hour=quote.per_hour,
            price=quote.text(),
            per_million_tokens=_per_million(choice, quote),
            by_load=_by_load(choice, quote),
            per_million_tokens_at_load=self._at_load(choice, quote),
            per_month=self._per_month(choice, quote),
            break_even_requests_per_s=self._break_even(choice, quote),
            sentences=self._sentences(choice, quote, self.prices.currency),
        )

    def warnings(self, priced: Sequence[tuple[Choice, Quote | None]]) -> list[str]:
        """Where the prices come from and how old they are; choices too large for any offer."""
        if self.prices is None:
            return []
        note = self.prices.note([quote for _, quote in priced if quote is not None])
        large = [
            f"{choice.machine_gpus} × {choice.hardware.gpu.name}"
            for choice, quote in priced
            if quote is None
            and self.prices.knows(choice.hardware.gpu.name, choice.hardware.instance)
        ]
        if not large:
            return [note]
        return [f"No offer has so many GPUs in one machine: {', '.join(large)}.", note]

    def unpriced(self, names: Iterable[str], instance: str | None = None) -> list[str]:
        """That some of the cards have no price at all, in such an instance type."""
        if self.prices is None:
            return []
        found = [name for name in names if not self.prices.knows(name, instance)]
        if not found:
            return []
        some = ", ".join(found[:_NAMED]) + (", …" if len(found) > _NAMED else "")
        if instance is not None and found:
            return [f"{instance} has no price; name its GPUs to see what others ask."]
        if len(found) == 1:
            return [f"1 GPU has no price ({some}); its cost is not known."]
        return [f"{len(found)} GPUs have no price ({some}); their cost is not known."]

    def _serves(self, choice: Choice) -> bool:
        """Whether it keeps up with the load's busiest hours, as far as is known."""
        most = _most_requests(choice)
        return self.load is not None and most is not None and self.load.peak <= most

    def _per_month(self, choice: Choice, quote: Quote) -> float | None:
        if self.load is None or not self._serves(choice):
            return None
        return round(self.load.cost_per_month(quote.per_hour), 2)

    def _at_load(self, choice: Choice, quote: Quote) -> float | None:
        if self.load is None or not self._serves(choice):
            return None
        tokens = choice.bench.request.gen_tokens
        return round(self.load.cost_per_million(quote.per_hour, tokens), 3)

    def _break_even(self, choice: Choice, quote: Quote) -> float | None:
        if self.api is None:
            return None
        request = choice.bench.request
        rate = self.api.break_even(quote.per_hour, request.prompt_tokens, request.gen_tokens)
        return float(f"{rate:.3g}")

    def _sentences(self, choice: Choice, quote: Quote, money: str) -> list[str]:
        """What it costs, each figure with what it is of."""
        return [
            f"{quote.per_hour:,.2f} {money} an hour: {quote.text()}.",
            *self._load_sentences(choice, quote, money),
            *self._api_sentences(choice, quote, money),
        ]

    def _load_sentences(self, choice: Choice, quote: Quote, money: str) -> list[str]:
        if self.load is None:
            return []
        most, month = _most_requests(choice), self._per_month(choice, quote)
        million = self._at_load(choice, quote)
        if most is None:
            return ["How much of the daily load it serves is not known, nor what that costs."]
        if month is None or million is None:
            return [
                f"It serves {most:,.3g} requests a second, not the {self.load.peak:,.3g} of the "
                f"daily load: {self.more}."
            ]
        hours = "day and night" if self.load.hours == HOURS_PER_DAY else "rented hours alone"
        return [
            f"At {self.load.requests:,.0f} requests a day ({self.load.text}): {million:,.2f} "
            f"{money} a million generated tokens, {month:,.0f} {money} a month, {hours}."
        ]

    def _api_sentences(self, choice: Choice, quote: Quote, money: str) -> list[str]:
        rate = self._break_even(choice, quote)
        if rate is None or self.api is None:
            return []
        most = _most_requests(choice)
        price = f"The API at {self.api.prompt:g}/{self.api.generated:g} {money} a million tokens"
        if most is not None and rate > most:
            return [
                f"{price} is cheaper at any load: it costs as much at {rate:,.3g} requests a "
                f"second, more than the {most:,.3g} that this serves."
            ]
        text = f"{price} is cheaper below {rate:,.3g} requests a second"
        if self.load is None:
            return [f"{text}, renting above."]
        mean = self.load.requests / (self.load.hours * 3600)
        side = "renting" if mean > rate else "the API"
        return [f"{text}: at the daily load's mean of {mean:,.3g} {side} is."]


def read_costing(request: PriceInput, more: str) -> Costing:
    """The prices, the load and the API's price that a request gives; `more` as `Costing` says.

    Raises:
        InvalidRequest: one of them cannot be read, or the others come without prices.
    """
    prices = chosen_prices(request.prices, request.provider)
    for name in ("daily_load", "api_price"):
        if getattr(request, name) is not None and prices is None:
            raise InvalidRequest(
                f"{name} is given, but no prices of GPUs.",
                "Give prices, or ask for the built-in ones with prices: list.",
            )
    load, api = request.daily_load, request.api_price
    return Costing(
        prices=prices,
        load=None if load is None else read_daily_load(load),
        api=None if api is None else read_api_price(api),
        more=more,
    )


def _most_requests(choice: Choice) -> float | None:
    """Requests a second that are served at most; None where the speed is not known."""
    return choice.speed.most_requests_per_s if isinstance(choice.speed, Performance) else None


def _per_million(choice: Choice, quote: Quote) -> float | None:
    """Cost of a million generated tokens when it is as busy as the workload."""
    if not isinstance(choice.speed, Performance):
        return None
    tokens_per_s = choice.speed.speed.output_tokens_per_s
    return round(quote.per_hour / (tokens_per_s * 3600) * 1e6, 3) if tokens_per_s else None


def _by_load(choice: Choice, quote: Quote) -> list[CostPoint] | None:
    """Cost over the rate at which requests arrive; None where the speed is not known."""
    if not isinstance(choice.speed, Performance):
        return None
    each = quote.per_hour / choice.gpus
    return [
        CostPoint(
            requests_per_s=float(f"{rate:.3g}"),
            cost_per_million_tokens=round(each * choice.speed.gpu_hours(rate), 3),
        )
        for rate in choice.speed.offered_rates
    ]
