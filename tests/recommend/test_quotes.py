"""Quotes of the built-in list: machines are rented whole, and each price shows its day."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.hardware.offers import load_offers
from vllm_preflight.recommend.quotes import ListPrices, list_prices

H100 = "H100 SXM5 80GB"


def test_a_machine_that_holds_the_gpus_is_rented_whole() -> None:
    prices = list_prices("AWS")
    one, two, nodes = prices.quote(H100, 1), prices.quote(H100, 2), prices.quote(H100, 16, 2)
    assert one is not None and two is not None and nodes is not None
    assert (one.per_hour, two.per_hour, nodes.per_hour) == (6.88, 55.04, 110.08)
    assert "2 of 8 GPUs used" in two.name and nodes.name.startswith("2 × AWS p5.48xlarge on")
    assert prices.quote(H100, 16) is None


def test_gpus_by_the_piece_cost_by_the_piece() -> None:
    quote = list_prices("runpod community").quote(H100, 2)
    assert quote is not None and quote.per_hour == pytest.approx(5.38)
    assert quote.name.startswith("2 × RunPod Community H100 SXM on demand")


def test_the_cheapest_offer_is_quoted() -> None:
    prices = list_prices()
    quote = prices.quote(H100, 8)
    assert quote is not None
    alternatives = [list_prices(offer.provider).quote(H100, 8) for offer in prices.offers]
    assert quote.per_hour == min(other.per_hour for other in alternatives if other is not None)


def test_one_list_has_one_currency() -> None:
    assert {offer.currency for offer in list_prices().offers} == {"USD"}
    assert list_prices("scaleway").currency == "EUR"
    assert list_prices("scaleway, aws").currency == "USD"
    with pytest.raises(InvalidRequest, match="in EUR, not in USD"):
        list_prices("scaleway", "USD")


@pytest.mark.parametrize(
    ("spoken", "providers"),
    [
        ("aws", {"AWS"}),
        ("Google Cloud, oracle", {"GCP", "OCI"}),
        ("runpod", {"RunPod", "RunPod Community", "RunPod Secure"}),
        ("DataCrunch", {"Verda"}),
        ("", {offer.provider for offer in load_offers() if offer.currency == "USD"}),
    ],
)
def test_providers_by_their_names(spoken: str, providers: set[str]) -> None:
    assert {offer.provider for offer in list_prices(spoken).offers} == providers


def test_an_unknown_provider_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidRequest, match="no provider 'lamda'") as refusal:
        list_prices("lamda")
    assert "Did you mean lambda?" in refusal.value.message and "Azure" in refusal.value.hint


def test_the_age_is_shown_and_old_prices_are_named() -> None:
    prices = list_prices("aws")
    quote = prices.quote("L4", 1)
    assert quote is not None
    later = quote.date + timedelta(days=91)
    assert quote.text(later).endswith(f"of {quote.date.isoformat()} (91 days old)")
    assert "check them: AWS g6.xlarge" in prices.note([quote], later)
    assert "check" not in prices.note([quote], quote.date + timedelta(days=90))
    assert "none of them is used" in ListPrices((), "USD").note([], date(2026, 1, 1))
