"""find_models: what it names starts by the engine's own check, and no other is named."""

from __future__ import annotations

import pytest

from vllm_preflight.base.errors import UnknownGpu
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.find import FindRequest, FoundModel
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.find_models import find_models

QUESTION = FindRequest(gpu="L40S", family="qwen3", concurrency=8, limit=40)
FOUND = find_models(QUESTION)


@pytest.mark.parametrize("row", FOUND.models, ids=lambda row: row.model)
def test_each_row_starts_by_its_own_command(row: FoundModel) -> None:
    checked = predict_startup(StartupRequest(command=row.serve_command, gpu="L40S", gpus=1))
    assert checked.verdict.start_probability is not None
    assert checked.verdict.start_probability >= 0.95


def test_the_largest_comes_first_and_one_row_a_model() -> None:
    sizes = [row.params_b for row in FOUND.models]
    assert sizes == sorted(sizes, reverse=True)
    assert len({row.model for row in FOUND.models}) == len(FOUND.models) == FOUND.carried


def test_more_memory_finds_no_fewer() -> None:
    small = find_models(QUESTION.model_copy(update={"gpu": "L4"}))
    assert {row.params_b for row in small.models} <= {row.params_b for row in FOUND.models}


def test_sizes_and_families_narrow_the_answer() -> None:
    narrow = find_models(QUESTION.model_copy(update={"max_params_b": 5.0}))
    assert narrow.models and all(row.params_b <= 5 for row in narrow.models)
    assert all("qwen3" in row.model.lower() for row in narrow.models)


def test_nothing_is_found_for_a_workload_no_model_takes() -> None:
    nothing = find_models(FindRequest(gpu="T4", family="qwen3-8b", max_model_len=40_000_000))
    assert nothing.models == [] and nothing.carried == 0


def test_an_unknown_gpu_is_a_sentence() -> None:
    with pytest.raises(UnknownGpu):
        find_models(FindRequest(gpu="H999"))
