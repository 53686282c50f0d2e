"""Every spelling of the newest release, and every flag in every release of the table."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.flags.table import (
    Argument,
    known_releases,
    lifetime,
    parser_of,
)
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import NEWEST_KNOWN, format_version

LISTED = Path(__file__).parents[4] / "shared" / "data" / "vllm_0_33_flags.json"
VALUES = {
    "integer": "1",
    "number": "0.5",
    "scaled": "4k",
    "length": "4k",
    "json": "{}",
    "json_or_text": "{}",
    "config": "{}",
    "limits": "image=1",
    "json_or_limits": "image=1",
    "boolean": "true",
}
# Texts that a config takes only some of, or that more than one rule looks at.
TEXTS = {
    "--optimization-level": "2",
    "--kv-cache-dtype": "auto",
    "--max-lora-rank": "16",
    "--attention-backend": "flash_attn",
    "--distributed-executor-backend": "mp",
    "--load-format": "auto",
    "--reasoning-parser": "deepseek_r1",
    "--tokenizer-mode": "auto",
    "--node-rank": "0",
    "--config-format": "auto",
    "--data-parallel-backend": "mp",
}
# What vLLM asks for beside a flag.
BESIDE = {
    "--enable-auto-tool-choice": ["--tool-call-parser", "hermes"],
    "--enable-reasoning": ["--reasoning-parser", "deepseek_r1"],
    "--enable-log-outputs": ["--enable-log-requests"],
    "--lora-modules": ["--enable-lora"],
    "--enable-dbo": ["--all2all-backend", "deepep_low_latency"],
    "--data-parallel-hybrid-lb": ["--data-parallel-size-local", "1"],
    "--enable-eplb": ["--enable-expert-parallel", "-tp", "2"],
    "--num-redundant-experts": ["--enable-eplb", "--enable-expert-parallel", "-tp", "2"],
}


def fitting(argument: Argument) -> list[str]:
    """Words that the argument takes."""
    if not argument.takes_value:
        return []
    if argument.action == "lora_modules":
        return ["name=path"]
    usual = str(argument.choices[0]) if argument.choices else VALUES.get(argument.type, "x")
    value = TEXTS.get(argument.flag, usual)
    count = argument.nargs if isinstance(argument.nargs, int) else 1
    return [value] * count


def beside(argument: Argument, version: Version) -> list[str]:
    """Words that the release asks for beside the flag."""
    words = BESIDE.get(argument.flag, [])
    return words if words and words[0] in parser_of(version).by_spelling else []


def line(spelling: str, argument: Argument, version: Version = NEWEST_KNOWN) -> str:
    # --model is the positional argument's other name; early releases refuse it.
    model = [] if spelling.startswith("--model") and argument.flag == "--model" else ["m"]
    if spelling == "--config":
        return shlex.join(["vllm", "serve", *model, spelling, "absent.yaml"])
    words = [*fitting(argument), *beside(argument, version)]
    return shlex.join(["vllm", "serve", *model, spelling, *words])


NEWEST = parser_of(NEWEST_KNOWN).by_spelling


@pytest.mark.parametrize("spelling", sorted(NEWEST))
def test_every_spelling_with_a_fitting_value_is_taken(spelling: str) -> None:
    argument = NEWEST[spelling]
    assert parse_command(line(spelling, argument)).refusal is None
    if argument.takes_value and argument.nargs is None and spelling != "--config":
        others = shlex.join(beside(argument, NEWEST_KNOWN))
        attached = f"vllm serve m {spelling}={shlex.quote(fitting(argument)[0])} {others}"
        if argument.flag != "--model":
            assert parse_command(attached).refusal is None
    if spelling.startswith("--"):
        underscored = spelling.replace("-", "_").replace("__", "--", 1)
        if argument.flag not in {"--model", "--config"}:
            assert parse_command(line(underscored, argument)).refusal is None


def test_the_spellings_are_those_of_the_real_parser() -> None:
    if not LISTED.exists():
        pytest.skip("the listing of vLLM's parser is not here")
    listed = json.loads(LISTED.read_text(encoding="utf-8"))["arguments"]
    real = {spelling for argument in listed for spelling in argument["flags"]}
    hidden = {name for name in NEWEST if name.startswith("--no-")}
    assert real - {"-h", "--help"} <= NEWEST.keys()
    assert NEWEST.keys() - real <= hidden


def spellings() -> list[str]:
    """Every spelling that any release had."""
    found = {s for version in known_releases() for s in parser_of(version).by_spelling}
    return sorted(found)


def exists(spelling: str, version: tuple[int, int, int]) -> bool:
    return spelling in parser_of(version).by_spelling


@pytest.mark.parametrize("version", known_releases(), ids=format_version)
def test_a_flag_is_refused_outside_its_releases(version: tuple[int, int, int]) -> None:
    parser = parser_of(version)
    text = format_version(version)
    wrong: list[str] = []
    for spelling in spellings():
        if spelling == "--model":
            continue
        known = next(v for v in known_releases() if exists(spelling, v))
        newest = max(v for v in known_releases() if exists(spelling, v))
        has = spelling in parser.by_spelling
        argument = parser.by_spelling.get(spelling) or parser_of(newest).by_spelling[spelling]
        parsed = parse_command(line(spelling, argument, version), text)
        life = lifetime(spelling)
        assert life is not None
        if has and parsed.refusal is not None:
            wrong.append(f"{spelling}: {parsed.refusal.message}")
        if has:
            continue
        # A spelling that is gone may be the beginning of one that is there.
        longer = {s for s in parser.by_spelling if s.startswith(spelling)}
        if parsed.refusal is None and len({parser.by_spelling[s].flag for s in longer}) != 1:
            wrong.append(f"{spelling} is taken, known since {known}")
        if parsed.refusal is not None and "--" in parsed.refusal.message and not longer:
            assert spelling in parsed.refusal.message or spelling.startswith("-O")
    assert wrong == []


def test_the_table_is_sound() -> None:
    path = Path("planner/vllm_preflight/launch/flags/arguments.json")
    text = (Path(__file__).parents[3] / path).read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    assert table["source"] and table["date"] and table["description"]
    assert len(known_releases()) == len(set(known_releases())) == len(table["releases"])
    assert list(known_releases()) == sorted(known_releases())
    keys = {"since", "until", "aliases", "action", "type", "nargs", "choices", "optional"}
    keys |= {"config", "levels", "default", "dest"}
    for entry in table["arguments"]:
        assert entry.keys() <= {"flag", "replaced_by", "without", "history"}
        for span in entry["history"]:
            assert span.keys() <= keys
            assert {span.get("since"), span.get("until")} <= {None, *table["releases"]}
    assert known_releases()[-1] == NEWEST_KNOWN
