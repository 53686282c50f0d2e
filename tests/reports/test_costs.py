"""What a plan costs: the figures of one case by hand, and those of compare's option of its kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.compare import CompareReport, CompareRequest
from vllm_preflight.contract.costs import CostReport
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.offers import load_offers
from vllm_preflight.questions.compare import compare_hardware
from vllm_preflight.questions.plan import plan_deployment
from vllm_preflight.recommend.quotes import STALE_DAYS, ListPrices, days_old

OWN = {"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 4.0}}
LOADED: dict[str, Any] = {
    "gpu": "H100",
    "concurrency": 16,
    "prompt_tokens": 1_000,
    "gen_tokens": 250,
    "prices": OWN,
    "daily_load": "9h@2,15h@0.2",
    "api_price": "0.20/0.60",
}


def plan(**fields: Any) -> PlanResponse:
    return plan_deployment(validate_request(PlanRequest, {"model": "Qwen/Qwen3-32B", **fields}))


def compare(**fields: Any) -> CompareReport:
    asked = {"model": "Qwen/Qwen3-32B", **fields}
    return compare_hardware(validate_request(CompareRequest, asked))


def cost_of(**fields: Any) -> CostReport:
    cost = plan(**fields).cost
    assert cost is not None
    return cost


def about_prices(answer: PlanResponse) -> list[str]:
    words = ("price", "Price", "offer", "cost")
    return [text for text in answer.warnings if any(word in text for word in words)]


def test_the_three_figures_of_a_plan_worked_by_hand() -> None:
    """One H100 at 4.00 an hour, 9 hours at 2 requests a second and 15 at 0.2.

    Requests a day: 9 · 3600 · 2 + 15 · 3600 · 0.2 = 75,600, so 75,600 · 250 = 18.9 million
    generated tokens, for 24 · 4 = 96: 96 / 18.9 = 5.079 a million. A month: 96 · 365 / 12 =
    2,920. The API asks (1000 · 0.20 + 250 · 0.60) / 10⁶ = 0.00035 a request, and 4 / 0.00035 /
    3600 = 3.17 requests a second cost as much as the GPU.
    """
    cost = cost_of(**LOADED)
    assert (cost.currency, cost.per_hour) == ("USD", 4)
    assert cost.per_million_tokens_at_load == 5.079
    assert cost.per_month == 2_920
    assert cost.break_even_requests_per_s == 3.17
    assert cost.sentences[1:] == [
        "At 75,600 requests a day (9h@2,15h@0.2): 5.08 USD a million generated tokens, "
        "2,920 USD a month, day and night.",
        "The API at 0.2/0.6 USD a million tokens is cheaper below 3.17 requests a second: at the "
        "daily load's mean of 0.875 the API is.",
    ]


def test_a_million_tokens_cost_the_hours_they_take() -> None:
    answer = plan(**LOADED)
    assert answer.cost is not None and answer.performance is not None
    hours = 1e6 / answer.performance.output_tokens_per_s / 3600
    assert answer.cost.per_million_tokens == pytest.approx(4 * hours, rel=0.01)
    assert answer.cost.by_load is not None
    for point in answer.cost.by_load:
        tokens = point.requests_per_s * 250 * 3600
        assert point.cost_per_million_tokens == pytest.approx(4 / tokens * 1e6, rel=0.01)


@settings(max_examples=12, deadline=None)
@given(
    gpu=st.sampled_from(["H100", "L40S", "A100-80GB", "RTX 4090"]),
    concurrency=st.integers(1, 40),
    prompt_tokens=st.integers(50, 6_000),
    gen_tokens=st.integers(10, 2_000),
    prices=st.sampled_from(["list", OWN, {**OWN, "others": "list"}]),
    daily_load=st.sampled_from([None, "0.3", "8h@2", "9h@2,15h@0.2"]),
    api_price=st.sampled_from([None, "0.6", "0.15/0.6"]),
)
def test_a_plan_costs_what_compares_option_of_its_kind_costs(
    gpu: str, concurrency: int, prompt_tokens: int, gen_tokens: int, **costs: Any
) -> None:
    asked: dict[str, Any] = {
        "concurrency": concurrency,
        "prompt_tokens": prompt_tokens,
        "gen_tokens": gen_tokens,
        **costs,
    }
    report = compare(gpus=gpu, quantization="none", max_gpus=4, **asked)
    best = report.best
    if best is None:
        return
    answer = plan(model=best.checkpoint, gpu=best.gpu, gpus=best.gpus, **asked)
    if best.cost_per_hour is None:
        assert answer.cost is None
        return
    cost = answer.cost
    assert cost is not None
    assert (cost.per_hour, cost.price) == (best.cost_per_hour, best.price)
    assert cost.per_million_tokens == best.cost_per_million_tokens
    assert cost.by_load == best.cost_by_load
    assert cost.per_million_tokens_at_load == best.cost_per_million_tokens_at_load
    assert cost.per_month == best.cost_per_month
    assert cost.break_even_requests_per_s == best.break_even_requests_per_s


def test_an_instance_type_costs_its_own_price() -> None:
    cost = cost_of(gpu="p5.48xlarge", prices="list")
    (offer,) = [offer for offer in load_offers() if offer.name == "p5.48xlarge"]
    assert cost.per_hour == offer.price_per_hour
    assert cost.price.startswith("AWS p5.48xlarge on demand in ")
    two = cost_of(gpu="p5.48xlarge", nodes=2, prices="list")
    assert two.per_hour == pytest.approx(2 * offer.price_per_hour)
    unpriced = plan(gpu="p5.48xlarge", prices="list", provider="lambda")
    assert unpriced.cost is None
    assert about_prices(unpriced)[0] == (
        "p5.48xlarge has no price; name its GPUs to see what others ask."
    )


def test_all_gpus_that_are_there_are_paid_for() -> None:
    few = {"tensor_parallel_size": 1, "pipeline_parallel_size": 1, "data_parallel_size": 1}
    answer = plan(model="Qwen/Qwen3-0.6B", gpu="H100", gpus=4, prices=OWN, **few)
    assert (answer.hardware.gpus, answer.hardware.gpus_available) == (1, 4)
    assert answer.cost is not None and answer.cost.per_hour == 16


def test_without_a_price_there_is_no_cost_and_a_reason() -> None:
    assert plan(gpu="H100").cost is None and not about_prices(plan(gpu="H100"))
    other = plan(gpu="L40S", prices=OWN)
    assert other.cost is None
    assert "1 GPU has no price (L40S); its cost is not known." in other.warnings
    many = plan(gpu="RTX 4090", gpus=32, prices="list")
    assert many.cost is None
    assert any(text.startswith("No offer has so many GPUs") for text in many.warnings)


def test_without_a_command_there_is_no_cost() -> None:
    answer = plan(gpu="RTX 4090", gpus=1, prices=OWN)
    assert answer.artifacts.serve_command is None and answer.cost is None
    assert about_prices(answer) == ["Without a command to run, no cost is said."]


def test_a_load_that_is_not_served_says_how_to_ask_for_more() -> None:
    cost = cost_of(**{**LOADED, "daily_load": "500"})
    assert cost.per_month is None and cost.per_million_tokens_at_load is None
    assert cost.sentences[1].endswith("plan with more GPUs, or with that as request_rate.")


def test_a_model_that_pools_costs_its_hours() -> None:
    cost = cost_of(**{**LOADED, "model": "Qwen/Qwen3-Embedding-8B", "gen_tokens": 1})
    assert cost.per_hour == 4 and cost.by_load is None and cost.per_million_tokens is None
    assert cost.sentences[1].startswith("How much of the daily load it serves is not known")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"api_price": "0.6"}, "api_price is given, but no prices"),
        ({"daily_load": "2"}, "daily_load is given, but no prices"),
        ({"provider": "aws"}, "provider is 'aws'"),
        ({"prices": "list", "provider": "awz"}, "no provider 'awz'. Did you mean aws?"),
        ({"prices": "list", "daily_load": "30h@1"}, "30 hours"),
        ({"prices": "{}"}, "The prices have no currency."),
    ],
)
def test_what_says_nothing_is_refused_before_a_model_is_read(
    fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        plan(model="nobody/such-model", **fields)
    assert words in refusal.value.message


def test_every_offer_says_its_day_and_those_too_old_say_so() -> None:
    for offer in load_offers():
        prices = ListPrices((offer,), offer.currency)
        quote = prices.quote(offer.gpu, offer.gpus)
        assert quote is not None
        age = days_old(offer.date)
        assert f"of {offer.date.isoformat()} ({age} days old)" in quote.text()
        note = prices.note([quote])
        assert offer.date.isoformat() in note
        assert (f"days old, check them: {quote.name}." in note) == (age > STALE_DAYS)


@pytest.mark.parametrize(("age", "warned"), [(90, False), (91, True)])
def test_a_plan_says_plainly_that_its_price_is_old(age: int, warned: bool) -> None:
    day = (datetime.now(UTC).date() - timedelta(days=age)).isoformat()
    answer = plan(gpu="H100", prices={**OWN, "date": day})
    assert answer.cost is not None
    assert f"of {day} ({age} days old)" in answer.cost.price
    assert f"({age} days old)" in answer.cost.sentences[0]
    assert any("more than 90 days, check them" in text for text in answer.warnings) == warned
