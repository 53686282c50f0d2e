"""A calibration moves the predicted terms by what a log measured, and nothing else."""

from __future__ import annotations

import json

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupReport, StartupRequest
from vllm_preflight.contract.explain import Calibration
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.memory.runtime.calibration import parse_calibration
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
GPU = "H100 SXM5 80GB"
FIGURES = {
    "weights_gib": 0.25,
    "activation_gib": -0.5,
    "non_torch_gib": 1.0,
    "cuda_graph_gib": 2.0,
}


def predict(calibration: Calibration | None = None, **fields: object) -> StartupReport:
    request = {"model": MODEL, "gpu": GPU, "vllm_version": "0.19.0", "max_model_len": 8192}
    text = None if calibration is None else json.dumps(calibration.to_json_dict())
    return predict_startup(
        StartupRequest.model_validate({**request, "calibration": text, **fields})
    ).startup


def of(**fields: object) -> Calibration:
    whole = {"model": MODEL, "gpu": GPU, "vllm_version": "0.19.0", **FIGURES, **fields}
    return Calibration.model_validate(whole)


def test_terms_move_by_the_calibration() -> None:
    plain, moved = predict(), predict(of())
    for name in ("weights_gib", "non_torch_gib", "cuda_graph_gib"):
        before, after = getattr(plain, name), getattr(moved, name)
        assert after - before == pytest.approx(FIGURES[name], abs=0.011)
    assert plain.activation_peak_gib and moved.activation_peak_gib
    assert moved.activation_peak_gib - plain.activation_peak_gib == pytest.approx(-0.5, abs=0.011)
    # 0.19 does not take graphs from the cache's share.
    assert plain.available_kv_cache_gib and moved.available_kv_cache_gib
    change = moved.available_kv_cache_gib - plain.available_kv_cache_gib
    assert change == pytest.approx(-0.75, abs=0.011)
    assert {term.name for term in moved.terms or []} >= {f"calibration_{n}" for n in ("weights",)}


def test_a_measured_budget_narrows_the_interval() -> None:
    def width(report: StartupReport) -> float:
        assert report.interval is not None
        low, high = report.interval.available_kv_cache_gib
        return high - low

    assert width(predict(of())) <= width(predict())
    weights_only = of(activation_gib=None, non_torch_gib=None, cuda_graph_gib=None)
    assert width(predict(weights_only)) == pytest.approx(width(predict()), abs=0.011)


def test_later_versions_charge_the_graphs() -> None:
    charged = of(vllm_version="0.22.0", weights_gib=None, activation_gib=None, non_torch_gib=None)
    plain = predict(vllm_version="0.22.0").available_kv_cache_gib
    moved = predict(charged, vllm_version="0.22.0").available_kv_cache_gib
    assert plain and moved and moved - plain == pytest.approx(-2.0, abs=0.011)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": "Qwen/Qwen3-8B"}, "model"),
        ({"gpu": "L4"}, "GPU"),
        ({"vllm_version": "0.24.0"}, "vLLM"),
        ({"tensor_parallel_size": 2}, "tensor-parallel"),
        ({"pipeline_parallel_size": 2}, "pipeline-parallel"),
    ],
)
def test_a_calibration_of_another_launch_is_not_applied(
    fields: dict[str, object], named: str
) -> None:
    plain, moved = predict(), predict(of(**fields))
    assert moved.available_kv_cache_gib == plain.available_kv_cache_gib
    assert any("not applied" in text and named in text for text in moved.warnings)


def test_no_term_falls_below_zero() -> None:
    report = predict(of(activation_gib=-500.0, non_torch_gib=-500.0))
    assert (report.activation_peak_gib, report.non_torch_gib) == (0.0, 0.0)


def test_plans_accept_it_too() -> None:
    request = {"model": MODEL, "gpu": GPU, "gpus": 1, "vllm_version": "0.19.0"}
    text = json.dumps(of().to_json_dict())
    plain = plan_deployment(PlanRequest.model_validate(request)).startup
    moved = plan_deployment(PlanRequest.model_validate({**request, "calibration": text})).startup
    assert plain and moved and plain.weights_gib and moved.weights_gib
    assert moved.weights_gib - plain.weights_gib == pytest.approx(0.25, abs=0.011)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"model": "m"}',
        json.dumps({**of().to_json_dict(), "weights_gib": 1e9}),
        json.dumps({**of().to_json_dict(), "weights_gib": float("nan")}),
        json.dumps({**of().to_json_dict(), "surprise": 1}),
        "[" * 5000,
    ],
)
def test_what_is_no_calibration_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="calibration"):
        parse_calibration(text)


def test_none_stays_none() -> None:
    assert parse_calibration(None) is None
