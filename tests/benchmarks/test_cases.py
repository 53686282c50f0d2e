"""The measured start-ups are what their header says, and say nothing twice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from benchmarks.cases import FIELDS, PATH, StartupCase, load_cases

from vllm_preflight.hardware.catalog import gpu_names
from vllm_preflight.models.catalog.entries import catalog_ids


@pytest.fixture(scope="module")
def cases() -> list[StartupCase]:
    return load_cases()


def usable(cases: list[StartupCase]) -> list[StartupCase]:
    return [case for case in cases if case.excluded is None]


def test_header_explains_every_field_and_is_dated() -> None:
    first, *lines = PATH.read_text(encoding="utf-8").splitlines()
    header = json.loads(first)
    assert header["schema"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", header["date"])
    assert header["fields"] == dict(FIELDS)
    for line in lines:
        assert set(json.loads(line)) <= set(FIELDS)
    assert PATH.stat().st_size < 300_000


def test_ids_are_unique_and_all_records_are_kept(cases: list[StartupCase]) -> None:
    assert len({case.id for case in cases}) == len(cases) == 39 + 268
    assert len(usable(cases)) >= 100


def test_sources_are_repositories_or_threads(cases: list[StartupCase]) -> None:
    pattern = r"github\.com/[^/]+/[^/#]+(#\d+)?|public-file:\d+|llm-d-planner.*|myoceane\.fr/.*"
    assert [case.source for case in cases if not re.fullmatch(pattern, case.source)] == []
    assert len({case.source for case in usable(cases)}) >= 40


def test_versions_are_releases(cases: list[StartupCase]) -> None:
    assert [
        c.version for c in cases if c.version and not re.fullmatch(r"0\.\d+\.\d+", c.version)
    ] == []


def test_models_are_catalogued(cases: list[StartupCase]) -> None:
    known = set(catalog_ids())
    named = {case.model for case in cases if case.model} | {c.stand_in for c in cases if c.stand_in}
    assert named <= known
    assert all(case.model or case.stand_in for case in usable(cases))


def test_gpus_are_catalogued(cases: list[StartupCase]) -> None:
    named = {case.gpu for case in cases if case.gpu}
    assert named <= set(gpu_names())
    assert len(named) >= 12


def test_memory_figures_are_plausible(cases: list[StartupCase]) -> None:
    for case in cases:
        seen = case.observed
        total = case.total_gib or 300
        for value in (
            seen.weights_gib,
            seen.activation_peak_gib,
            seen.non_torch_gib,
            seen.cuda_graph_gib,
            seen.requested_gib,
            seen.free_gib_at_start,
        ):
            assert value is None or 0 <= value <= total, case.id
        if case.observed.available_kv_gib is not None and case.starts:
            assert 0 < case.observed.available_kv_gib < total, case.id


def test_terms_of_the_campaign_add_up(cases: list[StartupCase]) -> None:
    """Requested = weights + activation + non-torch + KV, to the digits that are printed."""
    checked = 0
    for case in cases:
        seen = case.observed
        if not case.source.startswith("llm-d-planner") or seen.activation_peak_gib is None:
            continue
        assert seen.requested_gib is not None and seen.weights_gib is not None
        assert seen.non_torch_gib is not None and seen.available_kv_gib is not None
        parts = seen.weights_gib + seen.activation_peak_gib + seen.non_torch_gib
        assert parts + seen.available_kv_gib == pytest.approx(seen.requested_gib, abs=0.025), (
            case.id
        )
        checked += 1
    assert checked == 34


def test_only_failed_starts_have_a_kind_of_failure(cases: list[StartupCase]) -> None:
    assert [case.id for case in cases if case.failure and case.starts is not False] == []
    kinds = {case.failure for case in usable(cases) if case.failure}
    assert {"weights_do_not_fit", "kv_cache_too_small", "mamba_blocks_too_few"} <= kinds


def test_figures_of_one_thread_come_through(cases: list[StartupCase]) -> None:
    case = next(case for case in cases if case.id == "storedfile-7292846353-1")
    assert case.model == "Qwen/Qwen3-Next-80B-A3B-Instruct"
    assert case.gpu == "H200 SXM 141GB"
    assert (case.total_gib, case.gpus, case.args) == (139.81, 2, {"tensor_parallel_size": 2})
    assert case.observed.num_gpu_blocks == 7162
    assert case.observed.kv_cache_tokens == 973_760


def test_the_file_is_what_its_script_writes(shared_dir: Path, repository: Path) -> None:
    """Nobody edits the data by hand: the script reproduces it from the sources."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "build_startup_cases", repository / "scripts/build_startup_cases.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    data = shared_dir / "data"
    rebuilt = [
        module.tidy(case) for case in (*module.campaign_cases(data), *module.collected_cases(data))
    ]
    lines = PATH.read_text(encoding="utf-8").splitlines()[1:]
    assert rebuilt == [json.loads(line) for line in lines]
