"""Launches of older releases in the newest: what of them ends, what moves, what restores it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.diff import DiffReport, DiffRequest, MovedTerm
from vllm_preflight.contract.request import validate_request
from vllm_preflight.launch.ended import ended_flags
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.diff import diff_releases

NEW = "0.33.0"
OLD = ("0.9.2", "0.11.0", "0.20.0")
YARN = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32768}
# A line, the release it is of, what ends with the words for its successor, and the new line.
LINES: list[tuple[str, str, dict[str, str], str | None]] = [
    (
        "--swap-space 8 --max-model-len 8192",
        "0.10.0",
        {"--swap-space 8": "Nothing takes its place: the V1 engine swaps"},
        "--max-model-len 8192",
    ),
    (
        "--enable-reasoning --reasoning-parser qwen3",
        "0.9.2",
        {"--enable-reasoning": "Its place is taken by --reasoning-parser."},
        "--reasoning-parser qwen3",
    ),
    (
        "--device cuda -tp 1",
        "0.9.2",
        {"--device cuda": "Nothing takes its place: the platform"},
        "-tp 1",
    ),
    (
        f"--rope-scaling '{json.dumps(YARN)}' --max-model-len 32768",
        "0.11.0",
        {f"--rope-scaling {json.dumps(YARN)}": "Its place is taken by --hf-overrides."},
        "'--hf-overrides="
        + json.dumps({"rope_parameters": {"rope_theta": 1_000_000, **YARN}})
        + "' --max-model-len 32768",
    ),
    (
        "--max-seq-len-to-capture 32768",
        "0.10.2",
        {"--max-seq-len-to-capture 32768": "captures graphs by batch size"},
        "",
    ),
    (
        "--task generate --max-num-seqs 64",
        "0.12.0",
        {"--task generate": "Its place is taken by --runner."},
        "--max-num-seqs 64",
    ),
    (
        "--compilation-config '{\"use_inductor\": true}'",
        "0.11.0",
        {"use_inductor of --compilation-config": "Its place is taken by backend."},
        None,
    ),
    (
        '--compilation-config \'{"level": 3, "pass_config": {"enable_attn_fusion": true}}\'',
        "0.11.0",
        {
            "level of --compilation-config": "Its place is taken by mode.",
            "enable_attn_fusion of --compilation-config": "is taken by fuse_attn_quant.",
        },
        None,
    ),
    (
        '--kv-transfer-config \'{"kv_connector": "NixlConnector", "kv_role": "kv_both", '
        '"kv_rank": 0}\'',
        "0.13.0",
        {"kv_rank of --kv-transfer-config": "kv_rank was last in vLLM 0.31.0."},
        None,
    ),
    (
        "--enable-multimodal-encoder-data-parallel --disable-log-requests",
        "0.11.0",
        {"--enable-multimodal-encoder-data-parallel": "by --mm-encoder-tp-mode."},
        "--mm-encoder-tp-mode=data --disable-log-requests",
    ),
    ("--max-num-partial-prefills 2", "0.20.0", {"--max-num-partial-prefills 2": "0.26.0."}, ""),
]


def differ(command: str, old: str) -> DiffReport:
    asked = {"command": command, "gpu": "H100", "from_version": old, "to_version": NEW}
    return diff_releases(validate_request(DiffRequest, asked))


def check(command: str) -> Any:
    fields = {"command": command, "gpu": "H100", "vllm_version": NEW}
    return predict_startup(validate_request(StartupRequest, fields))


@pytest.mark.parametrize(
    ("flags", "old", "ends", "taken"), LINES, ids=[line[0].partition(" ")[0] for line in LINES]
)
def test_a_line_of_an_older_release(
    flags: str, old: str, ends: dict[str, str], taken: str | None
) -> None:
    found = differ(f"vllm serve Qwen/Qwen3-8B {flags}", old)
    assert found.before.verdict.outcome == "starts"
    assert found.verdict.outcome == "refused"
    assert [flag.written for flag in found.ended] == list(ends)
    for flag, said in zip(found.ended, ends.values(), strict=True):
        assert "was last in vLLM" in flag.sentence and said in flag.sentence
    if taken is None:
        assert found.command is None and not found.moved
        return
    line = f"vllm serve Qwen/Qwen3-8B {taken}".rstrip()
    assert found.command == line
    assert check(line).verdict.good
    defaults = {item.argument: (item.before, item.after) for item in found.defaults}
    assert ("gpu_memory_utilization" in defaults) == (old != "0.20.0")
    assert_moves_explain_the_cache(found)
    assert_restored(found)


def test_what_came_into_the_budget_is_told_though_its_size_is_the_same() -> None:
    found = differ("vllm serve Qwen/Qwen3-8B --gpu-memory-utilization 0.9", "0.19.0")
    graphs = next(term for term in found.moved if term.name == "cuda_graphs")
    assert graphs.before_gib == graphs.after_gib > 0
    assert graphs.rule.endswith("(outside the budget)")
    assert_moves_explain_the_cache(found)
    assert found.restore
    assert_restored(found)


def test_a_flag_that_ended_is_named_though_the_old_release_refuses_its_value() -> None:
    found = differ("vllm serve Qwen/Qwen3-8B --device abacus --swap-space 4", "0.9.2")
    assert found.before.verdict.outcome == "refused"
    assert [flag.written for flag in found.ended] == ["--device", "--swap-space"]


def test_keys_of_speculation_that_ended_are_named() -> None:
    config = '{"method": "ngram", "num_speculative_tokens": 3, "disable_by_batch_size": 8}'
    found = differ(f"vllm serve Qwen/Qwen3-8B --speculative-config '{config}'", "0.11.0")
    (flag,) = found.ended
    assert flag.written == "disable_by_batch_size of --speculative-config"
    assert flag.sentence == "disable_by_batch_size was last in vLLM 0.16.0."


def test_on_the_way_back_keys_are_said_to_have_come_later() -> None:
    config = '{"mode": 3, "compile_ranges_endpoints": [8]}'
    command = f"vllm serve Qwen/Qwen3-8B --compilation-config '{config}'"
    asked = {"command": command, "gpu": "H100", "from_version": NEW, "to_version": "0.17.0"}
    (flag,) = diff_releases(validate_request(DiffRequest, asked)).ended
    assert flag.sentence == "compile_ranges_endpoints came with vLLM 0.18.0."


def test_ten_real_launches(shared_dir: Path) -> None:
    """Of those that 0.33's own parser refused the ones that an older release had flags for."""
    text = (shared_dir / "data" / "launches.jsonl").read_text(encoding="utf-8")
    refused = [row for row in map(json.loads, text.splitlines()) if not row["accepted"]]
    told = 0
    for row in refused:
        line, new = shlex.join(row["command"]), parse_version(NEW)
        old = next((v for v in OLD if any(ended_flags(line, parse_version(v), new))), None)
        if old is None:
            continue
        told += 1
        found = differ(line, old)
        assert found.verdict.outcome == "refused", line
        assert any(row["flag"] in flag.written for flag in found.ended), line
        assert all("was last in vLLM" in flag.sentence for flag in found.ended), line
        if found.command is not None:
            assert check(found.command).verdict.good, line
            assert_moves_explain_the_cache(found)
            assert_restored(found)
    assert told >= 10


