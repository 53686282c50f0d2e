"""The compare tool and command: what clients and terminals see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp.types import Tool
from tests.server.conftest import Ask, text_of

from vllm_preflight_server.cli.main import main

QUESTION: dict[str, Any] = {
    "model": "meta-llama/Llama-3.3-70B-Instruct",
    "concurrency": 32,
    "prompt_tokens": 7_168,
    "gen_tokens": 1_024,
}
SMALL = ["compare", "Qwen/Qwen3-8B", "--gpus", "H100,L4,L40S", "--concurrency", "8"]
# 1,500 tokens at the four characters a token has in such text.
CONCISE_CHARACTERS = 6_000


@pytest.mark.parametrize("detail", ["concise", "full"])
def test_the_answer_is_what_the_tool_publishes(
    ask: Ask, tools: Mapping[str, Tool], detail: str
) -> None:
    result = ask("compare_hardware", {**QUESTION, "detail": detail})
    assert not result.is_error, text_of(result)
    structured, schema = result.structured_content, tools["compare_hardware"].output_schema
    assert structured is not None and schema is not None
    jsonschema.validate(structured, schema)
    assert structured["best"]["gpu"] in text_of(result)
    if detail == "concise":
        assert len(json.dumps(structured)) <= CONCISE_CHARACTERS
        assert len(text_of(result)) <= CONCISE_CHARACTERS


def test_the_definition_is_small(tools: Mapping[str, Tool]) -> None:
    text = tools["compare_hardware"].model_dump_json(by_alias=True, exclude_none=True)
    assert len(text.encode()) <= 6_000


def test_cheapest_without_prices_is_a_sentence(ask: Ask) -> None:
    result = ask("compare_hardware", {**QUESTION, "optimise": "cheapest"})
    assert result.is_error and "prices" in text_of(result)


def test_prices_may_come_as_an_object(ask: Ask) -> None:
    prices = {"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 2.4}}
    result = ask("compare_hardware", {**QUESTION, "gpus": "H100", "prices": prices})
    structured = result.structured_content
    assert structured is not None
    best = structured["best"]
    assert best["cost_per_hour"] == pytest.approx(2.4 * best["gpus"])


def test_the_command_is_one_table_and_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SMALL) == 0
    shown = capsys.readouterr().out
    assert "vllm serve Qwen/Qwen3-8B" in shown
    assert len(shown.splitlines()) <= 24


def test_json_is_the_whole_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["best"] and answer["options"]


def test_the_exit_code_says_that_nothing_does(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", "Qwen/Qwen3-32B", "--gpus", "T4", "--max-gpus", "1"]
    assert main([*arguments, "--concurrency", "500"]) == 1
    assert "none of 1 kinds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '{"currency": "USD", "date": "2026-11-01", "gpu_hour": {"L4": 0.7}}'),
        ("p.yaml", "currency: USD\ndate: 2026-11-01\ngpu_hour:\n  L4: 0.7\n"),
    ],
)
def test_prices_come_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert main([*SMALL, "--json", "--prices", str(tmp_path / name)]) == 0
    rows = json.loads(capsys.readouterr().out)["options"]
    assert {row["gpu"]: row.get("cost_per_hour") for row in rows}["L4"] is not None


@pytest.mark.parametrize("text", ["a: [", "", "just words", "\x00", "- 1\n- 2\n"])
def test_a_file_that_is_no_price_list_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    assert main([*SMALL, "--prices", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "error: " in captured.err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no object of names"),
        (b'{"currency": "USD"}', "have no date"),
        ('{"currency": "USD"}'.encode("utf-16"), "neither JSON nor YAML"),
        (b"source: caf\xe9\n", "neither JSON nor YAML"),
        (b"currency: USD\ndate: 2026-11-01\ngpu_hour: {L4: .nan}\n", "'nan', but must be"),
        (b" " * 1_000_001, "is larger than"),
        (None, "is not a file"),
    ],
)
def test_an_odd_price_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, says: str
) -> None:
    path = tmp_path / "prices"
    path.mkdir() if content is None else path.write_bytes(content)
    assert main(["plan", "Qwen/Qwen3-8B", "--gpu", "L4", "--prices", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("error: ")
    assert says in captured.err and captured.err.count("\n") == 1


def test_a_price_file_may_begin_with_a_byte_order_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '{"currency": "USD", "date": "2026-11-01", "gpu_hour": {"L4": 0.7}}'
    (tmp_path / "p.json").write_text(text, encoding="utf-8-sig")
    small = ["plan", "Qwen/Qwen3-8B", "--gpu", "L4", "--max-model-len", "4096", "--json"]
    assert main([*small, "--prices", str(tmp_path / "p.json")]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["per_hour"] == 0.7


def test_a_missing_price_file_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--prices", "no-such-file.json"]) == 2
    assert "no-such-file.json" in capsys.readouterr().err


def test_the_built_in_prices_are_there_for_the_asking(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--prices", "list", "--provider", "lambda,aws", "--daily-load", "1"]
    assert main([*SMALL, *asked, "--api-price", "0.2/0.6"]) == 0
    shown = capsys.readouterr().out
    assert "USD an hour: " in shown and " USD a month, day and night." in shown
    assert "The API at 0.2/0.6 USD" in shown and "List prices in USD" in shown
    assert main([*SMALL, "--prices", "none", "--json"]) == 0
    assert all("cost_per_hour" not in row for row in json.loads(capsys.readouterr().out)["options"])


@pytest.mark.parametrize(
    "words",
    [
        ["--provider", "aws"],
        ["--prices", "list", "--provider", "awz"],
        ["--prices", "list", "--daily-load", "30h@1"],
        ["--prices", "list", "--api-price", "cheap"],
        ["--daily-load", "1"],
        ["--prices", "none", "--optimise", "cheapest"],
    ],
)
def test_costs_that_cannot_be_are_a_sentence(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main([*SMALL, *words]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_plan_shows_what_it_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.yaml").write_text("currency: EUR\ndate: 2026-11-01\ngpu_hour: {L4: 0.7}\n")
    small = ["plan", "Qwen/Qwen3-8B", "--gpu", "L4", "--max-model-len", "4096"]
    asked = [*small, "--prices", str(tmp_path / "p.yaml"), "--daily-load", "0.01"]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert "\nCost:\n  " in shown and " EUR an hour: " in shown and " EUR a month" in shown
    assert "Cost of a million tokens by load:" in shown
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["currency"] == "EUR"
    assert main(small) == 0
    assert "Cost" not in capsys.readouterr().out


def test_an_assistant_may_ask_for_the_built_in_prices(ask: Ask) -> None:
    asked = {**QUESTION, "prices": "list", "provider": "aws,lambda", "daily_load": "8h@0.5"}
    result = ask("compare_hardware", {**asked, "api_price": "0.6"})
    structured = result.structured_content
    assert structured is not None and not result.is_error, text_of(result)
    assert "on demand in" in structured["best"]["price"] and structured["costs"]
    assert len(json.dumps(structured)) <= CONCISE_CHARACTERS
