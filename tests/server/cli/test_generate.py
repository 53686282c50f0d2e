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
    assert set(answer["files"]) == {"serve.sh", "profile.yaml"}
    shown = text_of(result)
    for text in answer["files"].values():
        assert text in shown
    assert len(shown) < 6_000


def test_the_tool_takes_a_profile_and_kinds(ask: Ask) -> None:
    profile = ask("generate_artifacts", QUESTION).structured_content["files"]["profile.yaml"]  # type: ignore[index]
    result = ask("generate_artifacts", {"profile": profile, "kinds": ["kubernetes"]})
    answer: Any = result.structured_content
    assert list(answer["files"]) == ["model-cache.yaml", "kubernetes.yaml"]
    assert answer["serve_command"].startswith("vllm serve Qwen/Qwen3-8B")


def test_the_tool_takes_further_arguments(ask: Ask) -> None:
    further = {"vllm_args": "--seed 7", "kv_cache_dtype": "fp8", "enforce_eager": True}
    more = {**QUESTION, "arguments": further}
    answer: Any = ask("generate_artifacts", {**more, "kinds": ["serve"]}).structured_content
    assert "--kv-cache-dtype fp8" in answer["files"]["serve.sh"]
    assert "--enforce-eager" in answer["serve_command"]
    assert "--seed 7" in answer["files"]["serve.sh"]


def test_the_tool_takes_every_field_of_a_plan_flat(ask: Ask) -> None:
    flat = {**QUESTION, "kv_cache_dtype": "fp8", "enforce_eager": True, "kinds": ["serve"]}
    answer: Any = ask("generate_artifacts", flat).structured_content
    assert "--kv-cache-dtype fp8" in answer["serve_command"]
    assert "--enforce-eager" in answer["serve_command"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"gpu": "H100"}, "No model is named"),
        ({**QUESTION, "arguments": '{"concurency": 3}'}, "did you mean 'concurrency'"),
        ({**QUESTION, "kinds": ["terraform"]}, "kinds"),
        ({"model": "Qwen/Qwen3-32B", "gpu": "L4", "gpus": 1}, "would fail"),
        ({"profile": "- a"}, "no mapping"),
        ({**QUESTION, "kinds": ["rayservice"]}, "for several machines"),
        ({**QUESTION, "gpu": "MI300X"}, "AMD"),
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


def test_flags_after_the_dashes_go_into_every_file(cli: Cli, tmp_path: Path) -> None:
    flags = ["--reasoning-parser", "qwen3", "--served_model_name", "q8", "--kv-cache-dtype", "fp8"]
    done = cli("generate", *OPTIONS, "-o", str(tmp_path), "--", *flags)
    assert done.returncode == 0, done.stderr
    served = [
        path for path in tmp_path.iterdir() if "--reasoning-parser" in path.read_text("utf-8")
    ]
    assert {path.name for path in served} >= {
        "serve.sh", "docker-run.sh", "compose.yaml", "vllm.service", "kubernetes.yaml",
        "helm-values.yaml", "llm-d-values.yaml", "kserve.yaml", "llminferenceservice.yaml",
    }  # fmt: skip
    # What the plan knows is planned with; the rest stays as it was written.
    profile = yaml.safe_load((tmp_path / "profile.yaml").read_text("utf-8"))["request"]
    assert profile["kv_cache_dtype"] == "fp8"
    assert profile["vllm_args"] == "--reasoning-parser qwen3 --served_model_name q8"
    assert "The server starts, and holds" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["Qwen/Qwen3-32B", "--gpu", "L4", "--gpus", "1", "-o", "{}"], 1, "would fail"),
        ([*OPTIONS], 2, "-o"),
        ([*OPTIONS, "-o", "{}", "--only", "terraform"], 2, "no kind 'terraform'"),
        ([*OPTIONS, "-o", "{}", "--only", "rayservice"], 2, "for several machines"),
        ([*OPTIONS, "-o", "{}", "--", "--no-such", "3"], 2, "unrecognized arguments: --no-such 3"),
        ([*OPTIONS, "-o", "{}", "--", "--api-key", "x"], 2, "a secret"),
        ([*OPTIONS, "-o", "{}", "-tp", "2", "--", "-tp", "4"], 2, "Give it once"),
        ([*OPTIONS, "-o", "{}", "--", "--max-model-len", "99999999"], 1, "max_model_len"),
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
