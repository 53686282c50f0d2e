"""A plan says how fast it serves, how sure that is, and what a target comes to."""

from __future__ import annotations

import pytest

from vllm_preflight.contract.performance import PerfEstimate
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.questions.plan import plan_deployment


def plan(**changes: object) -> PlanResponse:
    fields: dict[str, object] = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 16}
    return plan_deployment(PlanRequest.model_validate({**fields, **changes}))


def speed(response: PlanResponse) -> PerfEstimate:
    assert response.performance is not None
    return response.performance


def test_figures_agree_with_each_other() -> None:
    found = speed(plan(prompt_tokens=1000, gen_tokens=500))
    assert found.output_tokens_per_s == pytest.approx(found.requests_per_s * 500, rel=0.02)
    assert found.total_tokens_per_s == pytest.approx(found.requests_per_s * 1500, rel=0.02)
    assert found.output_tokens_per_s_per_request == pytest.approx(1e3 / found.tpot_ms, rel=0.02)
    whole = found.ttft_ms + 499 * found.tpot_ms
    assert found.latency_ms == pytest.approx(whole, rel=0.02)


def test_intervals_name_fields_and_hold_them() -> None:
    found = speed(plan())
    for name, (low, high) in found.interval.items():
        assert low < getattr(found, name) < high


def test_the_curve_goes_from_one_request_to_more_than_run() -> None:
    curve = speed(plan()).curve or []
    assert curve[0].concurrency == 1
    assert curve[-1].concurrency >= speed(plan()).running
    assert [point.output_tokens_per_s for point in curve] == sorted(
        point.output_tokens_per_s for point in curve
    )


def test_a_concise_answer_keeps_figures_and_drops_curve_and_terms() -> None:
    full = plan()
    short = speed(full.concise())
    assert short.curve is None and short.terms is None
    assert short.tpot_ms == speed(full).tpot_ms and short.interval == speed(full).interval


@pytest.mark.design("4: every answer is a list of terms with their source")
def test_every_term_says_where_it_is_from() -> None:
    terms = speed(plan(tensor_parallel_size=2)).terms or []
    names = {term.name for term in terms}
    assert {"decode_step_dense", "decode_step_communication", "memory_bandwidth", "link"} <= names
    assert all(term.formula and term.source and term.basis for term in terms)
    parts = sum(float(term.value or 0) for term in terms if term.name.startswith("decode_step"))
    # Prompts of other requests come on top of the steps that only decode.
    assert 0.7 < parts / speed(plan(tensor_parallel_size=2)).tpot_ms < 1


def test_a_target_that_is_reached_is_a_next_step() -> None:
    response = plan(target_latency_ms=20_000)
    target = speed(response).target
    assert target is not None and target.reached and (target.max_concurrency or 0) >= 16
    assert any("is reached on 1 × H100" in step for step in response.next_steps)


def test_a_target_decides_how_many_gpus_are_needed() -> None:
    one = plan(target_latency_ms=4000, gpus=1)
    target = speed(one).target
    assert target is not None and not target.reached
    assert any("is not reached on 1 × H100" in warning for warning in one.warnings)
    response = plan(target_latency_ms=4000)
    assert response.hardware.gpus > 1
    reached = speed(response).target
    assert reached is not None and reached.reached


def test_a_missed_target_is_told_by_the_time_that_is_wanted() -> None:
    response = plan(target_ttft_ms=20, gpus=1)
    alone = plan(concurrency=1, gpus=1)
    told = next(warning for warning in response.warnings if "is not reached" in warning)
    assert told.endswith(f"about {speed(alone).ttft_ms:g} ms to the first token.")


def test_a_target_nothing_reaches_is_said() -> None:
    response = plan(target_latency_ms=5)
    assert any("is not reached" in warning for warning in response.warnings)


def test_an_unknown_card_gets_no_estimate_and_hears_why() -> None:
    response = plan(gpu="Brand New 9000", vram_gb=96)
    assert response.performance is None
    assert any("memory bandwidth" in warning for warning in response.warnings)


def test_a_launch_that_does_not_start_has_no_speed() -> None:
    response = plan(model="meta-llama/Llama-3.1-70B-Instruct", gpu="RTX 4090", gpus=1)
    assert response.performance is None
    assert not any("No speed" in warning for warning in response.warnings)
