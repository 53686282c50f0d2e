"""The same question by library and tool: one verdict, one start-up, one command."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.conftest import Ask

import vllm_preflight as vp
from vllm_preflight.contract.check import StartupReport

MODELS = (
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-32B",
    "meta-llama/Llama-3.1-8B-Instruct",
    "openai/gpt-oss-120b",
    "deepseek-ai/DeepSeek-R1",
)
PLANS: list[dict[str, Any]] = [
    {"model": model, "gpu": gpu, "concurrency": count, "prompt_tokens": 1000}
    for model in MODELS
    for gpu, count in (("H100", 8), ("L40S", 32), ("RTX 4090", 1), ("B200", 64), ("T4", 2))
]
LAUNCHES: list[dict[str, Any]] = [
    {"model": model, "gpu": gpu, **more}
    for model in MODELS
    for gpu, more in (
        ("H100", {}),
        ("H200", {"vllm_version": "0.11.0"}),
        ("A100 80GB", {"tensor_parallel_size": 2, "max_model_len": 8192}),
        ("L4", {"gpu_memory_utilization": 0.8}),
        ("RTX 5090", {"kv_cache_dtype": "fp8"}),
    )
]


def named(question: dict[str, Any]) -> str:
    return f"{question['model'].rpartition('/')[2]} on {question['gpu']}"


def figures(startup: StartupReport | None) -> dict[str, Any]:
    """What vLLM would print; remedies and warnings are in the words of each surface."""
    shown = {} if startup is None else startup.to_json_dict()
    return {name: shown[name] for name in shown if name not in ("failure", "terms", "warnings")}


@pytest.mark.parametrize("question", PLANS, ids=named)
def test_a_plan(question: dict[str, Any], ask: Ask) -> None:
    library = vp.plan(**question)
    told = ask("plan_deployment", {**question, "detail": "full"}).structured_content
    assert told is not None
    assert told["verdict"] == library.verdict.to_json_dict()
    assert {name: told["startup"].get(name) for name in figures(library.startup)} == figures(
        library.startup
    )
    assert told["artifacts"].get("serve_command") == library.artifacts.serve_command


@pytest.mark.parametrize("question", LAUNCHES, ids=named)
def test_a_launch(question: dict[str, Any], ask: Ask) -> None:
    library = vp.check(**question)
    told = ask("predict_startup", {**question, "detail": "full"}).structured_content
    assert told is not None
    assert told["verdict"] == library.verdict.to_json_dict()
    assert {name: told["startup"].get(name) for name in figures(library.startup)} == figures(
        library.startup
    )
