"""The find command and tool: what terminals and clients see."""

from __future__ import annotations

import json

import pytest
from tests.server.conftest import Ask, text_of

from vllm_preflight_server.cli.main import main

SMALL = ["find", "--gpu", "L4", "--family", "qwen3", "--max-params-b", "9", "--limit", "3"]


def test_the_table_and_the_command_of_the_largest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SMALL) == 0
    shown = capsys.readouterr().out
    assert "start on 1 × L4" in shown and "vllm serve Qwen/Qwen3" in shown


def test_json_has_the_rows_of_the_tool(capsys: pytest.CaptureFixture[str], ask: Ask) -> None:
    assert main([*SMALL, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    asked = {"gpu": "L4", "family": "qwen3", "max_params_b": 9, "limit": 3}
    result = ask("find_models", asked)
    assert not result.is_error, text_of(result)
    told = result.structured_content
    assert told is not None and told["carried"] == printed["carried"]
    assert [row["model"] for row in told["models"]] == [row["model"] for row in printed["models"]]
    assert told["largest"]["serve_command"] == printed["models"][0]["serve_command"]


def test_nothing_found_ends_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "--gpu", "T4", "--family", "no such family"]) == 1
    assert "0 models start" in capsys.readouterr().out
