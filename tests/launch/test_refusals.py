"""Refusals that no memory changes: classes that left vLLM."""

from __future__ import annotations

import pytest

from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.models.sources import load_model
from vllm_preflight.requests import StartupRequest


@pytest.mark.parametrize(("version", "refused"), [("0.23.0", False), ("0.33.0", True)])
def test_a_class_that_left_is_refused_from_then_on(version: str, refused: bool) -> None:
    model = load_model("MiniMaxAI/MiniMax-M1-80k", source="catalog")
    request = StartupRequest(model=model.id, vllm_version=version, tensor_parallel_size=8)
    launch = resolve_launch(request, model.architecture, find_gpu("H200"), config=model.config)
    messages = [problem.message for problem in launch.problems]
    assert any("is not supported anymore" in message for message in messages) is refused
