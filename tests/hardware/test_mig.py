"""MIG profiles as smaller GPUs: which there are, and what memory and speed they have."""

from __future__ import annotations

import pytest

from vllm_preflight.base.errors import UnknownGpu
from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.mig import (
    Profile,
    any_instance,
    find_profile,
    instance_of,
    memory_slices,
    profiles_of,
)
from vllm_preflight.hardware.spoken import read_hardware_name


# GiB that `nvidia-smi mig -lgip` lists (NVIDIA MIG User Guide).
@pytest.mark.parametrize(
    ("card", "profile", "gib"),
    [
        ("A100 SXM4 40GB", "1g.5gb", 4.75),
        ("A100 SXM4 40GB", "2g.10gb", 9.75),
        ("A100 SXM4 40GB", "3g.20gb", 19.62),
        ("A100 SXM4 80GB", "1g.10gb", 9.50),
        ("A100 SXM4 80GB", "3g.40gb", 39.25),
        ("H100 SXM5 80GB", "1g.10gb", 9.75),
        ("H100 SXM5 80GB", "2g.20gb", 19.62),
        ("H100 SXM5 80GB", "4g.40gb", 39.50),
        ("A30", "1g.6gb", 5.81),
        ("A30", "2g.12gb", 11.69),
    ],
)
def test_memory_is_near_what_the_driver_lists(card: str, profile: str, gib: float) -> None:
    part = find_gpu(f"{card} MIG {profile}")
    assert part.visible_bytes / BYTES_TO_GIB == pytest.approx(gib, abs=0.25)
    assert part.visible_basis == "derived"


@pytest.mark.parametrize(
    ("card", "names"),
    [
        ("A100 40GB", "1g.5gb 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb"),
        ("A100 80GB", "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb"),
        ("H100", "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb"),
        ("H200", "1g.18gb 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb"),
        ("GH200", "1g.12gb 1g.24gb 2g.24gb 3g.48gb 4g.48gb 7g.96gb"),
        ("B200", "1g.23gb 1g.45gb 2g.45gb 3g.90gb 4g.90gb 7g.180gb"),
        ("A30", "1g.6gb 2g.12gb 4g.24gb"),
        ("RTX PRO 6000", "1g.24gb 2g.48gb 4g.96gb"),
        ("L40S", ""),
    ],
)
def test_profiles_have_nvidias_names(card: str, names: str) -> None:
    assert " ".join(profile.name for profile in profiles_of(find_gpu(card))) == names


def test_instances_add_up_to_no_more_than_the_gpu() -> None:
    split = [gpu for gpu in load_catalog() if memory_slices(gpu)]
    assert len(split) >= 15
    for gpu in split:
        for profile in profiles_of(gpu):
            part = instance_of(gpu, profile)
            assert part is not None
            fitting = 7 // profile.compute if memory_slices(gpu) == 8 else 4 // profile.compute
            if memory_slices(gpu) == 8 and profile.memory_gb * fitting > 1.05 * _nominal(gpu):
                # As many as have memory: 1g with two memory slices fits four times.
                fitting -= 3
            assert fitting * part.visible_bytes <= gpu.visible_bytes, part.name
            for dtype, whole in gpu.dense_tflops.items():
                assert part.dense_tflops[dtype] <= whole
            assert part.nvlink_gb_s is None and part.node_size == 1


def _nominal(gpu: Gpu) -> float:
    return max(profile.memory_gb for profile in profiles_of(gpu))


def test_an_instance_has_its_share_of_bandwidth_and_flops() -> None:
    whole, part = find_gpu("H100"), find_gpu("H100 MIG 3g.40gb")
    assert part.memory_bandwidth_gb_s == pytest.approx((whole.memory_bandwidth_gb_s or 0) / 2)
    assert part.dense_tflops["fp16"] == pytest.approx(whole.dense_tflops["fp16"] * 3 / 8)
    assert part.compute_capability == (9, 0)


@pytest.mark.parametrize(
    "text",
    [
        "H100 80GB MIG 3g.40gb",
        "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb",
        "h100 3g.40gb",
        "MIG 3g.40gb H100",
        "H100-SXM5-80GB 3g.40gb+me",
    ],
)
def test_a_profile_is_found_in_any_writing(text: str) -> None:
    assert find_gpu(text).name == "H100 SXM5 80GB MIG 3g.40gb"


def test_the_profile_tells_which_size_of_a_card_is_meant() -> None:
    assert find_gpu("A100 MIG 3g.20gb").name.startswith("A100 SXM4 40GB")
    assert find_gpu("A100 MIG 3g.40gb").name.startswith("A100 SXM4 80GB")


@pytest.mark.parametrize("text", ["1g.10gb", "MIG 1g.10gb", "nvidia.com/mig-1g.10gb"])
def test_a_profile_without_its_card_is_the_least_of_those_that_have_it(text: str) -> None:
    named = read_hardware_name(text)
    assert named.gpu.name == "MIG 1g.10gb"
    assert 9.4 < named.gpu.visible_bytes / BYTES_TO_GIB < 9.8
    assert named.gpu.compute_capability == (8, 0)
    assert named.gpu.dense_tflops == {}
    assert "no speed is estimated" in named.notes[0]


def test_a_profile_of_one_card_means_that_card() -> None:
    assert find_gpu("4g.24gb").name == "A30 MIG 4g.24gb"


def test_what_a_card_does_not_have_is_refused_with_what_it_has() -> None:
    with pytest.raises(UnknownGpu, match=r"no MIG profile 3g\.20gb") as caught:
        find_gpu("H100 MIG 3g.20gb")
    assert "3g.40gb" in caught.value.hint
    with pytest.raises(UnknownGpu, match="no MIG profile") as caught:
        find_gpu("L40S MIG 1g.10gb")
    assert "does not split" in caught.value.hint
    with pytest.raises(UnknownGpu):
        find_gpu("MIG 5g.77gb")


def test_profiles_are_told_from_other_numbers() -> None:
    assert find_profile("H100 80GB") is None
    assert find_profile("A100 40g") is None
    found = find_profile("NVIDIA A100 MIG 1g.10gb+me")
    assert found is not None
    assert found == (Profile(1, 10), "NVIDIA A100")
    assert any_instance(Profile(6, 1)) is None
