"""The library's functions: typed, checked, the engine's own answers, and stoppable."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

import vllm_preflight as vp
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.library.arguments import PlanArguments
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment

PLAN: PlanArguments = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 16}


def test_importing_loads_nothing() -> None:
    program = (
        "import sys, vllm_preflight; heavy = {'pydantic', 'huggingface_hub', 'pynvml', 'mcp'};"
        "print(sorted(heavy & sys.modules.keys()), vllm_preflight.__version__)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8")
    assert run.stdout.startswith("[] ")


def test_answers_are_the_engines() -> None:
    assert vp.plan(**PLAN) == plan_deployment(validate_request(PlanRequest, PLAN))
    command = "vllm serve Qwen/Qwen3-8B --swap-space 2"
    checked = vp.check(command=command, gpu="H100")
    same = predict_startup(validate_request(StartupRequest, {"command": command, "gpu": "H100"}))
    assert checked.to_json_dict() == same.to_json_dict()
    assert checked.verdict.outcome == "refused"


def test_answers_are_text_html_and_json() -> None:
    answer = vp.inspect(model="Qwen/Qwen3-8B")
    assert "Qwen/Qwen3-8B" in answer.to_text()
    html = answer._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert html.startswith("<table>") and "Qwen/Qwen3-8B" in html
    assert answer.to_json_dict()["model"]


def test_html_is_escaped() -> None:
    answer = vp.check(command="vllm serve '<b>x</b>' --swap-space 2", gpu="H100")
    assert "<b>" not in answer._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_every_question_has_a_function() -> None:
    assert vp.overhead(vram_total_gib=80).overhead_gib == 1.6
    assert vp.detect().gpus == [] or vp.detect().gpus
    assert vp.compare(model="Qwen/Qwen3-8B", gpus="L40S,H100").best is not None
    assert vp.find_models(gpu="L4", family="qwen3", limit=3).models
    assert vp.generate(**PLAN, kinds=("serve",)).files
    launches = ["vllm serve Qwen/Qwen3-8B --max-model-len 8k", "vllm serve Qwen/Qwen3-0.6B"]
    assert vp.pack(launches=launches, gpu="H100").verdict.outcome == "starts"
    moved = vp.diff(command=launches[1], gpu="H100", from_version="0.19.0", to_version="0.33.0")
    assert moved.verdict.outcome == "starts"
    log = "ERROR: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
    assert vp.explain(log=log).to_text()


def test_a_mistake_is_a_sentence_with_a_code() -> None:
    with pytest.raises(vp.PreflightError, match="did you mean 'concurrency'") as caught:
        vp.plan(model="Qwen/Qwen3-32B", concurency=4)  # pyright: ignore[reportCallIssue]
    assert caught.value.code == "invalid_request"


def test_threads_get_the_same_answers() -> None:
    counts = range(1, 17)

    def ask(count: int) -> PlanResponse:
        return vp.plan(model="Qwen/Qwen3-32B", gpu="H100", concurrency=count)

    alone = [ask(count) for count in counts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, counts))
    assert together == alone


def test_work_that_is_given_up_stops() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(vp.Stopped):
        vp.compare(model="Qwen/Qwen3-8B", stop=stop)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_twins_answer_beside_an_event_loop(backend: str) -> None:
    async def ask() -> Any:
        return await vp.plan_async(**PLAN)

    assert anyio.run(ask, backend=backend) == vp.plan(**PLAN)


def test_a_cancelled_twin_stops_its_work() -> None:
    told: list[str] = []

    async def give_up() -> bool:
        with anyio.move_on_after(0.02) as scope:
            await vp.compare_async(model="openai/gpt-oss-120b", gpus="all", progress=told.append)
        told_then = len(told)
        await anyio.sleep(0.5)
        # The step that was running may still say what it was at.
        assert len(told) <= told_then + 1
        return scope.cancelled_caught

    assert anyio.run(give_up)
