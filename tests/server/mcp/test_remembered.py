"""Which answers are kept, and that a kept one is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.types import CallToolResult

from vllm_preflight.contract.overhead import OverheadRequest
from vllm_preflight.contract.request import RequestModel
from vllm_preflight_server.mcp.arguments import InspectArguments, PlanArguments, StartupArguments
from vllm_preflight_server.mcp.remembered import Remembered, stands_alone
from vllm_preflight_server.mcp.tool import PlannerTool, make_tool
from vllm_preflight_server.mcp.tools import TOOLS

MODEL = "Qwen/Qwen3-8B"


class _Context:
    async def report_progress(self, *_: Any) -> None:
        """Nobody asked for progress."""


def _tool(name: str) -> PlannerTool:
    return make_tool(next(spec for spec in TOOLS if spec.name == name))


def _ask(tool: PlannerTool, **arguments: Any) -> CallToolResult:
    return anyio.run(tool.run, arguments, _Context())


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (PlanArguments(model=MODEL, gpu="H100"), True),
        (PlanArguments(model="qwen/qwen3-8b", gpu="H100"), True),
        (InspectArguments(model=MODEL), True),
        (PlanArguments(model=MODEL, gpu=" Auto "), False),
        (PlanArguments(model=MODEL), False),
        (PlanArguments(model=MODEL, gpu="H100", revision="main"), False),
        (PlanArguments(model="nobody/nothing", gpu="H100"), False),
        (StartupArguments(model=MODEL, gpu="H100", command="vllm serve a/b"), False),
        (StartupArguments(command=f"vllm serve {MODEL}", gpu="H100"), False),
        (OverheadRequest(vram_total_gib=80), False),
    ],
)
def test_only_questions_that_hang_on_nothing_else_are_kept(
    request_: RequestModel, expected: bool
) -> None:
    assert stands_alone(request_) is expected


def test_a_folder_of_that_name_is_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = PlanArguments(model=MODEL, gpu="H100")
    assert stands_alone(question)
    (tmp_path / MODEL).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert not stands_alone(question)


def test_the_same_question_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = _tool("plan_deployment")
    first = _ask(tool, model=MODEL, gpu="H100")
    monkeypatch.setattr("vllm_preflight.questions.plan.plan_deployment", None)
    assert _ask(tool, model=MODEL, gpu="H100") == first
    # Written another way it is the same question; with another value it is not.
    assert _ask(tool, model=MODEL, gpu="H100", concurrency="1") == first
    assert _ask(tool, model=MODEL, gpu="H100", concurrency=2).is_error


def test_a_fresh_answer_equals_a_kept_one() -> None:
    kept = _tool("predict_startup")
    _ask(kept, model=MODEL, gpu="L4")
    fresh = _tool("predict_startup")
    assert _ask(kept, model=MODEL, gpu="L4") == _ask(fresh, model=MODEL, gpu="L4")


def test_errors_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = _tool("inspect_model")
    with monkeypatch.context() as broken:
        broken.setattr("vllm_preflight.reports.model.inspect_model", None)
        assert _ask(tool, model=MODEL).is_error
    assert not _ask(tool, model=MODEL).is_error


def test_the_oldest_answer_makes_room() -> None:
    kept = Remembered[int](most=2)
    questions = [OverheadRequest(vram_total_gib=size) for size in (1, 2, 3)]
    kept.keep(questions[0], 0)
    kept.keep(questions[1], 1)
    assert kept.get(questions[0]) == 0
    kept.keep(questions[2], 2)
    assert [kept.get(question) for question in questions] == [0, None, 2]
