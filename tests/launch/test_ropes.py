"""Ropes of the user's own: told whole where releases take them whole, and what is lost else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.launch.ropes import own_rope, rope_overrides
from vllm_preflight.questions.check import predict_startup

LLAMA, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-8B"
LINEAR = {"rope_type": "linear", "factor": 2.0}


def check(model: str, release: str, overrides: dict[str, Any]) -> StartupResponse:
    line = f"vllm serve {model} --hf-overrides '{json.dumps(overrides)}'"
    return predict_startup(StartupRequest(command=line, gpu="H100", vllm_version=release))


@pytest.mark.parametrize(
    ("model", "release", "overrides", "said"),
    [
        (
            "meta-llama/Llama-3.1-8B-Instruct",
            "0.33.0",
            {"rope_scaling": LINEAR},
            '"rope_theta": 500',
        ),
        (
            "meta-llama/Llama-3.1-8B-Instruct",
            "0.12.0",
            {"rope_parameters": LINEAR},
            "10,000 and not",
        ),
        # The class takes the base that the model has.
        (QWEN, "0.33.0", {"rope_parameters": LINEAR}, None),
        (QWEN, "0.33.0", {"rope_parameters": {**LINEAR, "rope_theta": 1e6}}, None),
        # transformers 4 kept the base beside the rope.
        (LLAMA, "0.11.0", {"rope_scaling": LINEAR}, None),
        (QWEN, "0.15.0", {"rope_scaling": LINEAR}, "does not read the rope_scaling"),
        (QWEN, "0.11.2", {"rope_parameters": LINEAR}, "does not read the rope_param"),
        (QWEN, "0.33.0", {"rope_theta": 5e5}, '{"rope_parameters": {"rope_theta": 50'),
        (QWEN, "0.19.0", {"rope_theta": 5e5}, None),
    ],
)
def test_what_a_rope_loses_is_said(
    model: str, release: str, overrides: dict[str, Any], said: str | None
) -> None:
    answer = check(model, release, overrides)
    assert answer.startup.starts
    ropes = [text for text in answer.warnings if "--hf-overrides" in text]
    assert (said is None and not ropes) or (said is not None and said in "".join(ropes))


def test_a_scaling_that_is_not_read_makes_nothing_longer() -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    for release, length in (("0.11.0", 131072), ("0.15.0", 40960), ("0.24.0", 131072)):
        answer = check(QWEN, release, {"rope_scaling": yarn})
        assert answer.startup.max_model_len == length


def test_a_whole_rope_keeps_what_is_not_changed() -> None:
    own = own_rope({"rope_theta": 1e4, "partial_rotary_factor": 0.5, "rope_scaling": None})
    assert rope_overrides((0, 33, 0), own, scaling={"type": "linear", "factor": 2.0}) == {
        "rope_parameters": {**LINEAR, "rope_theta": 1e4, "partial_rotary_factor": 0.5}
    }
    assert rope_overrides((0, 11, 0), None, scaling=LINEAR, theta=5e5) == {
        "rope_scaling": LINEAR,
        "rope_theta": 5e5,
    }
    # A config that is silent may be a part of one that scales.
    assert rope_overrides((0, 33, 0), own_rope({"rope_theta": 1e4}), theta=5e5) is None
    assert own_rope({"rope_theta": 1e4, "rope_scaling": {"mrope_section": [1, 2]}}) is None
