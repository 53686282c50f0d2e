"""From a request to the GPU that decides: named, described, or detected."""

from __future__ import annotations

from typing import Any

import pytest

import vllm_preflight.hardware.select as select
from vllm_preflight.base.errors import InvalidRequest, NoGpuDetected, UnknownGpu
from vllm_preflight.base.units import BYTES_TO_GIB, gib_to_bytes
from vllm_preflight.contract.inputs import HardwareInput
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.detected import DetectedGpu, Detection
from vllm_preflight.hardware.select import Hardware, select_hardware


def chosen(**fields: Any) -> Hardware:
    return select_hardware(validate_request(HardwareInput, fields))


def test_a_named_gpu_comes_from_the_catalogue() -> None:
    hardware = chosen(gpu="h100", gpus=4)
    assert hardware.gpu.name == "H100 SXM5 80GB"
    assert (hardware.gpus, hardware.nodes, hardware.interconnect) == (4, 1, "nvlink")
    assert hardware.capability == (9, 0)
    assert hardware.notes == () and hardware.free_bytes is None


def test_the_number_of_gpus_may_stay_open() -> None:
    hardware = chosen(gpu="RTX 4090")
    assert hardware.gpus is None and hardware.gpus_per_node == 8
    assert hardware.interconnect == "unknown"


def test_memory_that_is_given_overrides_the_catalogue() -> None:
    hardware = chosen(gpu="H100", vram_gb=70)
    assert hardware.gpu.visible_bytes == 70 * BYTES_TO_GIB
    assert hardware.gpu.visible_basis == "given"
    assert hardware.capability == (9, 0)


def test_an_unknown_card_can_be_described_by_its_memory() -> None:
    with pytest.raises(UnknownGpu):
        chosen(gpu="Hypothetical 9000")
    hardware = chosen(gpu="Hypothetical 9000", vram_gb=64)
    assert hardware.gpu.visible_bytes == 64 * BYTES_TO_GIB
    assert hardware.capability == (8, 0)
    assert any("compute capability" in note and "8.0" in note for note in hardware.notes)


def test_a_changed_card_is_the_card_with_the_memory_that_is_given() -> None:
    hardware = chosen(gpu="RTX 4090 48GB", vram_gb=47.4)
    assert hardware.gpu.name == "GeForce RTX 4090"
    assert hardware.gpu.visible_bytes == gib_to_bytes(47.4)
    assert hardware.capability == (8, 9)


def test_a_counted_name_and_an_instance_type_set_the_number() -> None:
    assert chosen(gpu="2x RTX 3090").gpus == 2
    hardware = chosen(gpu="g6e.12xlarge")
    assert (hardware.gpu.name, hardware.gpus, hardware.nodes) == ("L40S", 4, 1)
    assert any("g6e.12xlarge (AWS) has 4 × L40S" in note for note in hardware.notes)
    assert chosen(gpu="p5.48xlarge", nodes=2).gpus == 16


def test_fewer_gpus_than_the_name_has_are_used() -> None:
    hardware = chosen(gpu="p5.48xlarge", gpus=2)
    assert hardware.gpus == 2
    assert "Uses 2 of 8 GPUs." in hardware.notes
    assert chosen(gpu="p5.48xlarge", gpus=8).notes == ("p5.48xlarge (AWS) has 8 × H100 SXM5 80GB.",)


