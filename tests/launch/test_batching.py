"""Models whose items a batch must hold whole: what they raise, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.models.sources import load_model

GEMMA4 = "google/gemma-4-31B-it"
REFUSAL = "Chunked MM input disabled but max_tokens_per_mm_item (2496) is larger"


def launch_on_an_a100(model: str, **given: Any) -> Launch:
    """A server with 2,048 tokens a step unless told otherwise."""
    loaded = load_model(model, source="catalog")
    request = StartupRequest(model=model, max_model_len=8192, **given)
    gpu = find_gpu("A100 SXM4 80GB")
    return resolve_launch(request, loaded.architecture, gpu, config=loaded.config)


def refusals(launch: Launch) -> list[str]:
    return [problem.message for problem in launch.problems if REFUSAL in problem.message]


@pytest.mark.parametrize(
    ("version", "tokens", "refused"),
    [("0.19.1", 2048, False), ("0.20.0", 2048, True), ("0.22.0", 2496, False)],
)
def test_a_video_of_gemma_4_must_fit_into_a_step(version: str, tokens: int, refused: bool) -> None:
    launch = launch_on_an_a100(GEMMA4, vllm_version=version)
    assert launch.max_num_batched_tokens == tokens
    assert bool(refusals(launch)) is refused


def test_given_tokens_are_not_raised() -> None:
    assert refusals(launch_on_an_a100(GEMMA4, max_num_batched_tokens=2048))
    without = launch_on_an_a100(
        GEMMA4, max_num_batched_tokens=2048, limit_mm_per_prompt='{"video": 0}'
    )
    assert not refusals(without)


def test_a_model_that_reads_images_one_way_cuts_them() -> None:
    assert not refusals(launch_on_an_a100("google/gemma-4-E4B-it", vllm_version="0.21.0"))
