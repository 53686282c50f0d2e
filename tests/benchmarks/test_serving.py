"""Measured serving runs and fitted coefficients are what they say they are."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import fields
from pathlib import Path

import pytest
from benchmarks.serving_cases import FIELDS, PATH, ServingCase, load_serving_cases
from benchmarks.serving_causes import CAUSES
from benchmarks.serving_fit import (
    PRIORS,
    Fitting,
    Residual,
    priors,
    residuals,
    source_of,
    spreads_of,
)
from benchmarks.serving_runs import Run, comparable, run_of

from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.performance.coefficients import METRICS, load_coefficients


@pytest.fixture(scope="module")
def cases() -> list[ServingCase]:
    return load_serving_cases()


@pytest.fixture(scope="module")
def runs(cases: list[ServingCase]) -> list[Run]:
    return comparable(cases)[0]


def test_the_header_explains_every_field() -> None:
    header = json.loads(PATH.read_text(encoding="utf-8").partition("\n")[0])
    assert set(header["fields"]) == set(FIELDS) == {item.name for item in fields(ServingCase)}


def test_names_are_unique_and_what_is_kept_is_complete(cases: list[ServingCase]) -> None:
    assert len({case.id for case in cases}) == len(cases)
    for case in cases:
        if case.excluded:
            continue
        assert case.engine and case.version and case.observed, case.id
        assert case.input_len and case.output_len and case.arrival, case.id
        assert case.gpu and find_gpu(case.gpu).name == case.gpu
        assert case.model and catalog_entry(case.model) is not None
        assert set(case.observed) <= set(METRICS)
        assert set(case.derived) <= set(case.observed)
        assert 0 <= case.prefix_hit_rate < 1


def test_nothing_of_others_texts_is_carried(cases: list[ServingCase]) -> None:
    raw = PATH.read_text(encoding="utf-8")
    assert '"quote"' not in raw and '"notes"' not in raw
    assert all(case.source.startswith("https://") for case in cases)


def test_the_file_is_what_the_script_builds(
    cases: list[ServingCase], shared_dir: Path, repository: Path
) -> None:
    path = repository / "scripts/build_serving_cases.py"
    spec = importlib.util.spec_from_file_location("build_serving_cases", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    built = [ServingCase(**case) for case in module.cases_of(shared_dir)]
    assert built == cases


def test_coefficients_are_within_what_they_can_be() -> None:
    loaded = load_coefficients()
    names = {
        item["name"] for item in json.loads(PRIORS.read_text(encoding="utf-8"))["coefficients"]
    }
    assert {entry.name for entry in loaded.entries} == names
    for entry in loaded.entries:
        assert entry.value > 0 and entry.spread <= entry.prior_spread + 1e-6, entry.name
        assert (entry.basis == "fitted") == bool(entry.samples) == bool(entry.sources)
        moved = abs(math.log(entry.value / entry.prior)) / entry.prior_spread
        assert moved < 3, f"{entry.name} {entry.gpu_class} is {moved:.1f} spreads off its prior"
    # Kernels are measured: what serving runs add stays within a third of them.
    for name in ("gemm", "experts", "decode", "reduce"):
        assert 0.75 < loaded.value(name, "older") < 1.33, name
    assert 0.3 < loaded.value("floor", "older") <= 1
    assert 0 < loaded.value("alike", "older") <= 1


def test_shipped_coefficients_fit_the_runs(runs: list[Run]) -> None:
    found = [item for run in runs for item in residuals(run, load_coefficients())]
    errors = sorted(abs(math.expm1(-item.value)) for item in found if not item.run.case.fit_only)
    assert len(errors) > 2000
    assert errors[len(errors) // 2] < 0.12


def test_a_source_is_one_voice_however_many_runs_it_has(runs: list[Run]) -> None:
    # Nine times the same source beside one run of another: the one still widens the spread.
    one, other = runs[0], next(run for run in runs if run.case.source != runs[0].case.source)
    many = [Residual(one, "tpot_ms", value / 100) for value in range(9)]
    spread = spreads_of(
        [
            Residual(run, metric, value)
            for metric in METRICS
            for run, value in [(item.run, item.value) for item in many] + [(other, -1.0)]
        ]
    )["tpot_ms"]
    assert spread.low == -1.0 and spread.high == pytest.approx(0.08)
    assert (spread.samples, spread.sources) == (10, 2)


def test_priors_are_the_same_for_all_classes_that_kernels_are_measured_of(runs: list[Run]) -> None:
    before = priors(runs)
    assert all(
        entry.value == 1
        for entry in before.entries
        if entry.gpu_class and entry.gpu_class != "instinct"
    )
    assert before.measured_classes == {run.gpu_class for run in runs}


def test_what_is_not_shown_is_not_asked_for(cases: list[ServingCase]) -> None:
    case = next(case for case in cases if case.id == "gpustack/gpustack-qwen3-32b-a100-6")
    # 40,960 tokens do not fit beside 61 GiB of weights; the run must have asked for fewer.
    assert run_of(case).startup.launch.max_model_len < 40_960


def test_the_page_shows_every_target_and_every_run_that_is_missed(repository: Path) -> None:
    page = (repository / "docs/serving_accuracy.md").read_text(encoding="utf-8")
    targets = page.partition("## Targets")[2].partition("## Held-out")[0]
    assert targets.count("| met |") + targets.count("| **missed** |") == 10
    for title in ("By GPU, its own runs held out", "By model, its own runs held out"):
        assert f"## {title}" in page
    assert "roofline of the data sheet" in page and "the first release's model" in page


def test_judged_causes_name_runs(cases: list[ServingCase]) -> None:
    assert all(any(case.id.startswith(start) for case in cases) for start in CAUSES)


def test_the_first_release_estimated_every_run(cases: list[ServingCase]) -> None:
    stored = json.loads((PATH.parent / "first_release_estimates.json").read_text(encoding="utf-8"))
    assert {case.id for case in cases if not case.excluded} == set(stored["estimates"])


def test_a_short_time_to_first_token_has_the_wider_interval() -> None:
    spread = load_coefficients().spreads["ttft_ms"]
    low, high = spread.bounds(20.0, "hopper")
    far_low, far_high = spread.bounds(2000.0, "hopper")
    assert high / low > far_high / far_low
    assert low < 20 < high and far_low < 2000 < far_high


def test_fits_without_a_source_stay_near_the_whole(runs: list[Run]) -> None:
    few = [run for run in runs if run.gpu_class in ("workstation", "instinct")][:40]
    fitting = Fitting(few)
    whole = fitting.coefficients()
    for group, found in fitting.without_each(source_of).items():
        for item in whole.entries:
            assert math.isfinite(found.value(item.name, "older")), group
            assert 0.3 < found.value(item.name, "older") / whole.value(item.name, "older") < 3
