"""Which arguments are written beside the defaults, and that each has its reason."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment


def plan(model: str = "Qwen/Qwen3-8B", gpu: str = "H100", **fields: Any) -> PlanResponse:
    return plan_deployment(validate_request(PlanRequest, {"model": model, "gpu": gpu, **fields}))


def words(answer: PlanResponse) -> list[str]:
    assert answer.artifacts.serve_command is not None
    return answer.artifacts.serve_command.split()


@pytest.mark.design("4: a flag is written only where it has a reason")
def test_a_launch_that_needs_nothing_gets_no_flag() -> None:
    assert words(plan("01-ai/Yi-34B", "H200", concurrency=4)) == ["vllm", "serve", "01-ai/Yi-34B"]


def test_the_length_is_absent_where_the_models_own_surely_starts() -> None:
    answer = plan(concurrency=64)
    assert answer.config.max_model_len == answer.model.max_position
    assert "--max-model-len" not in words(answer)
    assert "not written" in answer.config.explanations["max_model_len"]


@pytest.mark.parametrize("gpu", ["RTX 4090", "A10G", "L4"])
def test_else_it_is_the_longest_that_surely_starts_in_whole_steps(gpu: str) -> None:
    answer = plan("Qwen/Qwen3-8B", gpu, gpus=1)
    assert (answer.verdict.start_probability or 0) >= 0.95
    length = answer.config.max_model_len
    assert length % 1024 == 0 and length < answer.model.max_position
    longer = StartupRequest(
        model="Qwen/Qwen3-8B",
        gpu=gpu,
        max_model_len=length + 2 * 1024,
        max_num_seqs=answer.config.max_num_seqs,
    )
    assert (predict_startup(longer).verdict.start_probability or 0) < 0.95


def test_a_length_that_is_asked_for_is_kept() -> None:
    answer = plan(max_model_len=20_001)
    assert answer.config.max_model_len == 20_001
    assert answer.config.explanations["max_model_len"] == "as asked"


@pytest.mark.design("4: a length is never below the workload")
def test_never_shorter_than_the_workload() -> None:
    for prompt in (1_000, 20_000, 30_000):
        answer = plan("Qwen/Qwen3-32B", prompt_tokens=prompt, gen_tokens=500, gpus=1)
        assert answer.config.max_model_len >= prompt + 500


def test_fewer_sequences_are_written_only_where_they_free_a_part_of_the_cache() -> None:
    tight = plan("Qwen/Qwen3-32B", gpus=1, concurrency=8)
    assert tight.config.max_num_seqs == 256
    assert "frees" in tight.config.explanations["max_num_seqs"]
    assert "--max-num-seqs" not in words(plan("Qwen/Qwen3-8B", gpus=1, concurrency=8))


def test_more_requests_than_the_default_takes_raise_it() -> None:
    answer = plan("Qwen/Qwen3-0.6B", "A100-80GB", gpus=1, concurrency=600)
    assert answer.config.max_num_seqs == 600
    assert "wait" in answer.config.explanations["max_num_seqs"]


def test_every_written_argument_has_its_reason() -> None:
    answer = plan("Qwen/Qwen3-32B", gpus=2, concurrency=4, kv_cache_dtype="fp8", block_size=32)
    flags = [word[2:].replace("-", "_") for word in words(answer) if word.startswith("--")]
    assert flags and set(flags) <= answer.config.explanations.keys()


def test_only_what_differs_from_the_checkpoint_is_an_argument() -> None:
    fields = plan(quantization="none", dtype="auto").config.model_dump(exclude_none=True)
    assert fields.keys().isdisjoint({"quantization", "dtype", "revision", "tokenizer"})
