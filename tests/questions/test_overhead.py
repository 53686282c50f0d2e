"""The overhead formula's answer, and the predicted runtime memory beside it."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest, UnknownGpu
from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.contract.overhead import OverheadReport, OverheadRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.overhead import overhead_report


def overhead(**fields: Any) -> OverheadReport:
    return overhead_report(validate_request(OverheadRequest, fields))


@pytest.mark.design("3: compute_overhead gives its known answers")
@pytest.mark.parametrize(
    ("fields", "gib", "method"),
    [
        ({"vram_total_gib": 24}, 1.0, "formula"),
        ({"vram_total_gib": 80}, 1.6, "formula"),
        ({"vram_total_gib": 24, "tensor_parallel_size": 2}, 1.25, "formula"),
        ({"vram_total_gib": 80, "tensor_parallel_size": 4}, 2.35, "formula"),
        ({"vram_total_gib": 80, "overhead_gb": 2.5}, 2.5, "fixed"),
        ({"vram_total_gib": 80, "overhead_gb": 0}, 0, "fixed"),
    ],
)
def test_known_answers(fields: dict[str, Any], gib: float, method: str) -> None:
    report = overhead(**fields)
    assert report.overhead_bytes == round(gib * BYTES_TO_GIB)
    assert report.method == method
    assert sum(term.bytes or 0 for term in report.terms) == report.overhead_bytes


def test_a_model_on_a_gpu_sets_the_prediction_beside_the_formula() -> None:
    plain = overhead(vram_total_gib=160, tensor_parallel_size=2)
    beside = overhead(
        vram_total_gib=160, tensor_parallel_size=2, model="Qwen/Qwen3-32B", gpu="H100"
    )
    assert beside.overhead_bytes == plain.overhead_bytes
    assert beside.terms == plain.terms
    assert plain.fitted_per_gpu_gib is None and plain.fitted_terms_per_gpu is None
    assert beside.fitted_per_gpu_gib is not None and beside.fitted_all_gpus_gib is not None
    assert beside.fitted_all_gpus_gib == pytest.approx(2 * beside.fitted_per_gpu_gib, abs=0.02)
    difference = beside.fitted_all_gpus_gib - beside.overhead_gib
    assert beside.fitted_difference_all_gpus_gib == pytest.approx(difference, abs=0.02)


def test_the_parts_of_the_prediction_make_the_memory_of_one_gpu() -> None:
    answer = overhead(gpu="H100", tensor_parallel_size=2, model="Qwen/Qwen3-32B")
    assert answer.fitted_terms_per_gpu is not None and answer.fitted_per_gpu_gib is not None
    parts = sum(term.bytes or 0 for term in answer.fitted_terms_per_gpu)
    assert parts / BYTES_TO_GIB == pytest.approx(answer.fitted_per_gpu_gib, abs=0.02)


def test_a_comparison_needs_both_model_and_gpu() -> None:
    with pytest.raises(InvalidRequest, match="needs a gpu too"):
        overhead(vram_total_gib=80, model="Qwen/Qwen3-32B")
    with pytest.raises(InvalidRequest, match="needs a model too"):
        overhead(vram_total_gib=80, gpu="H100")
    with pytest.raises(UnknownGpu):
        overhead(vram_total_gib=80, model="Qwen/Qwen3-32B", gpu="H9000")


def test_the_size_is_the_gpus_where_only_that_is_named() -> None:
    answer = overhead(gpu="H100", tensor_parallel_size=2)
    # 2 % of twice 79.19 GiB, and a quarter GiB for the second GPU.
    assert answer.overhead_gib == pytest.approx(0.02 * 2 * 79.19 + 0.25, abs=0.001)
    with pytest.raises(InvalidRequest, match="Neither vram_total_gib nor gpu"):
        overhead()
