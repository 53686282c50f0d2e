"""Families with recurrent states: caches, published parameter counts, refusals."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    IndexerCache,
    LatentCache,
    RingCache,
    Split,
    StateCache,
)
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.sources import load_model


def catalogued(name: str) -> Architecture:
    return load_model(name, source="catalog").architecture


def changed(name: str, **changes: Any) -> Architecture:
    return read_architecture({**load_model(name, source="catalog").config, **changes})


def kinds(architecture: Architecture) -> Counter[str]:
    """How many layers keep each kind of state or cache."""
    return Counter(
        cache.kind if isinstance(cache, StateCache) else type(cache).__name__
        for layer in architecture.layers
        for cache in layer.caches
    )


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # safetensors totals as published on the Hub, prediction layers and towers included
        ("Qwen/Qwen3.5-9B", 9_653_104_368),
        ("Qwen/Qwen3.6-35B-A3B", 35_951_822_704),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", 81_324_862_720),
        ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16", 123_611_033_088),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", 8_888_227_328),
        ("nvidia/Nemotron-H-8B-Base-8K", 8_100_852_736),
        ("nvidia/Nemotron-H-56B-Base-8K", 56_324_350_464),
        ("ibm-granite/granite-4.0-h-tiny", 6_939_037_248),
        ("ai21labs/Jamba-v0.1", 51_570_323_328),
        ("tiiuae/falcon-mamba-7b", 7_272_665_088),
        ("LiquidAI/LFM2-1.2B", 1_170_340_608),
        ("MiniMaxAI/MiniMax-M1-80k", 456_089_655_296),
        ("moonshotai/Kimi-Linear-48B-A3B-Instruct", 49_122_681_728),
        ("zai-org/GLM-5.3-Flash", 321_323_031_390),
        ("allenai/Olmo-Hybrid-7B", 7_430_870_688),
    ],
)
def test_published_parameter_counts(name: str, parameters: int) -> None:
    stored = sum(
        weight.elements * count
        for _, weight, count in catalogued(name).all_weights()
        if weight.in_checkpoint
    )
    assert stored == parameters


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", {"gdn": 36, "AttentionCache": 12}),
        ("ai21labs/Jamba-v0.1", {"mamba1": 28, "AttentionCache": 4}),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", {"mamba2": 23, "AttentionCache": 6}),
        ("ibm-granite/granite-4.0-h-tiny", {"mamba2": 36, "AttentionCache": 4}),
        ("tiiuae/Falcon-H1-7B-Base", {"mamba2": 44, "AttentionCache": 44}),
        ("tiiuae/falcon-mamba-7b", {"mamba1": 64}),
        ("LiquidAI/LFM2-1.2B", {"short_conv": 10, "AttentionCache": 6}),
        ("moonshotai/Kimi-K3", {"kda": 69, "LatentCache": 24}),
        ("MiniMaxAI/MiniMax-M1-80k", {"linear": 70, "AttentionCache": 10}),
        ("Zyphra/Zamba2-2.7B", {"mamba2": 54, "AttentionCache": 9}),
        (
            "zai-org/GLM-5.3-Flash",
            {"kda": 34, "LatentCache": 11, "IndexerCache": 11, "RingCache": 11},
        ),
        ("nvidia/MiniMax-M3-NVFP4", {"AttentionCache": 60, "IndexerCache": 57}),
    ],
)
def test_what_the_layers_keep(name: str, expected: dict[str, int]) -> None:
    assert kinds(catalogued(name)) == expected


def test_states_of_a_gated_delta_net() -> None:
    layer = catalogued("Qwen/Qwen3-Next-80B-A3B-Instruct").layers[0]
    assert layer.caches == (StateCache("gdn", 8192, 4, (32, 128, 128), key_head_dim=128),)
    # Qwen3.5 asks for float32 states, Qwen3-Next does not.
    newer = catalogued("Qwen/Qwen3.6-35B-A3B").layers[0].caches[0]
    assert isinstance(newer, StateCache)
    assert newer.state_dtype == "float32"


def test_delta_attention_keeps_float32_states_and_tells_a_bounded_gate() -> None:
    plain = catalogued("moonshotai/Kimi-Linear-48B-A3B-Instruct").layers[0].caches[0]
    bounded = catalogued("moonshotai/Kimi-K3").layers[0].caches[0]
    assert isinstance(plain, StateCache)
    assert isinstance(bounded, StateCache)
    assert (plain.state_dtype, plain.gate_bounded, bounded.gate_bounded) == ("float32", False, True)
    assert plain.conv_channels == 3 * 32 * 128


def test_groups_of_mamba2_are_replicated_when_ranks_exceed_them() -> None:
    layer = catalogued("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16").layers[0]
    (cache,) = layer.caches
    assert isinstance(cache, StateCache)
    assert (cache.groups, cache.group_channels, cache.state_dtype) == (8, 256, "float32")
    grouped = [w for w in layer.weights if w.split is Split.KV_HEADS]
    assert {weight.units for weight in grouped} == {8}


def test_pooled_indexer_keys_leave_a_ring_of_the_tail() -> None:
    layer = catalogued("zai-org/GLM-5.3-Flash").layers[3]
    assert [type(cache) for cache in layer.caches] == [LatentCache, IndexerCache, RingCache]
    assert layer.caches[1:] == (IndexerCache(128, 4), RingCache(256, 4))


def test_prediction_layers_attend_in_full() -> None:
    for name in ("Qwen/Qwen3.6-35B-A3B", "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16"):
        layers = catalogued(name).predictor_layers
        assert any(isinstance(c, AttentionCache) for layer in layers for c in layer.caches)
        assert not any(isinstance(c, StateCache) for layer in layers for c in layer.caches)


def test_layers_follow_the_interval_when_none_are_listed() -> None:
    architecture = changed("Qwen/Qwen3-Next-80B-A3B-Instruct", full_attention_interval=2)
    assert kinds(architecture) == {"gdn": 24, "AttentionCache": 24}


def test_dense_width_of_lfm2_is_adjusted_unless_told() -> None:
    assert changed("LiquidAI/LFM2-1.2B").intermediate_size == 8192
    plain = changed("LiquidAI/LFM2-1.2B", block_auto_adjust_ff_dim=False)
    assert plain.intermediate_size == 12288


def test_attention_free_models_have_no_heads_to_divide() -> None:
    architecture = catalogued("tiiuae/falcon-mamba-7b")
    assert (architecture.num_attention_heads, architecture.num_kv_heads) == (0, 0)
    assert architecture.is_hybrid


def test_bamba_and_mamba2_are_read() -> None:
    common = {"hidden_size": 64, "num_hidden_layers": 4, "vocab_size": 256}
    bamba = read_architecture(
        {
            **common,
            "model_type": "bamba",
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 128,
            "attn_layer_indices": [2],
            "mamba_n_heads": 8,
            "mamba_d_state": 16,
        }
    )
    assert kinds(bamba) == {"mamba2": 3, "AttentionCache": 1}
    mamba = read_architecture({**common, "model_type": "mamba2", "num_heads": 2, "head_dim": 64})
    assert kinds(mamba) == {"mamba2": 4}


def test_unknown_layer_letters_are_named() -> None:
    with pytest.raises(UnsupportedArchitecture, match="hybrid_override_pattern"):
        changed(
            "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
            hybrid_override_pattern="MX*",
            num_hidden_layers=3,
        )


def test_unknown_layer_kinds_are_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="layers of kind ring"):
        changed("ibm-granite/granite-4.0-h-tiny", layer_types=["ring"] * 40)


def test_zamba2_must_say_which_layers_attend() -> None:
    with pytest.raises(UnsupportedArchitecture, match="which of its 8 layers attend"):
        changed("Zyphra/Zamba2-2.7B", num_hidden_layers=8)
    listed = changed("Zyphra/Zamba2-2.7B", num_hidden_layers=8, hybrid_layer_ids=[3])
    assert kinds(listed) == {"mamba2": 8, "AttentionCache": 1}


def test_unknown_dtypes_of_states_are_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="mamba_ssm_cache_dtype is 'int3'"):
        changed("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", mamba_ssm_cache_dtype="int3")
