"""Cost of what is served: by a day's load, and against an API's price of tokens.

A rented machine costs its hours, whether requests arrive or not. With c the cost of an hour,
h rented hours a day in which r_i requests a second arrive for h_i hours, and g generated
tokens a request:

    tokens a day          = g · 3600 · Σ h_i · r_i
    cost a million tokens = c · h / tokens a day · 10⁶
    cost a month          = c · h · 365 / 12
    break-even rate       = c / (3600 · API price of one request), requests a second over h
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vllm_preflight.base.errors import InvalidRequest

HOURS_PER_DAY = 24.0
_DAYS_PER_MONTH = 365 / 12
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_PART = re.compile(rf"(?:{_NUMBER}\s*h\s*@\s*)?{_NUMBER}(?:/s)?")
_PRICE = re.compile(rf"{_NUMBER}(?:\s*/\s*{_NUMBER})?")
_MOST = 1e9
_LOAD_HINT = "Such as 2 (requests a second, day and night) or 9h@4,15h@0.2."
_API_HINT = "Such as 0.6, or 0.15/0.6 for a million prompt tokens and a million generated."


@dataclass(frozen=True)
class DailyLoad:
    """Hours of a day in which machines are rented, each with the requests that arrive a second.

    `text` is how it was written.
    """

    parts: tuple[tuple[float, float], ...]
    text: str

    @property
    def hours(self) -> float:
        """Hours of a day that are paid."""
        return sum(hours for hours, _ in self.parts)

    @property
    def requests(self) -> float:
        """Requests of a day."""
        return sum(hours * 3600 * rate for hours, rate in self.parts)

    @property
    def peak(self) -> float:
        """Most requests a second."""
        return max(rate for _, rate in self.parts)

    def cost_per_month(self, per_hour: float) -> float:
        """What the rented hours of a month cost."""
        return per_hour * self.hours * _DAYS_PER_MONTH

    def cost_per_million(self, per_hour: float, gen_tokens: int) -> float:
        """What a million generated tokens cost at this load."""
        return per_hour * self.hours / (self.requests * gen_tokens) * 1e6


@dataclass(frozen=True)
class ApiPrice:
    """An API's price of a million prompt tokens and of a million generated ones."""

    prompt: float
    generated: float

    def of_request(self, prompt_tokens: int, gen_tokens: int) -> float:
        """What the API asks for one request."""
        return (prompt_tokens * self.prompt + gen_tokens * self.generated) / 1e6

    def break_even(self, per_hour: float, prompt_tokens: int, gen_tokens: int) -> float:
        """Requests a second, over the rented hours, from which on renting is cheaper."""
        return per_hour / (3600 * self.of_request(prompt_tokens, gen_tokens))


def read_daily_load(text: str) -> DailyLoad:
    """A day's load: a rate, or hours with rates ("9h@4,15h@0.2"); other hours are not rented.

    Raises:
        InvalidRequest: no such text, no request at all, or more than 24 hours.
    """
    found = [_PART.fullmatch(part.strip()) for part in text.split(",")]
    parts: list[tuple[float, float]] = []
    for match in found:
        if match is None or (match[1] is None and len(found) > 1):
            raise InvalidRequest(
                f"daily_load is {text[:60]!r}, but must be requests a second, or hours of a day "
                "with theirs.",
                _LOAD_HINT,
            )
        parts.append((float(match[1] or HOURS_PER_DAY), float(match[2])))
    load = DailyLoad(tuple(parts), text)
    if not 0 < load.hours <= HOURS_PER_DAY:
        raise InvalidRequest(
            f"daily_load has {load.hours:g} hours, but a day has {HOURS_PER_DAY:g}.", _LOAD_HINT
        )
    if not 0 < load.requests < _MOST * 1e5:
        raise InvalidRequest(f"daily_load {text[:60]!r} is no load that arrives.", _LOAD_HINT)
    return load


def read_api_price(text: str) -> ApiPrice:
    """An API's price of a million tokens: one number, or prompt/generated ("0.15/0.6").

    Raises:
        InvalidRequest: no such text, or both prices are 0.
    """
    match = _PRICE.fullmatch(text.strip())
    first = float(match[1]) if match else 0.0
    second = first if match is None or match[2] is None else float(match[2])
    if match is None or first + second <= 0 or max(first, second) > _MOST:
        raise InvalidRequest(
            f"api_price is {text[:60]!r}, but must be the price of a million tokens.", _API_HINT
        )
    return ApiPrice(first, second)
