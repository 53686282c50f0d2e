from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.defaults import batch_default, batch_runner_default, default_for
from vllm_preflight.launch.versions import parse_version


def gpu(name: str, gib: float, capability: tuple[int, int], *nvml_names: str) -> Gpu:
    return Gpu(
        name,
        "NVIDIA",
        int(gib * 2**30),
        "measured",
        compute_capability=capability,
        nvml_names=nvml_names,
    )


def table() -> dict[str, Any]:
    folder = resources.files("vllm_preflight.launch")
    return json.loads(folder.joinpath("defaults.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("version", "card", "tokens", "seqs"),
    [
        ("0.33.0", gpu("B200", 178.4, (10, 0)), 16384, 1024),
        ("0.28.0", gpu("B200", 178.4, (10, 0)), 16384, 1024),
        ("0.26.0", gpu("B200", 178.4, (10, 0)), 8192, 1024),
        ("0.33.0", gpu("H100", 79.19, (9, 0)), 8192, 1024),
        ("0.8.5", gpu("H100", 79.19, (9, 0)), 8192, 1024),
        ("0.33.0", gpu("A100-80GB-SXM", 79.25, (8, 0)), 2048, 256),
        ("0.10.1.1", gpu("Big", 79.25, (8, 0), "NVIDIA A100-SXM4-80GB"), 2048, 256),
        ("0.8.5", gpu("A100-80GB-SXM", 79.25, (8, 0)), 8192, 1024),
        ("0.33.0", gpu("A100-40GB-SXM", 39.4, (8, 0)), 2048, 256),
        ("0.33.0", gpu("L40S", 44.4, (8, 9)), 2048, 256),
        ("0.33.0", gpu("RTX 4090", 23.52, (8, 9)), 2048, 256),
        ("0.33.0", gpu("GB10", 119.7, (12, 1)), 2048, 256),
        ("0.31.0", gpu("GB10", 119.7, (12, 1)), 8192, 1024),
        ("0.12.0", gpu("RTX PRO 6000 Blackwell", 94.97, (12, 0)), 8192, 1024),
    ],
)
def test_batch_defaults_follow_memory_name_and_release(
    version: str, card: Gpu, tokens: int, seqs: int
) -> None:
    default = batch_default(parse_version(version), card)
    assert (default.max_num_batched_tokens, default.max_num_seqs) == (tokens, seqs)


@pytest.mark.parametrize(
    ("name", "before", "since"),
    [
        ("gpu_memory_utilization", ("0.19.1", 0.9), ("0.20.0", 0.92)),
        ("async_scheduling", ("0.13.0", False), ("0.14.0", True)),
        ("max_model_len_auto", ("0.13.0", False), ("0.14.0", True)),
        ("hybrid_prefix_caching", ("0.25.1", False), ("0.26.0", True)),
        ("prefix_cached_mamba_mode", ("0.14.1", "all_or_none"), ("0.15.0", "all_or_align")),
        ("prefix_cached_mamba_mode", ("0.27.1", "all_or_align"), ("0.28.0", "align")),
        ("cudagraph_size_rule", ("0.11.0", "steps8_by_seqs"), ("0.11.1", "by_seqs")),
        ("float32_becomes", ("0.9.0", "float16"), ("0.9.1", "bfloat16")),
        ("cudagraph_memory_charged", ("0.19.1", False), ("0.20.0", True)),
        ("second_runner_estimates_graphs", ("0.28.0", False), ("0.29.0", True)),
    ],
)
def test_defaults_change_from_one_release_to_the_next(
    name: str, before: tuple[str, Any], since: tuple[str, Any]
) -> None:
    for version, value in (before, since):
        assert default_for(name, parse_version(version)).value == value


def test_every_entry_has_value_unit_source_and_ordered_releases() -> None:
    for name, entry in table()["settings"].items():
        assert entry["unit"], name
        releases = [parse_version(item["since"]) for item in entry["history"]]
        assert releases[0] == (0, 8, 0), name
        assert releases == sorted(set(releases)), name
        for item in entry["history"]:
            assert "value" in item and item["source"], name
    for name, entry in table()["models"].items():
        assert entry["unit"] and entry["value"] and entry["source"], name


def test_the_first_releases_with_v1_batch_1024_sequences_on_any_card() -> None:
    # 0.8.0 refuses 32B models on 24 GiB cards that 256 sequences would leave room.
    card = gpu("GeForce RTX 4090", 23.5, (8, 9))
    assert batch_default((0, 8, 3), card).max_num_seqs == 1024
    assert batch_default((0, 8, 4), card).max_num_seqs == 256


def test_the_rules_of_model_runners_are_ordered_and_name_their_drafts() -> None:
    section = table()["model_runners"]
    assert section["unit"] and section["source"]
    releases = [parse_version(rule["since"]) for rule in section["rules"]]
    assert releases == sorted(set(releases)) and releases[0] == (0, 22, 0)
    kinds = {"listed, unquantised", "listed", "dense", "dense and listed hybrids", "all"}
    for rule in section["rules"]:
        assert rule["models"] in kinds
        assert ("drafts" in rule) != ("drafts_lacking" in rule)
        assert bool(rule["classes"]) == (rule["models"] != "all")


@pytest.mark.parametrize(
    ("version", "pooling", "multimodal", "tokens", "seqs"),
    [
        ("0.33.0", False, True, 2048, 128),
        ("0.11.1", True, False, 2048, 128),
        ("0.11.0", False, False, 2048, 128),
        ("0.11.0", False, True, 5120, 128),
        ("0.10.2", True, True, 32768, 128),
        # Before 0.9.2 the sequences are those of a server.
        ("0.9.1", False, False, 2048, 1024),
    ],
)
def test_the_batch_runner_has_the_schedulers_own_defaults(
    version: str, pooling: bool, multimodal: bool, tokens: int, seqs: int
) -> None:
    h100 = gpu("H100", 79.19, (9, 0))
    default = batch_runner_default(
        parse_version(version), h100, pooling=pooling, multimodal=multimodal
    )
    assert (default.max_num_batched_tokens, default.max_num_seqs) == (tokens, seqs)
