"""One launch in two releases: what ends, what moves, and that what restores it is proved."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.diff import DiffReport, DiffRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.diff import diff_releases


def differ(command: str, old: str, new: str = "0.33.0", **fields: Any) -> DiffReport:
    asked = {"command": command, "gpu": "H100", **fields, "from_version": old, "to_version": new}
    return diff_releases(validate_request(DiffRequest, asked))


def alone(command: str, version: str, gpu: str = "H100") -> Any:
    fields = {"command": command, "gpu": gpu, "vllm_version": version}
    return predict_startup(validate_request(StartupRequest, fields))


def test_each_side_is_what_the_launch_alone_says() -> None:
    command = "vllm serve Qwen/Qwen3-32B --max-model-len 16k"
    found = differ(command, "0.18.0")
    for side, version in ((found.before, "0.18.0"), (found.after, "0.33.0")):
        assert side.verdict == alone(command, version).verdict
        assert side.kv_cache_tokens == alone(command, version).startup.kv_cache_tokens
    assert found.verdict == found.after.verdict


@pytest.mark.parametrize(
    ("flags", "old", "written", "taken"),
    [
        ("--swap-space 16", "0.10.0", ["--swap-space 16"], ""),
        ("--max-seq-len-to-capture=8192", "0.10.0", ["--max-seq-len-to-capture=8192"], ""),
        ("--disable-log-requests", "0.10.0", [], "--disable-log-requests"),
        (
            "--enable-reasoning --reasoning-parser qwen3 --swap-space 4",
            "0.9.2",
            ["--enable-reasoning", "--swap-space 4"],
            "--reasoning-parser qwen3",
        ),
        (
            "--guided-decoding-backend xgrammar",
            "0.10.0",
            ["--guided-decoding-backend xgrammar"],
            "--structured-outputs-config.backend=xgrammar",
        ),
    ],
)
def test_flags_that_end_are_named_and_the_new_line_starts(
    flags: str, old: str, written: list[str], taken: str
) -> None:
    found = differ(f"vllm serve Qwen/Qwen3-8B {flags}", old)
    assert found.before.verdict.outcome == "starts"
    assert [flag.written for flag in found.ended] == written
    assert all("was last in vLLM" in flag.sentence for flag in found.ended)
    assert found.verdict.outcome == ("refused" if written else "starts")
    assert found.command is not None
    assert found.command == f"vllm serve Qwen/Qwen3-8B {taken}".rstrip()
    assert alone(found.command, "0.33.0").verdict.outcome == "starts"
    assert found.after.kv_cache_tokens == alone(found.command, "0.33.0").startup.kv_cache_tokens


def test_defaults_and_memory_that_moved_come_with_their_rules() -> None:
    found = differ("vllm serve Qwen/Qwen3-32B --max-model-len 16k", "0.18.0")
    changed = {item.argument: (item.before, item.after) for item in found.defaults}
    assert changed["gpu_memory_utilization"] == (0.9, 0.92)
    moved = {term.name: term for term in found.moved}
    assert moved["requested_memory"].rule.startswith("0.92 ×")
    sizes = [abs(term.after_gib - term.before_gib) for term in found.moved]
    assert sizes == sorted(sizes, reverse=True)
    given = differ(
        "vllm serve Qwen/Qwen3-32B --max-model-len 16k --gpu-memory-utilization 0.9", "0.18.0"
    )
    assert "gpu_memory_utilization" not in {item.argument for item in given.defaults}


def test_what_restores_the_old_cache_does() -> None:
    command = "vllm serve Qwen/Qwen3-32B --max-model-len 16k"
    found = differ(command, "0.18.0")
    wanted = found.before.kv_cache_tokens
    assert wanted is not None and (found.after.kv_cache_tokens or 0) < wanted
    assert [item.flags.split()[0] for item in found.restore] == [
        "--gpu-memory-utilization",
        "--kv-cache-memory-bytes",
    ]
    for item in found.restore:
        tried = alone(f"{command} {item.flags}", "0.33.0")
        assert tried.verdict.outcome == "starts"
        assert tried.startup.kv_cache_tokens == item.kv_cache_tokens >= wanted * 0.999


def test_nothing_is_restored_that_was_not_lost() -> None:
    found = differ("vllm serve meta-llama/Llama-3.1-8B-Instruct", "0.10.0")
    assert (found.after.kv_cache_tokens or 0) >= (found.before.kv_cache_tokens or 0)
    assert found.restore == []


def test_a_launch_by_fields_is_compared_too() -> None:
    asked = {"model": "Qwen/Qwen3-8B", "gpu": "L40S", "max_model_len": 8192}
    asked |= {"from_version": "0.19.0", "to_version": "0.33.0"}
    found = diff_releases(validate_request(DiffRequest, asked))
    assert found.command == "vllm serve Qwen/Qwen3-8B --max-model-len 8192"


def test_a_third_release_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match="From_version and to_version name the releases"):
        differ("vllm serve Qwen/Qwen3-8B", "0.19.0", vllm_version="0.20.0")