def assert_moves_explain_the_cache(found: DiffReport) -> None:
    """What moved in the budget adds up to the cache's difference, but for what is too small."""
    before, after = found.before.available_kv_cache_gib, found.after.available_kv_cache_gib
    if before is None or after is None or not found.moved:
        return
    assert all(term.rule and term.source for term in found.moved)
    assert not any("(not counted)" in term.rule for term in found.moved)
    assert sum(map(gained, found.moved)) == pytest.approx(after - before, abs=0.06)


def gained(term: MovedTerm) -> float:
    """GiB that the cache gains by a term's move; what is beside the budget takes none."""
    now, _, was = term.rule.partition("before: ")
    beside = ("(outside the budget)", "charged to nothing")
    had = 0.0 if any(text in (was or now) for text in beside) else term.before_gib
    has = 0.0 if any(text in now for text in beside) else term.after_gib
    return has - had if term.name == "requested_memory" else had - has


def assert_restored(found: DiffReport) -> None:
    """Each setting is proved: the new line with it starts and holds what the old one held."""
    wanted, command = found.before.kv_cache_tokens, found.command
    assert command is not None
    for item in found.restore:
        answer = check(f"{command} {item.flags}")
        assert answer.verdict.good, item.flags
        assert answer.startup.kv_cache_tokens == item.kv_cache_tokens
        assert wanted is not None and item.kv_cache_tokens >= 0.999 * wanted
