"""The chips behind buffers that follow the GPU: complete, plausible, dated."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from vllm_preflight.hardware.catalog import find_gpu, gpu_names
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.memory.runtime.chips import chip_of


def document() -> dict[str, Any]:
    folder = resources.files("vllm_preflight.memory.runtime")
    return json.loads(folder.joinpath("chips.json").read_text(encoding="utf-8"))


def test_every_chip_is_a_catalogued_card_of_plausible_size() -> None:
    found = document()
    chips: dict[str, Any] = found["chips"]
    assert found["schema"] == 1 and found["source"] and found["date"]
    assert set(chips) <= set(gpu_names())
    for name in chips:
        chip = chip_of(find_gpu(name))
        assert 5 <= chip.multiprocessors <= 400
        assert 2**20 <= chip.l2_bytes <= 256 * 2**20


def test_known_chips() -> None:
    h100 = chip_of(find_gpu("H100 SXM5 80GB"))
    assert (h100.multiprocessors, h100.l2_bytes) == (132, 50 * 2**20)
    assert chip_of(find_gpu("RTX 4090")).l2_bytes == 72 * 2**20


def test_a_card_without_an_entry_is_usual_for_its_architecture() -> None:
    unknown = Gpu("Some card", "NVIDIA", 2**34, "given", compute_capability=(9, 0))
    assert chip_of(unknown).multiprocessors == 132
