"""A user's parameter count scales the weights and nothing else, and is said."""

from __future__ import annotations

import pytest

from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.models.overrides import override_parameters
from vllm_preflight.models.sources import load_model
from vllm_preflight.questions.plan import plan_deployment


def test_half_the_parameters_are_half_the_weights() -> None:
    whole = plan_deployment(PlanRequest(model="Qwen/Qwen3-32B", gpu="H100"))
    half = plan_deployment(PlanRequest(model="Qwen/Qwen3-32B", gpu="H100", params_b=16.381061632))
    assert half.feasibility.weights_gib == pytest.approx(
        whole.feasibility.weights_gib / 2, rel=1e-3
    )
    assert half.feasibility.kv_cache_gib == whole.feasibility.kv_cache_gib
    assert half.model.params_total == 16_381_061_632
    assert any("16.3811 billion parameters" in warning for warning in half.warnings)


def test_without_a_count_the_model_stays_itself() -> None:
    model = load_model("Qwen/Qwen3-32B")
    assert override_parameters(model, None) is model
    # The same count gives the same object, which keys the engine's caches.
    assert override_parameters(model, 16) is override_parameters(model, 16)
