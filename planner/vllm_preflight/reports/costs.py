"""What options cost: by the hour, at a day's load, and against an API, with each price's day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.recommend.comparison import Row
from vllm_preflight.recommend.costs import HOURS_PER_DAY, ApiPrice, DailyLoad
from vllm_preflight.recommend.quotes import Prices


@dataclass(frozen=True)
class Costing:
    """What costs are worked out from; without prices none is."""

    prices: Prices | None = None
    load: DailyLoad | None = None
    api: ApiPrice | None = None

    def serves(self, row: Row) -> bool:
        """Whether the option keeps up with the load's busiest hours, as far as is known."""
        most = most_requests(row)
        return self.load is not None and most is not None and self.load.peak <= most

    def per_month(self, row: Row) -> float | None:
        """Cost of a month's rented hours at the load; None where it does not serve that."""
        if row.cost is None or self.load is None or not self.serves(row):
            return None
        return round(self.load.cost_per_month(row.cost), 2)

    def per_million(self, row: Row) -> float | None:
        """Cost of a million generated tokens at the load; None where it does not serve that."""
        if row.cost is None or self.load is None or not self.serves(row):
            return None
        return round(self.load.cost_per_million(row.cost, row.request.gen_tokens), 3)

    def break_even(self, row: Row) -> float | None:
        """Requests a second from which on the API costs more."""
        if row.cost is None or self.api is None:
            return None
        request = row.request
        rate = self.api.break_even(row.cost, request.prompt_tokens, request.gen_tokens)
        return float(f"{rate:.3g}")

    def sentences(self, request: CompareRequest, row: Row) -> list[str]:
        """What the option costs, each figure with what it is of."""
        if self.prices is None or row.quote is None:
            return []
        money = self.prices.currency
        found = [f"{row.quote.per_hour:,.2f} {money} an hour: {row.quote.text()}."]
        found += self._at_load(request, row, money)
        found += self._against_api(row, money)
        return found

    def _at_load(self, request: CompareRequest, row: Row, money: str) -> list[str]:
        if self.load is None:
            return []
        most, month, million = most_requests(row), self.per_month(row), self.per_million(row)
        if most is None:
            return ["How much of the daily load it serves is not known, nor what that costs."]
        if month is None or million is None:
            return [
                f"It serves {most:,.3g} requests a second, not the {self.load.peak:,.3g} of the "
                "daily load: ask with a higher concurrency for more GPUs."
            ]
        hours = "day and night" if self.load.hours == HOURS_PER_DAY else "rented hours alone"
        return [
            f"At {self.load.requests:,.0f} requests a day ({request.daily_load}): {million:,.2f} "
            f"{money} a million generated tokens, {month:,.0f} {money} a month, {hours}."
        ]

    def _against_api(self, row: Row, money: str) -> list[str]:
        rate = self.break_even(row)
        if rate is None or self.api is None:
            return []
        most = most_requests(row)
        price = f"The API at {self.api.prompt:g}/{self.api.generated:g} {money} a million tokens"
        if most is not None and rate > most:
            return [
                f"{price} is cheaper at any load: it costs as much at {rate:,.3g} requests a "
                f"second, more than the {most:,.3g} that this serves."
            ]
        text = f"{price} costs as much at {rate:,.3g} requests a second and less below."
        if self.load is None:
            return [text]
        mean = self.load.requests / (self.load.hours * 3600)
        side = "renting" if mean > rate else "the API"
        return [f"{text} At the daily load's mean of {mean:,.3g}, {side} is cheaper."]

    def warnings(self, rows: Sequence[Row]) -> list[str]:
        """Where the prices come from and how old they are; options too large for any offer."""
        if self.prices is None:
            return []
        note = self.prices.note([row.quote for row in rows if row.quote is not None])
        large = [
            f"{row.choice.gpus} × {row.gpu.name}"
            for row in rows
            if row.quote is None and self.prices.knows(row.gpu.name)
        ]
        if not large:
            return [note]
        return [f"No offer has so many GPUs in one machine: {', '.join(large)}.", note]


def most_requests(row: Row) -> float | None:
    """Requests a second that the option serves at most; None where its speed is not known."""
    return None if row.speed is None else row.speed.most_requests_per_s
