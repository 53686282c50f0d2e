"""Remedies of a launch that does not start: whole lines and calls, each of which starts."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.verdict import SURE
from vllm_preflight.questions.check import predict_startup

Q32 = "Qwen/Qwen3-32B"


def check(fields: dict[str, Any]) -> StartupResponse:
    given = {name: value for name, value in fields.items() if value is not None}
    return predict_startup(validate_request(StartupRequest, given))


@pytest.mark.design("4: each remedy is a call and a whole corrected command")
@pytest.mark.parametrize(
    "asked",
    [
        {"model": Q32, "gpu": "H100", "max_model_len": 40_000},
        {"model": Q32, "gpu": "H100", "vllm_args": "--max-model-len 40000 --port 80"},
        {"command": f"vllm serve {Q32} --max-model-len 40000 --port 80", "gpu": "H100"},
        {"command": f"vllm serve {Q32} --port 80", "gpu": "H100", "max_model_len": 40_000},
        {"command": f"vllm serve {Q32} --kv-cache-memory-bytes 1G", "gpu": "H100"},
        {"model": Q32, "gpu": "H100", "kv_cache_memory_bytes": 10**9},
        {"model": Q32, "gpu": "H100", "gpus": 4, "tensor_parallel_size": 3},
        {"model": "BAAI/bge-m3", "gpu": "L4", "max_model_len": 40_000},
        {"command": f"vllm serve {Q32} -tp 2 --no-such 3", "gpu": "H100"},
        {"model": "Qwen/Qwen3-8B", "gpu": "RTX 4090", "free_vram_gb": 18.5},
        {
            "command": f"docker run -e A=b vllm/vllm-openai:v0.19.0 --model {Q32}",
            "gpu": "A100-80GB",
            "gpus": 1,
        },
    ],
)
def test_every_remedy_starts_as_a_line_and_as_a_call(asked: dict[str, Any]) -> None:
    answer = check(asked)
    assert not answer.verdict.good and answer.remedies
    assert answer.command == answer.remedies[0].command
    beside = {name: asked[name] for name in ("gpu", "gpus", "free_vram_gb") if name in asked}
    for remedy in answer.remedies:
        assert remedy.tool == "predict_startup" and remedy.command is not None
        for again in ({**asked, **remedy.set}, {**beside, "command": remedy.command}):
            verdict = check(again).verdict
            assert verdict.good and (verdict.start_probability or 0) >= SURE, (remedy, again)


def test_a_remedy_keeps_every_flag_of_the_line() -> None:
    line = f"vllm serve {Q32} --served-model-name q --max-model-len 40000 --port 80"
    for remedy in check({"command": line, "gpu": "H100"}).remedies or []:
        assert remedy.command is not None
        words = set(shlex.split(remedy.command))
        assert {"--served-model-name", "q", "--port", "80"} <= words


def test_a_remedy_says_what_it_gives_up() -> None:
    line = {"command": "vllm serve Qwen/Qwen3-32B-AWQ --max-model-len 32k", "gpu": "RTX 4090"}
    costs = {remedy.change: remedy.gives_up for remedy in check(line).remedies or []}
    shorter = next(change for change in costs if "--max-model-len" in change)
    assert costs[shorter] == "the length that was asked for"
    assert costs["--tensor-parallel-size 2"] == "1 more GPU"
    # GPUs that are there cost nothing more, nor does a length that nobody asked for.
    there = {"command": "vllm serve Qwen/Qwen3-32B-AWQ", "gpu": "RTX 4090", "gpus": 2}
    assert {remedy.gives_up for remedy in check(there).remedies or []} == {None}


def test_what_starts_and_what_nobody_can_say_have_no_remedies() -> None:
    assert check({"model": "Qwen/Qwen3-8B", "gpu": "H100"}).remedies is None
    assert check({"model": "Qwen/Qwen3-8B", "gpu": "TPU v6e"}).remedies is None
