"""compare_hardware: one model on many GPUs, its answer and its refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest, UnknownGpu
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.compare import CompareReport, CompareRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.compare import chosen_gpus, compare_hardware, most_gpus
from vllm_preflight.questions.plan import plan_deployment

PRICES = {
    "currency": "EUR",
    "date": "2026-11-01",
    "gpu_hour": {"H100": 2.4, "L40S": 1.1, "A100-80GB": 1.6},
}


def compare(**fields: Any) -> CompareReport:
    given = {"model": "Qwen/Qwen3-32B", "gpus": "H100, L40S, A100-80GB, L4", **fields}
    return compare_hardware(validate_request(CompareRequest, given))


def test_each_gpu_has_its_best_option_and_the_best_its_command() -> None:
    report = compare(concurrency=16)
    assert {row.gpu for row in report.options} == {
        "H100 SXM5 80GB",
        "L40S",
        "A100 SXM4 80GB",
        "L4",
    }
    assert report.best is not None and report.best == report.options[0]
    assert report.verdict.outcome == "carries"
    assert report.serve_command is not None
    for row in report.options:
        assert row.requests_at_once >= 16
        assert row.gpus in (1, 2, 4, 8)


def test_the_command_is_plans_own() -> None:
    report = compare(concurrency=16)
    assert report.best is not None
    asked = {"model": report.best.checkpoint, "gpu": report.best.gpu, "gpus": report.best.gpus}
    plan = plan_deployment(validate_request(PlanRequest, {**asked, "concurrency": 16}))
    assert plan.artifacts.serve_command == report.serve_command


def test_the_command_starts_and_holds_the_cache_that_is_said() -> None:
    report = compare(concurrency=32, prompt_tokens=6_000, gen_tokens=500)
    assert report.best is not None and report.serve_command is not None
    answer = predict_startup(
        validate_request(StartupRequest, {"command": report.serve_command, "gpu": report.best.gpu})
    )
    assert (answer.verdict.start_probability or 0) >= 0.95
    assert answer.startup.max_model_len == report.best.max_model_len


def test_without_prices_no_cost_is_said() -> None:
    report = compare()
    assert all(row.cost_per_hour is None for row in report.options)
    with pytest.raises(InvalidRequest, match="no prices"):
        compare(optimise="cheapest")


def test_the_cheapest_is_the_cheapest_and_unpriced_cards_come_last() -> None:
    report = compare(optimise="cheapest", prices=PRICES, concurrency=8)
    costs = [row.cost_per_hour for row in report.options]
    known = [cost for cost in costs if cost is not None]
    assert known == sorted(known) and costs == [*known, None]
    assert report.options[-1].gpu == "L4"
    assert any("2026-11-01" in warning and "EUR" in warning for warning in report.warnings)
    assert any("1 GPU has no price (L4)" in warning for warning in report.warnings)


def test_a_million_tokens_cost_the_hours_they_take() -> None:
    row = compare(prices=PRICES, concurrency=8).options[0]
    assert row.cost_per_hour and row.output_tokens_per_s and row.cost_per_million_tokens
    hours = 1_000_000 / row.output_tokens_per_s / 3600
    assert row.cost_per_million_tokens == pytest.approx(row.cost_per_hour * hours, rel=0.01)
    assert compare(concurrency=8).options[0].cost_per_million_tokens is None


def test_old_prices_are_warned_of() -> None:
    old = datetime.now(UTC).date() - timedelta(days=91)
    report = compare(prices={**PRICES, "date": old.isoformat()})
    assert any("more than 90 days" in warning for warning in report.warnings)


def test_prices_may_be_json_text() -> None:
    assert compare(prices=json.dumps(PRICES)).options[0].cost_per_hour is not None


def test_nothing_that_does_is_an_answer() -> None:
    report = compare(gpus="L4", max_gpus=1, concurrency=500)
    assert report.best is None and report.options == []
    assert "none of 1 kinds" in report.verdict.sentence
    assert report.excluded and report.excluded[0].gpus == 1
    assert report.next_steps


def test_lists_are_cut_and_say_so() -> None:
    report = compare(gpus="all", limit=3, concurrency=4)
    assert len(report.options) == 3
    assert any(text.startswith("options: ") for text in report.has_more)


def test_a_length_that_is_given_is_what_every_request_takes() -> None:
    short, long = compare(concurrency=4), compare(concurrency=4, max_model_len=32_768)
    assert "768 tokens" in short.verdict.sentence and "32,768 tokens" in long.verdict.sentence
    assert all(row.max_model_len == 32_768 for row in long.options)


def test_a_precision_that_is_given_is_kept() -> None:
    report = compare(quantization="none", kv_cache_dtype="fp8")
    assert {row.precision for row in report.options} == {"16 bit"}
    assert "--kv-cache-dtype fp8" in (report.serve_command or "")


def test_a_variant_is_named_with_its_checkpoint() -> None:
    report = compare(gpus="RTX 4090", max_gpus=1)
    assert report.best is not None and report.best.checkpoint == "Qwen/Qwen3-32B-AWQ"
    assert report.serve_command is not None
    assert report.serve_command.startswith("vllm serve Qwen/Qwen3-32B-AWQ")


def test_what_nobody_would_wait_for_is_left_out() -> None:
    fields: dict[str, Any] = {"concurrency": 8, "gpus": "H100, L40S", "quantization": "none"}
    fields["max_gpus"] = 2
    quick = compare(**fields, target_latency_ms=8_000)
    assert [row.gpu for row in quick.options] == ["H100 SXM5 80GB"]
    assert "slower" in quick.excluded[0].reason
    assert len(compare(**fields).options) == 2


def test_speed_is_estimated_where_the_card_is_known() -> None:
    report = compare(gpus="H100, RTX A2000 12GB", quantization="fp8", concurrency=1)
    speeds = {row.gpu: row.output_tokens_per_s for row in report.options}
    assert (speeds["H100 SXM5 80GB"] or 0) > 1


def test_gpus_are_named_as_people_do() -> None:
    gpus, warnings = chosen_gpus("h100,  H100 SXM5 80GB, rtx 4090,, MI300X")
    assert [gpu.name for gpu in gpus] == ["H100 SXM5 80GB", "GeForce RTX 4090"]
    assert warnings == ["Left out, as only vLLM's rules on CUDA are known: Instinct MI300X."]
    assert len(chosen_gpus("all")[0]) > len(chosen_gpus("")[0]) > 10


def test_instance_types_and_counts_name_the_card_and_how_many_there_are() -> None:
    gpus, warnings = chosen_gpus("g6e.12xlarge, 2x RTX 3090")
    assert [gpu.name for gpu in gpus] == ["L40S", "GeForce RTX 3090"]
    assert warnings == ["g6e.12xlarge (AWS) has 4 × L40S."]
    assert most_gpus("g6e.12xlarge, 2x RTX 3090", 8) == 4
    assert most_gpus("p5.48xlarge", 2) == 2
    assert most_gpus("g6e.12xlarge, H100", 8) == most_gpus("all", 8) == most_gpus("", 8) == 8


def test_a_list_of_names_is_taken_as_their_text() -> None:
    request = validate_request(CompareRequest, {"model": "m", "gpus": ["H100", "2x3090"]})
    assert request.gpus == "H100,2x3090"


def test_names_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UnknownGpu):
        chosen_gpus("H100, H1000")
    with pytest.raises(InvalidRequest, match="CUDA"):
        chosen_gpus("MI300X")


def test_the_same_question_has_the_same_answer() -> None:
    assert compare(concurrency=9).to_json_dict() == compare(concurrency=9).to_json_dict()


def test_tokens_cost_more_where_fewer_requests_arrive() -> None:
    prices = '{"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 2.4, "L40S": 1.0}}'
    answer = compare(gpus="H100,L40S", concurrency=16, prices=prices)
    assert answer.best is not None and answer.best.cost_by_load is not None
    points = answer.best.cost_by_load
    rates = [point.requests_per_s for point in points]
    costs = [point.cost_per_million_tokens for point in points]
    assert rates == sorted(rates) and costs == sorted(costs, reverse=True)
    # Idle GPUs cost as much: the cost of an hour over the tokens that arrive in it.
    assert answer.best.cost_per_hour is not None
    for rate, cost in zip(rates, costs, strict=True):
        tokens = rate * 256 * 3600
        assert cost == pytest.approx(answer.best.cost_per_hour / tokens * 1e6, rel=0.01)
    # Only the best option carries the curve.
    assert all(option.cost_by_load is None for option in answer.options)
    assert compare(gpus="H100", concurrency=16).best.cost_by_load is None  # type: ignore[union-attr]


LOADED: dict[str, Any] = {
    "gpus": "H100, L40S",
    "concurrency": 16,
    "prompt_tokens": 1_000,
    "gen_tokens": 250,
    "prices": {"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 4.0}},
    "api_price": "0.20/0.60",
}


def test_the_costs_of_an_option_are_those_worked_by_hand() -> None:
    """The case of tests/recommend/test_costs.py: 4.00 an hour, 75,600 requests a day."""
    best = compare(**LOADED, daily_load="9h@2,15h@0.2").best
    assert best is not None and (best.gpu, best.gpus) == ("H100 SXM5 80GB", 1)
    assert best.cost_per_hour == 4
    assert best.cost_per_million_tokens_at_load == 5.079
    assert best.cost_per_month == 2_920
    assert best.break_even_requests_per_s == 3.17


def test_costs_are_said_in_sentences_with_the_side_that_is_cheaper() -> None:
    costs = compare(**LOADED, daily_load="9h@2,15h@0.2").costs
    assert costs[0].startswith("4.00 USD an hour: 1 × 4 of the prices given, of 2026-11-01 (")
    assert costs[1] == (
        "At 75,600 requests a day (9h@2,15h@0.2): 5.08 USD a million generated tokens, "
        "2,920 USD a month, day and night."
    )
    assert "3.17 requests a second" in costs[2]
    cheap = compare(**{**LOADED, "api_price": "0.001"}).costs
    assert "is cheaper at any load" in cheap[-1]
    dear = compare(**{**LOADED, "api_price": "20"}, daily_load="8h@1").costs
    assert "rented hours alone" in dear[1] and dear[-1].endswith("renting is.")


def test_a_load_that_is_not_served_has_no_cost() -> None:
    answer = compare(**LOADED, daily_load="500")
    assert answer.best is not None and answer.best.cost_per_month is None
    assert answer.best.cost_per_million_tokens_at_load is None
    assert "not the 500 of the daily load" in answer.costs[1]


def test_the_built_in_list_says_provider_region_and_day() -> None:
    answer = compare(concurrency=8, prices="list", provider="aws, azure", optimise="cheapest")
    for row in answer.options:
        assert row.cost_per_hour is not None and row.price is not None
        assert row.price.partition(" ")[0] in {"AWS", "Azure"} or " × A" in row.price
        assert "on demand in" in row.price and " days old)" in row.price
    assert any(text.startswith("List prices in USD") for text in answer.warnings)
    costs = [row.cost_per_hour or 0 for row in answer.options]
    assert costs == sorted(costs)


def test_an_option_that_no_machine_of_the_list_holds_says_so() -> None:
    answer = compare(gpus="RTX 4090", quantization="none", prices="list", provider="runpod")
    (row,) = answer.options
    assert row.gpus > 1 and row.cost_per_hour is None and answer.costs == []
    said = f"No offer has so many GPUs in one machine: {row.gpus} × GeForce RTX 4090."
    assert said in answer.warnings


@pytest.mark.parametrize("field", [{"daily_load": "1"}, {"api_price": "1"}, {"provider": "aws"}])
def test_what_needs_prices_is_refused_without(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="list"):
        compare(**field)


@pytest.mark.parametrize(
    ("model", "gpu", "workload"),
    [
        # A coarser checkpoint, on fewer GPUs than the one that was named.
        ("Qwen/Qwen3-32B", "RTX 4090", {"concurrency": 4}),
        ("Qwen/Qwen3-30B-A3B", "L4", {"concurrency": 8, "prompt_tokens": 1000}),
        # Its own weights made coarser while it starts.
        ("01-ai/Yi-34B-Chat", "RTX 3060 12GB", {"concurrency": 8, "vllm_version": "0.8.5"}),
        ("meta-llama/Llama-3.3-70B-Instruct", "H100", {"concurrency": 32}),
        ("google/gemma-3-27b-it", "A100-40GB", {"concurrency": 2}),
    ],
)
def test_the_command_is_plans_own_for_the_row(
    model: str, gpu: str, workload: dict[str, Any]
) -> None:
    report = compare(model=model, gpus=gpu, **workload)
    best = report.best
    assert best is not None
    made = {"quantization": "fp8"} if "online" in best.precision else {}
    asked = {"model": best.checkpoint, "gpu": gpu, "gpus": best.gpus, **made, **workload}
    plan = plan_deployment(validate_request(PlanRequest, asked))
    assert plan.artifacts.serve_command == report.serve_command
    # Where as many GPUs carry the checkpoint that was named, no other is taken.
    named = plan_deployment(validate_request(PlanRequest, {**asked, "model": model, **workload}))
    assert best.checkpoint == model or named.verdict.outcome != "carries"
