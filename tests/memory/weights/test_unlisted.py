"""Weights a config does not list: towers left open, keys once loaded, drafters, kept scales."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.memory.weights.unlisted import undescribed_parameters
from vllm_preflight.memory.weights.weights import weights_per_rank
from vllm_preflight.models.sources import load_model


def loaded_gib(name: str, gpu: str, version: str, **arguments: Any) -> float:
    """What "Model loading took" says."""
    model, card = load_model(name, source="catalog"), find_gpu(gpu)
    request = StartupRequest(model=name, vllm_version=version, **arguments)
    launch = resolve_launch(request, model.architecture, card, config=model.config)
    capability = card.compute_capability or (8, 0)
    return weights_per_rank(model, launch, capability).fullest.allocated / BYTES_TO_GIB


def test_a_tower_that_is_named_but_not_described_weighs_what_is_published_beyond_the_rest() -> None:
    open_tower = load_model("google/gemma-4-E4B-it", source="catalog")
    assert undescribed_parameters(open_tower) == pytest.approx(308e6, rel=0.02)
    without = load_model("google/gemma-4-26B-A4B-it", source="catalog")
    assert undescribed_parameters(without) == 0
    # Printed by 0.22.1: 15.18 GiB.
    size = loaded_gib("google/gemma-4-E4B-it", "RTX 4090", "0.22.1")
    assert size == pytest.approx(15.18, abs=0.06)
    silent = loaded_gib(
        "google/gemma-4-E4B-it", "RTX 4090", "0.22.1", limit_mm_per_prompt='{"audio": 0}'
    )
    assert size - silent == pytest.approx(0.575, abs=0.01)


def test_keys_of_sharing_layers_were_loaded_up_to_0_29() -> None:
    before, after = (
        loaded_gib("google/gemma-4-E4B-it", "RTX 4090", version) for version in ("0.29.0", "0.30.0")
    )
    assert before - after == pytest.approx(0.10, abs=0.01)


def test_early_mxfp4_experts_on_hopper_keep_their_scales_twice() -> None:
    # Printed by 0.11.0 on an H100: 13.47 GiB.
    early = loaded_gib("openai/gpt-oss-20b", "H100 SXM5 80GB", "0.11.0")
    assert early == pytest.approx(13.47, abs=0.01)
    assert loaded_gib("openai/gpt-oss-20b", "H100 SXM5 80GB", "0.19.0") < early - 0.4


def test_multimodal_rotary_tables_were_fourfold_up_to_0_31() -> None:
    before, after = (
        loaded_gib("Qwen/Qwen3.5-0.8B", "A100 SXM4 80GB", version)
        for version in ("0.28.0", "0.33.0")
    )
    # Printed by 0.28.0: 1.72 GiB.
    assert before == pytest.approx(1.72, abs=0.01)
    assert before - after == pytest.approx(3 * 262_144 * 64 * 2 / BYTES_TO_GIB, abs=0.01)