@pytest.mark.parametrize(
    ("fields", "words", "hint"),
    [
        ({"gpu": "p5.48xlarge", "gpus": 16}, "p5.48xlarge is 8 × H100 SXM5 80GB", "nodes"),
        ({"gpu": "2x RTX 3090", "gpus": 4}, "2x RTX 3090 is 2 ×", "at most 2"),
        ({"gpu": "H100 MIG 3g.40gb", "gpus": 2}, "one MIG instance", "one server for each"),
        ({"gpu": "2x H100 MIG 3g.40gb"}, "one MIG instance", "one server for each"),
        ({"gpu": "H100:2", "tensor_parallel_size": 4}, "needs 4 GPUs, but there are 2", ""),
    ],
)
def test_more_gpus_than_the_name_has_are_refused(
    fields: dict[str, Any], words: str, hint: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        chosen(**fields)
    assert hint in caught.value.hint


def test_a_mig_instance_is_one_gpu() -> None:
    hardware = chosen(gpu="H100 MIG 3g.40gb")
    assert (hardware.gpus, hardware.gpus_per_node, hardware.interconnect) == (1, 1, "unknown")
    with pytest.raises(InvalidRequest, match="tensor_parallel_size 2 needs 2 GPUs"):
        chosen(gpu="H100 MIG 3g.40gb", tensor_parallel_size=2)


def test_machines_follow_from_how_a_card_is_built_in() -> None:
    hardware = chosen(gpu="GB200", gpus=8)
    assert (hardware.nodes, hardware.gpus_per_node) == (2, 4)
    assert any("2 machines of 4" in note for note in hardware.notes)
    assert chosen(gpu="GB200").gpus_per_node == 4
    assert chosen(gpu="DGX Spark", gpus=2).nodes == 2
    assert chosen(gpu="GB200", gpus=8, nodes=4).nodes == 4


def test_of_shared_memory_only_a_part_counts_as_the_servers() -> None:
    hardware = chosen(gpu="DGX Spark")
    assert hardware.free_bytes is None
    assert hardware.usable_bytes == int(hardware.gpu.visible_bytes * 0.8)
    assert any("shares its memory with the CPU" in note for note in hardware.notes)
    assert chosen(gpu="H100").usable_bytes is None


def test_nothing_is_assumed_of_another_vendors_card() -> None:
    # What is not modelled of another vendor is the launch's to say; nothing is assumed.
    assert chosen(gpu="MI300X").notes == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gpus": 2, "tensor_parallel_size": 4}, "tensor_parallel_size 4 needs 4 GPUs"),
        (
            {"gpus": 8, "tensor_parallel_size": 4, "data_parallel_size": 4},
            "tensor_parallel_size 4 × data_parallel_size 4 needs 16 GPUs, but there are 8",
        ),
        ({"gpus": 8, "nodes": 3}, "spread evenly over 3 nodes"),
    ],
)
def test_more_than_there_is_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        chosen(gpu="H100", **fields)


def test_nodes_divide_the_gpus() -> None:
    assert chosen(gpu="H100", gpus=16, nodes=2).gpus_per_node == 8


def found(monkeypatch: pytest.MonkeyPatch, *gpus: DetectedGpu, reason: str | None = None) -> None:
    monkeypatch.setattr(select, "detect_gpus", lambda: Detection(gpus=gpus, reason=reason))


def test_auto_without_a_gpu_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, reason="There is no driver.")
    with pytest.raises(NoGpuDetected, match="There is no driver") as caught:
        chosen()
    assert "such as H100" in caught.value.hint


H100: dict[str, Any] = {
    "name": "NVIDIA H100 80GB HBM3",
    "total_mib": 81_559,
    "used_mib": 1_559,
    "compute_capability": (9, 0),
}


def detected(index: int, free_mib: int = 80_000, **fields: Any) -> DetectedGpu:
    facts: dict[str, Any] = {**H100, **fields}
    return DetectedGpu(index=index, free_mib=free_mib, **facts)


def test_detected_gpus_bring_their_number_links_and_free_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found(
        monkeypatch,
        detected(0, nvlink_peers=(1,)),
        detected(1, free_mib=60_000, nvlink_peers=(0,)),
    )
    hardware = chosen()
    assert (hardware.gpus, hardware.interconnect) == (2, "nvlink")
    assert hardware.free_bytes == 60_000 * 2**20
    assert hardware.gpu.compute_capability == (9, 0)


def test_gpus_without_links_meet_over_pcie(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, detected(0), detected(1))
    assert chosen().interconnect == "pcie"
    assert chosen(interconnect="nvlink").interconnect == "nvlink"


def test_of_different_gpus_the_smallest_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"name": "NVIDIA L4", "total_mib": 23_034, "compute_capability": (8, 9)}
    found(monkeypatch, detected(0), detected(1, free_mib=22_000, **small))
    hardware = chosen()
    assert hardware.capability == (8, 9)
    assert hardware.gpu.visible_bytes < 24 * BYTES_TO_GIB
    assert any("the weakest, L4, decides" in note for note in hardware.notes)


def test_no_more_gpus_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, detected(0))
    with pytest.raises(InvalidRequest, match="gpus is 2, but this machine has 1"):
        chosen(gpus=2)
    assert chosen(gpus=2, nodes=2).gpus == 2
