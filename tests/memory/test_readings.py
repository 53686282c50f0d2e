"""What no source states of a model decides nothing: both readings, or not modelled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.models.catalog_models import LENGTH
from vllm_preflight.models.model import Assumption, Model
from vllm_preflight.models.overrides import override_config, override_parameters
from vllm_preflight.models.sources import load_model
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.compare import compare_hardware
from vllm_preflight.questions.plan import plan_deployment

SETTLE = "Give the folder that holds the model's config.json."
HALF = Assumption("quantization_config", "16-bit weights", "Storage is open.", SETTLE, 0.5)
OPEN_LENGTH = Assumption(LENGTH, "40,960 tokens", "The length is open.", SETTLE)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("Qwen/Qwen3-8B", source="catalog")


def check(model: Model, gpu: str, **fields: object):
    request = validate_request(StartupRequest, {"model": model.id, "gpu": gpu, **fields})
    return predict_startup(request, model=model)


def test_both_readings_start_and_the_interval_covers_both(model: Model) -> None:
    plain = check(model, "H100").startup
    open_storage = check(replace(model, assumed=(HALF,)), "H100")
    assert open_storage.verdict.outcome == "starts"
    assert plain.interval is not None and open_storage.startup.interval is not None
    assert plain.weights_gib is not None
    low, high = plain.interval.available_kv_cache_gib
    wide_low, wide_high = open_storage.startup.interval.available_kv_cache_gib
    assert wide_low == low
    assert wide_high == pytest.approx(high + plain.weights_gib / 2, abs=0.05)


def test_where_the_readings_differ_nothing_is_said(model: Model) -> None:
    answer = check(replace(model, assumed=(HALF,)), "RTX 5060 Ti 16GB", max_model_len=4096)
    assert check(model, "RTX 5060 Ti 16GB", max_model_len=4096).verdict.outcome == "does_not_start"
    assert answer.verdict.outcome == "not_modelled"
    assert answer.verdict.start_probability is None and answer.command is None
    assert "With the one it does not start, with the other it starts" in answer.verdict.sentence
    failure = answer.startup.failure
    assert failure is not None and failure.remedies == [SETTLE]


def test_of_shapes_that_are_contradicted_nothing_is_said(model: Model) -> None:
    refuted = Assumption("config.json", "shapes", "The shapes are others.", SETTLE, refuted=True)
    answer = check(replace(model, assumed=(refuted,)), "H100")
    assert answer.verdict.sentence == "not modelled: The shapes are others."
    assert answer.verdict.start_probability is None and answer.command is None
    assert answer.startup.weights_gib is None and answer.startup.kv_bytes_per_token is None
    assert answer.startup.failure is not None and answer.startup.failure.remedies == [SETTLE]


def test_a_plan_says_what_settles_its_model_and_compare_the_same() -> None:
    # Its class's defaults make twice the published parameters.
    plan = plan_deployment(PlanRequest(model="allenai/OLMoE-1B-7B-0924", gpu="H100"))
    assert plan.verdict.outcome == "not_modelled"
    assert any("folder of its config.json" in step for step in plan.next_steps)
    assert not any("would take" in step for step in plan.next_steps)
    compared = compare_hardware(CompareRequest(model="allenai/OLMoE-1B-7B-0924", gpus="H100, L4"))
    assert compared.verdict.outcome == "not_modelled"


def test_a_fact_that_is_given_is_open_no_more(model: Model) -> None:
    unsure = replace(model, assumed=(HALF,))
    small = {"gpu": "RTX 5060 Ti 16GB", "max_model_len": 4096}
    asked = check(unsure, **small, quantization="fp8")  # type: ignore[arg-type]
    assert asked.verdict.outcome == "starts"
    assert not override_parameters(unsure, 8.2).assumed
    assert not override_config(unsure, {"quantization_config": {"quant_method": "fp8"}}).assumed


def test_an_open_length_decides_only_where_none_is_asked_for(model: Model) -> None:
    architecture = replace(model.architecture, max_position_known=False)
    unsure = replace(model, architecture=architecture, assumed=(OPEN_LENGTH,))
    answer = check(unsure, "H100")
    assert answer.verdict.outcome == "not_modelled"
    failure = answer.startup.failure
    assert failure is not None and failure.remedies == ["--max-model-len 40960", SETTLE]
    assert check(unsure, "H100", max_model_len=40960).verdict.outcome == "starts"
    short = check(unsure, "RTX 4090").startup.failure
    assert short is not None
    length = int(short.remedies[0].removeprefix("--max-model-len "))
    assert check(unsure, "RTX 4090", max_model_len=length).verdict.outcome == "starts"
    # Weights that do not fit do so at any length.
    assert check(unsure, "RTX 3060").verdict.outcome == "does_not_start"


def test_a_plan_writes_a_length_that_is_not_known(model: Model) -> None:
    architecture = replace(model.architecture, max_position_known=False)
    unsure = replace(model, architecture=architecture, assumed=(OPEN_LENGTH,))
    plan = plan_deployment(PlanRequest(model=model.id, gpu="H100"), model=unsure)
    assert plan.verdict.outcome == "carries"
    assert plan.artifacts.serve_command is not None
    assert "--max-model-len 40960" in plan.artifacts.serve_command
