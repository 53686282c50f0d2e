"""What each release knows, against its own source."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from vllm_preflight.launch.speculation.table import (
    eagle3_targets,
    is_prediction_target,
    last_release_with,
    methods_of,
)
from vllm_preflight.launch.versions import parse_version


@pytest.mark.parametrize(
    ("method", "without", "having"),
    [
        ("eagle3", "0.9.0", "0.9.1"),
        ("mtp", "0.10.2", "0.11.0"),
        ("suffix", "0.11.0", "0.11.1"),
        ("dflash", "0.19.1", "0.20.0"),
        ("dspark", "0.24.0", "0.25.0"),
        ("medusa", "0.33.0", "0.32.0"),
    ],
)
def test_methods_come_and_go_with_releases(method: str, without: str, having: str) -> None:
    assert method not in methods_of(parse_version(without))
    assert method in methods_of(parse_version(having))


def test_a_removed_method_names_the_last_release_that_has_it() -> None:
    assert last_release_with("medusa") == "0.32.0"
    assert last_release_with("eagle3") is None
    assert last_release_with("nothing") is None


@pytest.mark.parametrize(
    ("names", "version", "expected"),
    [
        (["deepseek_v3"], "0.33.0", True),
        (["kimi_k2"], "0.33.0", False),
        (["qwen3"], "0.33.0", False),
        (["mimo", "mimoForCausalLM"], "0.9.0", True),
        (["glm4_moe", "Glm4MoeForCausalLM"], "0.9.2", False),
        (["qwen3_next"], "0.10.1", False),
        (["qwen3_next"], "0.10.2", True),
    ],
)
def test_targets_of_prediction_by_release(names: list[str], version: str, expected: bool) -> None:
    assert is_prediction_target(names, parse_version(version)) is expected


def test_eagle3_was_limited_to_listed_targets_for_a_while() -> None:
    assert eagle3_targets(parse_version("0.9.2")) is None
    assert eagle3_targets(parse_version("0.10.2")) == ("llama", "qwen")
    assert eagle3_targets(parse_version("0.33.0")) is None


def test_the_table_is_whole() -> None:
    package = resources.files("vllm_preflight.launch.speculation")
    table = json.loads(package.joinpath("methods.json").read_text(encoding="utf-8"))
    releases = [parse_version(name) for name in table["releases"]]
    assert table["source"] and table["date"] and releases == sorted(releases)
    for kind in ("methods", "mtp_targets"):
        for row in table[kind]:
            assert set(row) <= {"name", "since", "last"}
            assert row["since"] in table["releases"]
            assert row.get("last", table["releases"][0]) in table["releases"]
