"""Which tensor-parallel sizes are tried, and which is taken."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.select import select_hardware
from vllm_preflight.models.sources import load_model
from vllm_preflight.recommend.parallelism import (
    choose_layout,
    recommend_tensor_parallel,
    tensor_parallel_sizes,
)


@pytest.mark.design("3: the smallest tensor-parallel size that fits is recommended")
@pytest.mark.parametrize(("enough", "size"), [(1, 1), (2, 2), (3, 4), (5, 8), (9, 8)])
def test_the_smallest_that_fits_else_the_largest(enough: int, size: int) -> None:
    assert recommend_tensor_parallel([1, 2, 4, 8], lambda tp: tp >= enough) == size


def test_no_larger_size_is_tried_once_one_fits() -> None:
    tried: list[int] = []

    def fits(tp: int) -> bool:
        tried.append(tp)
        return tp == 2

    assert recommend_tensor_parallel([1, 2, 4, 8], fits) == 2
    assert tried == [1, 2]


@pytest.mark.design("3: a tensor-parallel size divides the attention heads")
@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        # 64 query and 8 KV heads.
        ("Qwen/Qwen3-32B", [1, 2, 4, 8]),
        # 28 query and 4 KV heads: 7 divides the first and not the second.
        ("Qwen/Qwen2.5-7B-Instruct", [1, 2, 4]),
        # 128 latent heads, one cache for all.
        ("deepseek-ai/DeepSeek-R1", [1, 2, 4, 8]),
    ],
)
def test_sizes_divide_the_heads(model: str, sizes: list[int]) -> None:
    assert tensor_parallel_sizes(load_model(model).architecture, 8) == sizes


def layout(model: str, **fields: Any) -> tuple[int, int, bool]:
    request = validate_request(PlanRequest, {"model": model, "gpu": "H100", **fields})
    sizing = choose_layout(load_model(model), select_hardware(request), request)
    launch = sizing.launch
    return launch.tensor_parallel_size, launch.pipeline_parallel_size, sizing.feasibility.fits


@pytest.mark.design("3: a tensor-parallel group is by default no larger than the node")
def test_a_node_of_eight_is_assumed() -> None:
    assert layout("MiniMaxAI/MiniMax-M2") == (8, 1, True)
    assert layout("deepseek-ai/DeepSeek-R1") == (8, 1, False)


def test_stages_span_nodes_only_when_one_is_too_small() -> None:
    assert layout("deepseek-ai/DeepSeek-R1", gpus=16, nodes=2) == (8, 2, True)
    assert layout("Qwen/Qwen3-8B", gpus=16, nodes=2) == (1, 1, True)


def test_replicas_share_the_node() -> None:
    model = "meta-llama/Llama-3.1-70B-Instruct"
    assert layout(model, gpus=8, data_parallel_size=4)[0] == 2
    assert layout(model, gpus=8, data_parallel_size=8) == (1, 1, False)


def test_a_pinned_size_is_kept_though_a_smaller_would_do() -> None:
    assert layout("Qwen/Qwen3-8B", tensor_parallel_size=4) == (4, 1, True)
    assert layout("Qwen/Qwen3-8B", pipeline_parallel_size=2, gpus=2) == (1, 2, True)
