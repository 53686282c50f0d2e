"""Flags by release: what is written exists in the release written for, spelled as it was."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.inputs import EngineInput, ModelInput
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.launch.flags.bearing import all_flags, find_flag
from vllm_preflight.launch.render import render_command
from vllm_preflight.launch.versions import NEWEST_KNOWN, OLDEST_KNOWN, parse_version


def words(version: str, **fields: Any) -> list[str]:
    rendered = render_command({"model": "m", **fields}, version=parse_version(version))
    return list(rendered.argv[3:])


@pytest.mark.parametrize(
    ("field", "value", "since"),
    [
        ("data_parallel_size", 2, "0.8.3"),
        ("speculative_config", '{"method": "ngram"}', "0.8.2"),
        ("decode_context_parallel_size", 2, "0.10.2"),
        ("kv_cache_memory_bytes", 2**30, "0.10.2"),
        ("mamba_cache_mode", "align", "0.15.0"),
    ],
)
def test_a_flag_is_refused_before_the_release_it_came_with(
    field: str, value: object, since: str
) -> None:
    assert words(since, **{field: value})
    with pytest.raises(InvalidRequest, match=f"came with {since}"):
        words("0.8.0", **{field: value})


def test_a_flag_is_refused_after_it_left() -> None:
    assert words("0.12.0", task="embed") == ["--task", "embed"]
    with pytest.raises(InvalidRequest, match=r"vLLM 0.13.0 has no --task any more"):
        words("0.13.0", task="embed")


def test_old_parsers_have_no_negated_switches_but_one() -> None:
    switches = {"enforce_eager": False, "enable_lora": False, "enable_prefix_caching": False}
    assert words("0.8.4", **switches) == ["--no-enable-prefix-caching"]
    assert words("0.9.0", **switches) == [
        "--no-enforce-eager", "--no-enable-prefix-caching", "--no-enable-lora",
    ]  # fmt: skip


def test_old_parsers_take_limits_as_pairs() -> None:
    limits = '{"image": 2, "video": {"count": 0}}'
    assert words("0.8.4", limit_mm_per_prompt=limits) == [
        "--limit-mm-per-prompt", "image=2,video=0",
    ]  # fmt: skip
    assert words("0.9.0", limit_mm_per_prompt=limits) == ["--limit-mm-per-prompt", limits]


def test_without_a_release_everything_is_written() -> None:
    rendered = render_command({"model": "m", "decode_context_parallel_size": 2})
    assert rendered.argv[3:] == ("--decode-context-parallel-size", "2")


def test_every_engine_field_of_a_request_is_a_flag_of_the_newest_release() -> None:
    ours = {"vllm_version", "free_vram_gb", "calibration", "compile_cache", "params_b"}
    ours |= {"vllm_args"}
    fields = ({*EngineInput.model_fields} | {*ModelInput.model_fields}) - ours
    assert fields <= PlanRequest.model_fields.keys()
    for name in fields:
        flag = find_flag(f"--{name.replace('_', '-')}")
        assert flag is not None and flag.name == name
        assert flag.until is None


def test_releases_of_flags_are_known_releases_in_order() -> None:
    for flag in all_flags():
        since = flag.since or OLDEST_KNOWN
        until = flag.until or (NEWEST_KNOWN[0], NEWEST_KNOWN[1] + 1, 0)
        assert OLDEST_KNOWN <= since < until, flag.flag


def test_the_table_has_known_keys_only() -> None:
    folder = resources.files("vllm_preflight.launch.flags")
    entries = json.loads(folder.joinpath("bearing.json").read_text("utf-8"))["flags"]
    known = {"flag", "type", "target", "name", "minimum", "reckoned"}
    assert all(entry.keys() <= known for entry in entries)
    assert len({entry["flag"] for entry in entries}) == len(entries)
