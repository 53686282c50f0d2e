"""The accuracy benchmark: its page is true, and what was reached stays reached."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.accuracy_report import RECENT, judged, met, report
from benchmarks.cases import StartupCase, load_cases
from benchmarks.grading import grade, reliability, summarise
from benchmarks.holdout import Benchmark, run_benchmark
from benchmarks.inputs import inputs_of

from vllm_preflight.memory.runtime.coefficients import load_coefficients
from vllm_preflight.questions.check import predict_startup


@pytest.fixture(scope="module")
def benchmark() -> Benchmark:
    return run_benchmark()


def case(name: str) -> StartupCase:
    return next(item for item in load_cases() if item.id == name)


def test_the_page_is_what_the_benchmark_gives(benchmark: Benchmark, repository: Path) -> None:
    page = (repository / "docs/accuracy.md").read_text(encoding="utf-8")
    assert page == report(benchmark)


def test_targets_hold_on_sources_the_fit_has_not_seen(benchmark: Benchmark) -> None:
    reached = met(judged(benchmark))
    assert not {name for name, good in reached.items() if not good}


def test_nothing_falls_behind_what_was_reached(benchmark: Benchmark) -> None:
    summary = summarise(benchmark.held_out)
    assert summary.cases >= 80
    assert (summary.tokens_median or 1) <= 0.003
    assert (summary.tokens_mean or 1) <= 0.012
    # 56 of 60: a DSpark draft's own cache is counted, and its unified memory is assumed; of
    # Mistral-Small-3.2 in 0.11 the profile pass took 2.8 GiB less than its tower would, and why
    # is not understood.
    assert (summary.tokens_close or 0) >= 0.93
    # One of 60: two GB10 with a DSpark draft, whose memory the system shares.
    assert (summary.over_promised or 0) <= 0.02
    assert (summary.verdicts_right or 0) >= 0.97
    assert (summary.weights_median or 1) <= 0.01
    assert (summary.activation_median or 1) <= 0.005


def test_recent_releases_hold_their_own_targets(benchmark: Benchmark) -> None:
    recent = summarise([item for item in benchmark.held_out if item.version >= RECENT])
    assert recent.token_cases >= 11
    assert (recent.tokens_median or 1) <= 0.02
    assert (recent.tokens_mean or 1) <= 0.03
    assert (recent.tokens_close or 0) >= 0.9


def test_a_likely_start_starts_and_an_unlikely_one_does_not(benchmark: Benchmark) -> None:
    ranges = {(item.low, item.high): item for item in reliability(benchmark.held_out)}
    assert ranges[0.99, 1].started >= 0.97
    assert ranges[0, 0.05].started <= 0.05


def test_probabilities_of_a_start_are_calibrated(benchmark: Benchmark) -> None:
    for item in reliability(benchmark.held_out):
        # Within two standard errors of so many starts, and a start more or less.
        error = (max(item.predicted * (1 - item.predicted), 0.01) / item.cases) ** 0.5
        assert abs(item.started - item.predicted) <= 2 * error + 1 / item.cases, item


def test_it_beats_constant_overheads(benchmark: Benchmark) -> None:
    ours = summarise(benchmark.held_out)
    assert ours.tokens_mean is not None
    for name, grades in benchmark.baselines.items():
        other = summarise(grades)
        assert other.tokens_mean is not None
        assert ours.tokens_mean < other.tokens_mean / 3, name


def test_no_case_is_graded_on_what_it_was_fitted_on(benchmark: Benchmark) -> None:
    # The only measured source of TP on H100 with 0.19: held out, it falls back on the prior.
    name = "campaign/meta-llama-llama-3-1-8b---tp2pp1dp1--8192"
    held, seen = (
        next(item for item in grades if item.inputs.case.id == name)
        for grades in (benchmark.held_out, benchmark.shipped)
    )
    assert held.non_torch is not None and seen.non_torch is not None
    assert abs(held.non_torch) > 3 * abs(seen.non_torch)


def test_a_grade_compares_with_what_the_run_printed() -> None:
    inputs = inputs_of(case("campaign/meta-llama-llama-3-1-8b---tp1pp1dp1--8192"))
    graded = grade(inputs, load_coefficients())
    assert graded is not None
    assert graded.tokens == pytest.approx(0, abs=0.002)
    assert graded.weights == pytest.approx(0, abs=0.01)
    assert graded.available == pytest.approx(0, abs=0.05)
    assert graded.verdict == "starts"
    assert graded.inside


def test_a_death_after_sizing_counts_as_foreseen_only_with_a_warning() -> None:
    inputs = inputs_of(case("vllm-16342-1"))
    graded = grade(inputs, load_coefficients())
    assert graded is not None
    assert graded.starts == (True, False)
    assert graded.verdict == ("warned" if graded.warned else "missed")


@pytest.mark.parametrize(
    "name",
    [
        "campaign/meta-llama-llama-3-1-8b---tp4pp1dp1--8192",
        "campaign/deepseek-ai-deepseek-v2---tp1pp1dp1--8192",
        "TheBuccaneer-6",
        "storedfile-7292846353-1",
    ],
)
def test_the_answer_a_user_gets_is_what_is_graded(name: str) -> None:
    inputs = inputs_of(case(name))
    graded = grade(inputs, load_coefficients())
    answer = predict_startup(inputs.request, model=inputs.model)
    assert graded is not None and answer.startup is not None
    printed = inputs.case.observed.kv_cache_tokens
    assert printed is not None and answer.startup.kv_cache_tokens is not None
    assert answer.startup.kv_cache_tokens / printed - 1 == pytest.approx(graded.tokens, abs=1e-9)
    assert answer.startup.activation_peak_gib == pytest.approx(
        inputs.case.observed.activation_peak_gib or answer.startup.activation_peak_gib, rel=0.05
    )
