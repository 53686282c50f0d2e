"""Artefacts as a tool, which writes nothing, and as a command, which does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.server.conftest import Ask, Cli, text_of

QUESTION: dict[str, Any] = {"model": "Qwen/Qwen3-8B", "gpu": "H100", "concurrency": 8}
OPTIONS = ["Qwen/Qwen3-8B", "--gpu", "H100", "--concurrency", "8"]


def test_the_tool_returns_texts_in_text_and_structure(ask: Ask) -> None:
    result = ask("generate_artifacts", QUESTION)
    answer: Any = result.structured_content
    assert not result.is_error
    assert set(answer["files"]) == {"serve.sh", "vllm.env", "compose.yaml", "profile.yaml"}
    shown = text_of(result)
    for text in answer["files"].values():
        assert text in shown
    assert len(shown) < 6_000


def test_the_tool_takes_a_profile_and_kinds(ask: Ask) -> None:
    profile = ask("generate_artifacts", QUESTION).structured_content["files"]["profile.yaml"]  # type: ignore[index]
    result = ask("generate_artifacts", {"profile": profile, "kinds": ["kubernetes"]})
    answer: Any = result.structured_content
    assert list(answer["files"]) == ["kubernetes.yaml"]
    assert answer["serve_command"].startswith("vllm serve Qwen/Qwen3-8B")


def test_the_tool_takes_further_arguments(ask: Ask) -> None:
    more = {**QUESTION, "arguments": {"kv_cache_dtype": "fp8", "enforce_eager": True}}
    answer: Any = ask("generate_artifacts", {**more, "kinds": ["serve"]}).structured_content
    assert "--kv-cache-dtype fp8" in answer["files"]["serve.sh"]
    assert "--enforce-eager" in answer["serve_command"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"gpu": "H100"}, "No model is named"),
        ({**QUESTION, "arguments": '{"concurency": 3}'}, "did you mean 'concurrency'"),
        ({**QUESTION, "kinds": ["terraform"]}, "kinds"),
        ({"model": "Qwen/Qwen3-32B", "gpu": "L4", "gpus": 1}, "would fail"),
        ({"profile": "- a"}, "no mapping"),
    ],
)
def test_the_tool_refuses_in_a_sentence(ask: Ask, arguments: dict[str, Any], says: str) -> None:
    result = ask("generate_artifacts", arguments)
    assert result.is_error and says in text_of(result)


def test_the_command_writes_and_plans_again_from_what_it_wrote(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = cli("generate", *OPTIONS, "-o", str(folder))
    assert done.returncode == 0, done.stderr
    assert "Not written: leaderworkerset" in done.stderr
    assert yaml.safe_load((folder / "kubernetes.yaml").read_text("utf-8").partition("---")[0])
    direct = cli("plan", *OPTIONS, "--json")
    again = cli("plan", "--profile", str(folder / "profile.yaml"), "--json")
    assert again.returncode == direct.returncode == 0
    assert again.stdout == direct.stdout
    changed = cli("plan", "--profile", str(folder / "profile.yaml"), "--concurrency", "9", "--json")
    assert json.loads(changed.stdout)["feasibility"]["concurrency"] == 9


def test_the_command_overwrites_only_when_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "serve.sh").write_text("mine", encoding="utf-8")
    options = ["generate", *OPTIONS, "-o", str(tmp_path), "--only", "serve,env"]
    done = cli(*options)
    assert done.returncode == 2 and "already has serve.sh" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["serve.sh"]
    assert cli(*options, "--force").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"serve.sh", "vllm.env"}


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["Qwen/Qwen3-32B", "--gpu", "L4", "--gpus", "1", "-o", "{}"], 1, "would fail"),
        ([*OPTIONS], 2, "-o"),
        ([*OPTIONS, "-o", "{}", "--only", "terraform"], 2, "no kind 'terraform'"),
        ([*OPTIONS, "-o", "{}", "--only", "rayservice"], 2, "for several machines"),
        (["--profile", "nowhere.yaml", "-o", "{}"], 2, "nowhere.yaml"),
    ],
)
def test_the_command_refuses_and_leaves_nothing(
    cli: Cli, tmp_path: Path, options: list[str], code: int, says: str
) -> None:
    folder = tmp_path / "out"
    done = cli("generate", *(option.replace("{}", str(folder)) for option in options))
    assert done.returncode == code and says in done.stderr
    assert "Traceback" not in done.stderr and not folder.exists()
