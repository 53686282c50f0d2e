"""The layouts that a number of GPUs allows."""

from __future__ import annotations

import pytest

from vllm_preflight.contract.inputs import HardwareInput
from vllm_preflight.models.sources import load_model
from vllm_preflight.recommend.layouts import (
    Layout,
    layouts,
    recommend_tensor_parallel,
    tensor_parallel_sizes,
)


def found(model: str, gpus: int, per_node: int = 8, **pinned: int | bool) -> list[Layout]:
    flat, staged = layouts(
        load_model(model).architecture, gpus, per_node, HardwareInput.model_validate(pinned)
    )
    return [*flat, *staged]


@pytest.mark.design("3: the smallest tensor-parallel size that fits is recommended")
@pytest.mark.parametrize(("enough", "size"), [(1, 1), (2, 2), (3, 4), (5, 8), (9, 8)])
def test_the_smallest_that_fits_else_the_largest(enough: int, size: int) -> None:
    assert recommend_tensor_parallel([1, 2, 4, 8], lambda tp: tp >= enough) == size


@pytest.mark.design("3: a tensor-parallel size divides the attention heads")
@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("Qwen/Qwen3-32B", [1, 2, 4, 8]),
        ("Qwen/Qwen2.5-7B-Instruct", [1, 2, 4, 7]),
        ("deepseek-ai/DeepSeek-R1", [1, 2, 4, 8]),
    ],
)
def test_sizes_divide_the_heads(model: str, sizes: list[int]) -> None:
    accepted = tensor_parallel_sizes(load_model(model).architecture, 8)
    assert [size for size in accepted if size in sizes] == accepted


@pytest.mark.design("3: a tensor-parallel group is by default no larger than the node")
def test_a_group_stays_inside_a_machine() -> None:
    assert max(layout.tensor for layout in found("Qwen/Qwen3-32B", 16)) == 8
    assert found("Qwen/Qwen3-32B", 16, tensor_parallel_size=16) == [Layout(16)]


def test_every_gpu_is_used_by_some_layout() -> None:
    for gpus in range(1, 9):
        assert max(layout.gpus for layout in found("Qwen/Qwen3-32B", gpus)) == gpus


def test_replicas_of_a_mixture_share_its_experts() -> None:
    mixed = found("Qwen/Qwen3-30B-A3B", 4)
    assert {layout.expert_parallel for layout in mixed if layout.replicas > 1} == {True}
    assert not any(layout.expert_parallel for layout in found("Qwen/Qwen3-32B", 4))


def test_pinned_sizes_are_kept() -> None:
    assert found("Qwen/Qwen3-32B", 8, tensor_parallel_size=2, data_parallel_size=2) == [
        Layout(2, 1, 2),
        Layout(2, 2, 2),
    ]
