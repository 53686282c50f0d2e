"""Hardware as people and systems write it: cards, counts, instance types, mixtures."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.base.errors import UnknownGpu
from vllm_preflight.hardware.catalog import find_gpu, gpu_names, load_catalog
from vllm_preflight.hardware.instances import load_instances
from vllm_preflight.hardware.mig import profiles_of
from vllm_preflight.hardware.spoken import read_hardware_name

SPELLINGS: dict[str, Any] = json.loads(
    Path(__file__).with_name("gpu_spellings.json").read_text(encoding="utf-8")
)
CARDS = [(spelling, card) for card, ways in SPELLINGS["cards"].items() for spelling in ways]


@pytest.mark.parametrize(("spelling", "card"), CARDS)
def test_a_card_is_found_however_it_is_written(spelling: str, card: str) -> None:
    named = read_hardware_name(spelling)
    assert (named.gpu.name, named.gpus) == (card, None)


@pytest.mark.parametrize(("spelling", "count", "card"), SPELLINGS["counted"])
def test_a_count_is_read_with_the_card(spelling: str, count: int, card: str) -> None:
    named = read_hardware_name(spelling)
    assert (named.gpu.name, named.gpus) == (card, count)


@pytest.mark.parametrize(("spelling", "count", "card"), SPELLINGS["instances"])
def test_an_instance_type_is_its_gpus(spelling: str, count: int, card: str) -> None:
    named = read_hardware_name(spelling)
    assert (named.gpu.name, named.gpus) == (card, count)
    assert named.instance is not None
    assert f"has {count} × {card}" in named.notes[0]


@pytest.mark.parametrize(("spelling", "choices"), SPELLINGS["open"].items())
def test_two_readings_are_refused_with_the_choices(spelling: str, choices: list[str]) -> None:
    with pytest.raises(UnknownGpu, match="leaves open") as caught:
        read_hardware_name(spelling)
    assert all(choice in caught.value.message for choice in choices)
    assert caught.value.hint.startswith("Say which, such as '")


@pytest.mark.parametrize("spelling", SPELLINGS["unknown"])
def test_what_is_no_gpu_is_refused(spelling: str) -> None:
    with pytest.raises(UnknownGpu):
        read_hardware_name(spelling)


def test_shared_spellings_are_read_right_or_refused(shared_dir: Path) -> None:
    """At least 98 % right, none wrong; a card that was added since is right by its own name."""
    lines = (shared_dir / "data/gpu_names.jsonl").read_text(encoding="utf-8").splitlines()
    table = (shared_dir / "data/gpus.jsonl").read_text(encoding="utf-8").splitlines()
    known = {json.loads(line)["name"] for line in table}
    refused: list[str] = []
    for row in map(json.loads, lines):
        spelling, expected = row["spelling"], row["expected"]
        try:
            found = read_hardware_name(spelling).gpu.name
        except UnknownGpu:
            if not expected.startswith(("REFUSE", "absent", "not a GPU")):
                refused.append(spelling)
            continue
        if expected.startswith("MIG"):
            assert "MIG" in found, spelling
        elif expected.endswith("?"):
            assert found.removeprefix("Tesla ") == expected[:-1], spelling
        elif expected.startswith("absent"):
            assert expected == "absent" and found not in known, spelling
        else:
            # "RTX PRO 6000 Blackwell" is the server card, the usual form.
            assert found in {expected, f"{expected} Server"}, spelling
    assert len(refused) <= 0.02 * len(lines), refused


@given(st.data())
def test_case_marks_and_vendor_do_not_change_the_card(data: st.DataObject) -> None:
    gpu = data.draw(st.sampled_from(load_catalog()))
    marks = st.sampled_from(("", " ", "-", "_"))
    words = gpu.name.split()
    name = words[0] + "".join(data.draw(marks) + word for word in words[1:])
    name = "".join(data.draw(st.sampled_from((c.lower(), c.upper()))) for c in name)
    vendor = data.draw(st.sampled_from(("", f"{gpu.vendor} ", f"{gpu.vendor.upper()}-")))
    assert find_gpu(vendor + name) is gpu


@given(
    st.sampled_from(load_catalog()),
    st.integers(1, 64),
    st.sampled_from(("{n}x {name}", "{n} x {name}", "{n}×{name}", "{name}:{n}", "{name} x{n}")),
)
def test_a_count_goes_with_any_card(gpu: Any, count: int, way: str) -> None:
    named = read_hardware_name(way.format(n=count, name=gpu.name))
    assert (named.gpu, named.gpus) == (gpu, count)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert read_hardware_name(text).gpu.visible_bytes > 0
    except UnknownGpu as error:
        assert error.hint


def test_no_catalogue_name_means_another_card_or_several() -> None:
    for name in gpu_names():
        named = read_hardware_name(name)
        assert (named.gpu.name, named.gpus, named.notes) == (name, None, ())


def test_every_instance_and_every_mig_profile_is_read() -> None:
    for instance in load_instances():
        named = read_hardware_name(instance.id)
        assert (named.gpu.name, named.gpus) == (instance.gpu, instance.gpus), instance
    for gpu in load_catalog():
        for profile in profiles_of(gpu):
            part = read_hardware_name(f"{gpu.name} MIG {profile.name}").gpu
            assert part.name == f"{gpu.name} MIG {profile.name}"
            assert find_gpu(part.name) == part


def test_a_family_of_instances_is_its_card() -> None:
    named = read_hardware_name("p5")
    assert (named.gpu.name, named.gpus) == ("H100 SXM5 80GB", None)
    assert "p5.48xlarge has 8" in named.notes[0]
    assert find_gpu("g6e").name == "L40S"
    # The card is meant, not the cloud's machine family of that name.
    assert find_gpu("a2").name == "A2"
    with pytest.raises(UnknownGpu, match="a3-highgpu-1g"):
        find_gpu("a3")


def test_an_instance_that_is_nearly_named_is_offered() -> None:
    with pytest.raises(UnknownGpu) as caught:
        read_hardware_name("p5.49xlarge")
    assert "p5.48xlarge" in caught.value.hint


def test_an_instance_without_gpu_says_what_it_has() -> None:
    with pytest.raises(UnknownGpu, match="AWS Trainium"):
        read_hardware_name("trn1.32xlarge")


def test_several_instances_are_nodes() -> None:
    with pytest.raises(UnknownGpu, match="8 GPUs already") as caught:
        read_hardware_name("2x p5.48xlarge")
    assert "nodes" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "card", "count", "capability"),
    [
        ("RTX 4090 and RTX 3090", "GeForce RTX 3090", 2, (8, 6)),
        ("1x4090 + 1x3090", "GeForce RTX 3090", 2, (8, 6)),
        ("H100, 2x A100 40GB", "A100 SXM4 40GB", 3, (8, 0)),
        ("L40S & A100-80GB", "L40S", 2, (8, 0)),
    ],
)
def test_two_kinds_are_planned_as_the_weaker(
    text: str, card: str, count: int, capability: tuple[int, int]
) -> None:
    named = read_hardware_name(text)
    assert (named.gpu.name, named.gpus) == (card, count)
    assert named.gpu.compute_capability == capability
    assert any("decides" in note for note in named.notes)


def test_a_mixture_with_an_open_name_asks_for_that_one() -> None:
    with pytest.raises(UnknownGpu, match='"A100" leaves open'):
        read_hardware_name("H100 and A100")


def test_shared_gpus_are_said_to_be_shared() -> None:
    assert "time slices" in read_hardware_name("NVIDIA-A100-SXM4-80GB-SHARED").notes[0]


@pytest.mark.parametrize(
    ("text", "offered"),
    [("Apple M3 Ultra", False), ("Mac M3", False), ("24GB", False), ("rtx 6000", True)],
)
def test_only_near_names_are_offered(text: str, offered: bool) -> None:
    with pytest.raises(UnknownGpu) as caught:
        read_hardware_name(text)
    assert ("Nearest" in caught.value.hint) is offered
    assert "vram_gb" in caught.value.hint


def test_a_changed_card_is_offered_with_its_memory() -> None:
    with pytest.raises(UnknownGpu) as caught:
        read_hardware_name("RTX 4090 48GB")
    assert "gpu='GeForce RTX 4090', vram_gb" in caught.value.hint


def test_a_name_that_was_read_is_read_quickly_again() -> None:
    names = ["8 x H100 80GB SXM", "p5.48xlarge", "A100 MIG 3g.40gb", "h100"]
    for name in names:
        read_hardware_name(name)
    started = time.process_time()
    for _ in range(1000):
        for name in names:
            read_hardware_name(name)
    assert (time.process_time() - started) / 4000 < 0.002
