"""The measured kernels are facts with sources, and a card without any borrows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import vllm_preflight.performance.kernels.facts as facts
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.models.quantization import WeightScheme
from vllm_preflight.performance.kernels.facts import interpolated, load_kernels
from vllm_preflight.performance.kernels.formats import kernel_format
from vllm_preflight.performance.kernels.lenders import kernels_of
from vllm_preflight.performance.machine import link_between
from vllm_preflight.performance.step.links import summing

DATA = Path(facts.__file__).with_name("kernels.json")


def test_the_data_file_is_small_and_says_where_it_is_from() -> None:
    text = DATA.read_text(encoding="utf-8")
    document = json.loads(text)
    assert len(text.encode()) <= 60_000
    assert document["schema"] == 1 and document["date"] >= "2026-11-28"
    assert "aiconfigurator-core/0.12.0" in document["source"]
    assert "Apache-2.0" in document["license"]
    assert len(document["columns"]) == len(next(iter(document["gpus"].values()))["kernels"][0])


def test_every_kernel_is_one_a_card_can_have() -> None:
    cards = load_kernels()
    assert len(cards) == 9
    for name, card in cards.items():
        assert find_gpu(name).name == name
        operations = {operation for operation, _ in card.kernels}
        assert {"gemm", "experts", "decode", "prefill"} <= operations, name
        for releases in card.kernels.values():
            assert [since for since, _ in releases] == sorted(since for since, _ in releases)
            for _, kernel in releases:
                assert 0 < kernel.floor < 2e-4
                assert 0 < kernel.memory <= 1 and 0 < kernel.compute <= 1
                assert 1 <= kernel.sharpness <= 6 and 0 < kernel.alike <= 1
                assert kernel.error < 0.6


def test_a_larger_message_never_takes_less_and_more_ranks_are_there() -> None:
    for card in load_kernels().values():
        for ranks in (2, 4):
            times = card.reduces.of(ranks)
            assert list(times) == sorted(times)
        assert card.reduces.of(3) == card.reduces.of(4)
        assert card.reduces.of(64) == card.reduces.of(max(card.reduces.seconds))


def test_between_two_sizes_time_is_in_proportion() -> None:
    sizes, seconds = (1.0, 3.0), (2.0, 4.0)
    assert interpolated(sizes, seconds, 0.1) == 2
    assert interpolated(sizes, seconds, 2.0) == 3
    assert interpolated(sizes, seconds, 6.0) == 8


@pytest.mark.parametrize(
    ("gpu", "lender"),
    [
        ("RTX 4090", "L40S"),
        ("L4", "L40S"),
        ("A10", "L40S"),
        ("RTX A6000", "L40S"),
        ("RTX 3090", "L40S"),
        ("RTX 5090", "RTX PRO 6000 Blackwell Server"),
        ("GB10", "RTX PRO 6000 Blackwell Server"),
        ("A100 SXM4 40GB", "A100 SXM4 80GB"),
        ("T4", "A100 SXM4 80GB"),
        ("H20", "H100 SXM5 80GB"),
        ("H200 NVL", "H200 SXM 141GB"),
        ("MI300X", "H100 SXM5 80GB"),
    ],
)
def test_a_card_without_kernels_borrows_those_of_a_relative(gpu: str, lender: str) -> None:
    found = kernels_of(find_gpu(gpu))
    assert not found.own and found.kernels.card == lender
    assert lender in found.sentence


def test_every_card_of_the_catalogue_has_kernels() -> None:
    for gpu in load_catalog():
        assert kernels_of(gpu).kernels.find("gemm", "bfloat16", (0, 33, 0)) is not None


def test_the_newest_kernel_that_is_not_later_is_taken() -> None:
    card = load_kernels()["B200 SXM 180GB"]
    releases = {
        version: card.find("experts", "fp8_block", version)
        for version in ((0, 11, 0), (0, 19, 1), (0, 33, 0))
    }
    found = {version: kernel.release for version, kernel in releases.items() if kernel}
    assert found == {(0, 11, 0): "0.19.0", (0, 19, 1): "0.19.0", (0, 33, 0): "0.24.0"}


def test_a_format_that_was_not_timed_is_answered_with_the_nearest() -> None:
    card = load_kernels()["A100 SXM4 80GB"]
    kernel = card.find("experts", "int4_wo", (0, 20, 0))
    assert kernel is not None and kernel.format == "bfloat16"


@pytest.mark.parametrize(
    ("kind", "capability", "expert", "found"),
    [
        ("fp8_tensor", (9, 0), False, ("fp8", False)),
        ("fp8_tensor", (8, 0), False, ("bfloat16", True)),
        ("fp8_block", (9, 0), True, ("fp8_block", False)),
        ("fp8_block", (8, 9), True, ("int4_wo", True)),
        ("nvfp4", (10, 0), False, ("nvfp4", False)),
        ("nvfp4", (9, 0), False, ("bfloat16", True)),
        ("mxfp4", (9, 0), True, ("w4a16_mxfp4", True)),
        ("int8_channel", (9, 0), False, ("fp8", False)),
    ],
)
def test_a_scheme_runs_the_kernel_the_card_has_for_it(
    kind: str, capability: tuple[int, int], expert: bool, found: tuple[str, bool]
) -> None:
    scheme = WeightScheme(kind)  # type: ignore[arg-type]
    assert (
        kernel_format(scheme, expert=expert, capability=capability, amd=False, version=(0, 33, 0))
        == found
    )


def test_a_slow_host_is_not_taken_for_its_link() -> None:
    """Eight cards over PCIe reach a like share of their link, whichever host was timed."""
    slow, fast = find_gpu("L40S"), find_gpu("RTX PRO 6000 Blackwell Server")
    times: list[float] = []
    for gpu in (slow, fast):
        link = link_between(gpu, 8, "unknown")
        borrowed = kernels_of(gpu)
        assert link.kind == "pcie" and borrowed is not None
        found = summing(link, 8, borrowed, factor=1.0, latency=0.0, share=1.0)
        assert found is not None
        times.append(found.seconds(2**24))
    assert 1.5 < times[0] / times[1] < 2.5


def test_cards_that_were_timed_over_pcie_keep_their_own_times() -> None:
    fast = find_gpu("RTX PRO 6000 Blackwell Server")
    borrowed = kernels_of(fast)
    assert borrowed is not None
    own = load_kernels()[fast.name].reduces
    for ranks in (2, 4, 8):
        link = link_between(fast, ranks, "unknown")
        found = summing(link, ranks, borrowed, factor=1.0, latency=0.0, share=1.0)
        assert found is not None and found.times == pytest.approx(own.of(ranks))
