"""Cost at a day's load and against an API, each worked by hand."""

from __future__ import annotations

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.recommend.costs import read_api_price, read_daily_load


def test_the_three_costs_of_one_case_worked_by_hand() -> None:
    """A machine at 4.00 an hour, 9 hours at 2 requests a second and 15 at 0.2.

    Requests a day: 9 · 3600 · 2 + 15 · 3600 · 0.2 = 64,800 + 10,800 = 75,600, which are
    75,600 · 250 = 18,900,000 generated tokens. A day costs 24 · 4 = 96, so a million tokens
    cost 96 / 18.9 = 5.0794; a month 96 · 365 / 12 = 2,920. An API at 0.20 and 0.60 a million
    asks (1000 · 0.20 + 250 · 0.60) / 10⁶ = 0.00035 a request; 4.00 an hour pay
    4 / 0.00035 = 11,428.57 requests an hour, 3.1746 a second.
    """
    load, api = read_daily_load("9h@2,15h@0.2"), read_api_price("0.20/0.60")
    assert (load.hours, load.peak, load.requests) == (24, 2, pytest.approx(75_600))
    assert load.cost_per_million(4.0, 250) == pytest.approx(5.0794, abs=5e-5)
    assert load.cost_per_month(4.0) == pytest.approx(2_920)
    assert api.of_request(1_000, 250) == pytest.approx(0.00035)
    assert api.break_even(4.0, 1_000, 250) == pytest.approx(3.1746, abs=5e-5)


def test_hours_that_are_not_named_are_not_rented() -> None:
    load = read_daily_load("8 h @ 1.5")
    assert (load.hours, load.requests) == (8, 43_200)
    assert load.cost_per_month(3.0) == pytest.approx(730)
    assert read_daily_load("8h@3, 16h@0").hours == 24
    assert read_daily_load("2").parts == read_daily_load("24h@2").parts == ((24.0, 2.0),)


def test_one_price_is_of_both_kinds_of_token() -> None:
    assert read_api_price("0.6") == read_api_price("0.6/0.6")
    assert read_api_price("0/1.2").of_request(5_000, 1_000_000) == pytest.approx(1.2)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "2,3", "9h@", "25h@1", "20h@1,5h@1", "9h@2,3", "0h@2", "many", "nan"]
)
def test_what_is_no_load_is_a_sentence(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_daily_load(text)
    assert refusal.value.message.endswith(".") and "9h@4" in refusal.value.hint


@pytest.mark.parametrize("text", ["", "0", "0/0", "-1", "free", "1/2/3", "$1", "1e99", "9" * 40])
def test_what_is_no_api_price_is_a_sentence(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_api_price(text)
    assert refusal.value.message.endswith(".") and "0.15/0.6" in refusal.value.hint
