"""What a GPU and the links between GPUs can do."""

from __future__ import annotations

import pytest

from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.performance.machine import gpu_class, link_between, machine_of


@pytest.mark.parametrize(
    ("card", "ratio"),
    [("H100", 2), ("L40S", 2), ("A100 80GB", 1), ("MI300X", 2), ("MI250X", 1), ("RTX 3090", 1)],
)
def test_fp8_is_faster_only_where_the_platform_has_it(card: str, ratio: float) -> None:
    gpu = find_gpu(card)
    alone = link_between(gpu, 1, "unknown")
    machine = machine_of(gpu, alone, alone)
    assert machine.flops8 / machine.flops16 == pytest.approx(ratio, rel=0.02)


def test_amd_gpus_are_a_class_of_their_own() -> None:
    assert gpu_class(find_gpu("MI300X")) == "instinct"
    assert gpu_class(find_gpu("H100 MIG 3g.40gb")) == "hopper"


def test_nvlink_ends_with_the_machine_unless_the_rack_has_it() -> None:
    assert link_between(find_gpu("H100"), 16, "unknown", node_size=8).kind == "network"
    assert link_between(find_gpu("GB200"), 16, "unknown", node_size=4).kind == "nvlink"
    assert link_between(find_gpu("GB200"), 144, "unknown", node_size=4).kind == "network"
