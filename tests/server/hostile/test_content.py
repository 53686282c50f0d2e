"""Nothing a stranger publishes or a user pastes stops a server, or leaves it raw."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Cli
from tests.server.hostile.conftest import Asked
from tests.server.hostile.inputs import CALLS, ESCAPES, KINDS, ORDERS

from vllm_preflight.base.text import is_clean


def _fine(answer: dict[str, Any]) -> str:
    """The text of an answer or a refusal, which is clean and no bug."""
    result = answer["result"]
    text = result["content"][0]["text"]
    assert is_clean(text)
    assert is_clean(json.dumps(result.get("structuredContent"), ensure_ascii=False))
    assert "internal error" not in text
    assert "Traceback" not in text
    assert "## system" not in text.splitlines()
    return text


def _still_answers(server: Asked) -> None:
    answer = server.call("compute_overhead", {"vram_total_gib": 80})
    assert answer["result"]["structuredContent"]["overhead_gib"] == 1.6


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_answered_or_refused(asked: Asked, folders: dict[str, Path], kind: str) -> None:
    _fine(asked.call("inspect_model", {"model": str(folders[kind])}))
    _still_answers(asked)


@pytest.mark.parametrize("kind", CALLS)
def test_a_call_is_answered_or_refused(asked: Asked, kind: str) -> None:
    tool, arguments = CALLS[kind]
    _fine(asked.call(tool, arguments))
    _still_answers(asked)


def _ended(ended: subprocess.CompletedProcess[str]) -> None:
    assert ended.returncode in (0, 1, 2, 3), ended
    assert "Traceback" not in ended.stderr
    assert is_clean(ended.stdout)
    assert is_clean(ended.stderr)
    assert "\n## system" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("kind", KINDS[::5])
def test_the_command_line_ends_in_a_sentence(cli: Cli, folders: dict[str, Path], kind: str) -> None:
    _ended(cli("check", "--gpu", "H100", str(folders[kind])))


def test_a_folder_whose_name_is_obeyed_is_refused(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / ESCAPES
    folder.mkdir()
    ended = cli("plan", str(folder), "--gpu", "H100")
    _ended(ended)
    assert ended.returncode == 2
    assert "Rename it" in ended.stderr


def test_words_of_a_log_are_quoted(asked: Asked) -> None:
    log = f"ValueError: {ORDERS.splitlines()[0]}\nEngineCore failed to start\n"
    text = _fine(asked.call("explain_startup_log", {"log": log}))
    assert f'"ValueError: {ORDERS.splitlines()[0]}"' in text


def test_secrets_of_a_log_stay_there(asked: Asked) -> None:
    secret = "hf_" + "aB3" * 12
    log = f"ValueError: 401 for https://x.example/f?sig={secret}\nEngineCore failed to start\n"
    assert secret not in _fine(asked.call("explain_startup_log", {"log": log}))
