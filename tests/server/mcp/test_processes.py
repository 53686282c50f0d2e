"""Questions about what strangers wrote are answered in processes that are killed at the limit."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult
from tests.server.conftest import text_of

from vllm_preflight.base.errors import (
    HubUnavailable,
    InvalidRequest,
    PreflightError,
    UnknownGpu,
    UnknownModel,
    UnsupportedArchitecture,
    error_of,
)
from vllm_preflight_server.mcp import processes
from vllm_preflight_server.mcp.app import build_server
from vllm_preflight_server.mcp.processes import Processes

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
    "torch_dtype": "bfloat16",
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[processes.Process]]:
    """The processes that were started, ended afterwards."""
    running: list[processes.Process] = []
    start = processes.Process.start

    async def remembered() -> processes.Process:
        running.append(await start())
        return running[-1]

    monkeypatch.setattr(processes.Process, "start", remembered)
    yield running
    assert not [process for process in running if process.is_alive]


def _instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the processes run other code, which a hostile text might have made of them."""
    monkeypatch.setattr(processes, "_COMMAND", (sys.executable, "-c", code))


@asynccontextmanager
async def _client(limit_s: float = 60) -> AsyncGenerator[Client]:
    own = Processes()
    try:
        async with Client(build_server(processes=own, call_limit_s=limit_s)) as client:
            yield client
    finally:
        await own.close()


def _asked(*calls: tuple[str, dict[str, Any]], limit_s: float = 60) -> list[CallToolResult]:
    """The answers to calls made one after the other."""

    async def session() -> list[CallToolResult]:
        async with _client(limit_s) as client:
            return [await client.call_tool(tool, arguments) for tool, arguments in calls]

    return anyio.run(session)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    return tmp_path


def test_a_catalogued_model_needs_no_process(started: list[processes.Process]) -> None:
    (answer,) = _asked(("inspect_model", {"model": "Qwen/Qwen3-8B"}))
    assert not answer.is_error
    assert not started


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"command": "vllm serve {folder}", "model": None},
        {
            "model": "Qwen/Qwen3-8B",
            "vllm_args": "--hf-overrides '{\"max_position_embeddings\": 8192}'",
        },
    ],
)
def test_an_answer_is_the_same_in_a_process(
    folder: Path, started: list[processes.Process], changes: dict[str, Any]
) -> None:
    arguments = {"model": str(folder), "gpu": "H100", "detail": "full"} | {
        key: value and value.replace("{folder}", str(folder)) for key, value in changes.items()
    }
    question = ("predict_startup", arguments)
    there, again = _asked(question, question)
    assert len(started) == 1

    async def here() -> CallToolResult:
        async with Client(build_server()) as client:
            return await client.call_tool(*question)

    expected = anyio.run(here)
    assert not expected.is_error
    assert there.structured_content == again.structured_content == expected.structured_content
    assert there.content == expected.content


def test_a_refusal_is_the_same_in_a_process(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'{"model_type": "zz", "architectures": ["\\ud800x"]}')
    (answer,) = _asked(("inspect_model", {"model": str(tmp_path)}))
    assert answer.is_error
    assert "'zz'" in text_of(answer)


@pytest.mark.parametrize(
    "kind", [InvalidRequest, UnknownModel, UnsupportedArchitecture, HubUnavailable, UnknownGpu]
)
def test_a_refusal_keeps_its_code_on_its_way(kind: type[PreflightError]) -> None:
    assert error_of(kind.code) is kind
    assert error_of("no such code") is PreflightError


def test_a_long_log_is_read_in_a_process(started: list[processes.Process]) -> None:
    (answer,) = _asked(("explain_startup_log", {"log": "ValueError: token\n" * 10_000}))
    assert not answer.is_error
    assert len(started) == 1


def test_progress_comes_out_of_a_process(folder: Path) -> None:
    told: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    async def session() -> None:
        async with _client() as client:
            await client.call_tool("inspect_model", {"model": str(folder)}, progress_callback=note)

    anyio.run(session)
    assert told == [f"reading the config and safetensors headers in {folder}"]


def test_a_process_that_does_not_answer_is_killed_at_the_limit(
    folder: Path, started: list[processes.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It ignores what can be ignored.
    _instead(
        monkeypatch,
        "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
    )
    (answer,) = _asked(("inspect_model", {"model": str(folder)}), limit_s=1)
    assert answer.is_error
    assert text_of(answer).startswith("inspect_model took longer than 1 s and was stopped.")
    (process,) = started
    assert not process.is_alive


@pytest.mark.parametrize("code", ["pass", "import os; os.abort()"])
def test_a_process_that_ends_is_answered_for_and_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    question = ("inspect_model", {"model": str(folder)})

    async def session() -> tuple[CallToolResult, CallToolResult]:
        async with _client() as client:
            with pytest.MonkeyPatch.context() as patch:
                _instead(patch, code)
                ended = await client.call_tool(*question)
            return ended, await client.call_tool(*question)

    ended, answered = anyio.run(session)
    assert "was stopped" in text_of(ended)
    assert not answered.is_error


def test_a_question_that_is_given_up_ends_its_process(
    folder: Path, started: list[processes.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    _instead(monkeypatch, "import time; time.sleep(600)")

    async def give_up() -> None:
        async with _client() as client:
            with anyio.move_on_after(1):
                await client.call_tool("inspect_model", {"model": str(folder)})
            (process,) = started
            with anyio.fail_after(20):
                while process.is_alive:
                    await anyio.sleep(0.05)

    anyio.run(give_up)


def test_catalogue_answers_come_beside_stuck_questions(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _instead(monkeypatch, "import time; time.sleep(600)")

    async def session() -> CallToolResult:
        answers: list[CallToolResult] = []
        async with _client() as client, anyio.create_task_group() as group:
            for _ in range(60):
                group.start_soon(client.call_tool, "inspect_model", {"model": str(folder)})
            await anyio.sleep(0.2)
            plan = {"model": "Qwen/Qwen3-8B", "gpu": "H100"}
            answers.append(await client.call_tool("plan_deployment", plan))
            group.cancel_scope.cancel()
        return answers[0]

    assert not anyio.run(session).is_error
