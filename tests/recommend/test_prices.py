"""Price lists: what is read, what is refused, and that age is said."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest, UnknownGpu
from vllm_preflight.recommend.prices import chosen_prices, parse_prices, read_prices

GOOD: dict[str, Any] = {
    "currency": "usd",
    "date": "2026-11-01",
    "source": "a quote",
    "gpu_hour": {"H100": 2.4, "l40s": 1},
}


def test_names_are_understood_and_prices_multiply() -> None:
    prices = parse_prices(json.dumps(GOOD))
    assert prices.currency == "USD"
    assert prices.cost("H100 SXM5 80GB", 4) == pytest.approx(9.6)
    assert prices.cost("L40S", 1) == 1
    assert prices.cost("L4", 1) is None


def test_the_price_of_an_instance_is_not_taken_for_one_gpus() -> None:
    with pytest.raises(InvalidRequest, match=r"'p5\.48xlarge' is 8") as caught:
        read_prices({**GOOD, "gpu_hour": {"p5.48xlarge": 55}})
    assert "Divide it by 8" in caught.value.hint
    assert read_prices({**GOOD, "gpu_hour": {"g5.xlarge": 1}}).cost("A10G", 2) == 2


def test_the_age_is_said_and_an_old_list_warned_of() -> None:
    prices = read_prices(GOOD)
    assert prices.note(today=date(2026, 11, 24)).endswith("23 days old.")
    assert "check them" not in prices.note(today=date(2027, 1, 30))
    assert "more than 90 days, check them" in prices.note(today=date(2027, 1, 31))


def test_yaml_dates_are_dates() -> None:
    assert read_prices({**GOOD, "date": date(2026, 1, 2)}).date == date(2026, 1, 2)


@pytest.mark.parametrize(
    "change",
    [
        {"currency": "dollars"},
        {"currency": None},
        {"date": "yesterday"},
        {"date": None},
        {"gpu_hour": {}},
        {"gpu_hour": [1]},
        {"gpu_hour": {"H100": "2.4"}},
        {"gpu_hour": {"H100": True}},
        {"gpu_hour": {"H100": 0}},
        {"gpu_hour": {"H100": -1}},
        {"gpu_hour": {"H100": float("nan")}},
        {"gpu_hour": {"H100": 2.4, "H100 SXM5 80GB": 2.5}},
        {"gpu_hours": {"H100": 2.4}},
        {"gpu_hour": {"H100": float("inf")}},
        {"gpu_hour": {"H100": 1e300}},
        {"gpu_hour": {"H100": 1e-300}},
        {"gpu_hour": None},
        {"currency": "€"},
        {"date": "1.11.2026"},
        {"date": "2999-01-01"},
        {"source": {"a": 1}},
        {"others": "lists"},
        {"others": True},
        {"others": "list", "currency": "CHF"},
    ],
)
def test_what_is_no_price_is_refused_in_a_sentence(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_prices({**GOOD, **change})
    assert refusal.value.message.endswith(".")


@pytest.mark.parametrize("key", ["currency", "date", "gpu_hour"])
def test_what_is_missing_is_named(key: str) -> None:
    with pytest.raises(InvalidRequest, match=f"The prices have no {key}"):
        read_prices({name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize("text", ["", "[", "[]", "3", '"x"', "[" * 100_000])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_prices(text)


def test_an_unknown_gpu_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownGpu, match="H1OO") as raised:
        read_prices({**GOOD, "gpu_hour": {"H1OO": 2}})
    assert "H100" in raised.value.hint and "vram_gb" not in raised.value.hint


def test_a_name_with_two_prices_is_refused() -> None:
    twice = '{"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 2.4, "H100": 9.9}}'
    with pytest.raises(InvalidRequest, match="name 'H100' twice"):
        parse_prices(twice)


def test_the_own_price_wins_and_the_list_has_the_rest() -> None:
    own = read_prices({**GOOD, "others": "list"})
    given, listed = own.quote("L40S", 2), own.quote("L4", 1)
    assert given is not None and listed is not None
    assert (given.per_hour, given.listed, given.date) == (2, False, date(2026, 11, 1))
    assert listed.listed and "RunPod L4" in listed.name
    note = own.note([given, listed], date(2026, 11, 28))
    assert "a quote" in note and listed.date.isoformat() in note
    assert read_prices(GOOD).quote("L4", 1) is None and not read_prices(GOOD).knows("L4")
    euros = read_prices({**GOOD, "currency": "EUR", "others": "list"}, "scaleway")
    scaleway = euros.quote("L4", 2)
    assert scaleway is not None and scaleway.per_hour == 1.575


def test_the_list_is_used_only_where_it_is_asked_for() -> None:
    assert chosen_prices(None) is None and chosen_prices("none") is None
    listed = chosen_prices(" List ")
    assert listed is not None and listed.currency == "USD"
    for text in (None, "none", json.dumps(GOOD)):
        with pytest.raises(InvalidRequest, match="provider is 'aws'"):
            chosen_prices(text, "aws")


def test_the_example_file_is_a_price_list(repository: Path) -> None:
    text = (repository / "examples" / "prices.example.json").read_text(encoding="utf-8")
    assert "H100 SXM5 80GB" in parse_prices(text).gpu_hour
