"""Speculative decoding asked of `check`: what reviewers typed, and what start-ups printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment

Check = Callable[..., StartupResponse]
GIB = 2**30


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Check:
    """predict_startup without a network; `spec` is the speculative_config."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))

    def run(model: str = "", spec: dict[str, Any] | None = None, **fields: Any) -> StartupResponse:
        values: dict[str, Any] = {"gpu": "H100", **fields}
        if model:
            values["model"] = model
        if spec is not None:
            values["speculative_config"] = json.dumps(spec)
        return predict_startup(StartupRequest.model_validate(values))

    return run


def terms(response: StartupResponse) -> dict[str, int]:
    return {term.name: term.bytes or 0 for term in response.startup.terms or []}


def test_a_draft_model_is_weighed_and_shares_the_cache(check: Check) -> None:
    plain = check("Qwen/Qwen3-8B")
    drafted = check("Qwen/Qwen3-8B", {"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3})
    # 28 layers × 8 KV heads × 128 × 2 × 2 bytes beside the target's 36 layers.
    draft, target = 28 * 8 * 128 * 2 * 2, 36 * 8 * 128 * 2 * 2
    assert drafted.startup.kv_bytes_per_token == draft + target == 262_144
    weights = terms(drafted)["weights_draft model"]
    assert 1.1 * GIB < weights < 1.15 * GIB
    assert terms(drafted)["weights"] == terms(plain)["weights"] + weights
    sources = {term.name: term.source for term in drafted.startup.terms or []}
    assert "Qwen/Qwen3-0.6B" in sources["weights_draft model"]
    assert "Qwen/Qwen3-8B" in sources["weights_attention"]
    tokens = drafted.startup.kv_cache_tokens
    assert tokens is not None and 215_000 < tokens < 218_000
    assert tokens == terms(drafted)["available_kv_cache"] // (16 * 262_144) * 16
    assert plain.startup.kv_cache_tokens is not None
    assert plain.startup.kv_cache_tokens > 390_000


def test_a_command_counts_its_draft_like_the_argument(check: Check) -> None:
    draft = '{"model":"Qwen/Qwen3-0.6B","num_speculative_tokens":3}'
    line = f"vllm serve Qwen/Qwen3-32B -tp 2 --speculative-config '{draft}'"
    plain = check(command="vllm serve Qwen/Qwen3-32B -tp 2", gpus=2)
    drafted = check(command=line, gpus=2)
    assert drafted.startup.kv_bytes_per_token is not None
    assert plain.startup.kv_bytes_per_token is not None
    added = drafted.startup.kv_bytes_per_token - plain.startup.kv_bytes_per_token
    assert added == 28 * 4 * 128 * 2 * 2


@pytest.mark.parametrize(
    "spec",
    [
        {"model": "nosuch/thing", "num_speculative_tokens": 3},
        {"method": "draft_model", "model": "some/unknown-7B", "num_speculative_tokens": 3},
        {"method": "eagle3", "model": "some/head", "num_speculative_tokens": 3},
    ],
)
def test_an_unknown_draft_is_not_modelled(check: Check, spec: dict[str, Any]) -> None:
    startup = check("Qwen/Qwen3-32B", spec, gpus=2, tensor_parallel_size=2).startup
    assert startup.failure is not None and startup.failure.kind == "not_modelled"
    assert "not counted" in startup.failure.message
    assert startup.weights_gib == 30.59
    assert startup.start_probability is None
    assert startup.kv_cache_tokens is None and startup.available_kv_cache_gib is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"method": "mtp", "num_speculative_tokens": 1}, "Unsupported speculative method: 'mtp'"),
        ({"method": "eagle3", "num_speculative_tokens": 3}, "without speculative model"),
    ],
)
def test_a_method_the_target_or_arguments_do_not_allow_is_refused(
    check: Check, spec: dict[str, Any], said: str
) -> None:
    startup = check("Qwen/Qwen3-32B", spec, gpus=2, tensor_parallel_size=2).startup
    assert startup.failure is not None and startup.failure.kind == "invalid_arguments"
    assert said in startup.failure.message


def test_a_draft_that_leaves_too_little_cache_does_not_start(check: Check) -> None:
    spec = {"method": "draft_model", "model": "Qwen/Qwen3-4B", "num_speculative_tokens": 3}
    startup = check("Qwen/Qwen3-32B", spec, gpu="A100-80GB", max_model_len=8192).startup
    assert startup.kv_bytes_per_token == 400 * 1024
    assert startup.failure is not None and startup.failure.kind == "kv_cache_too_small"


def test_an_eagle3_head_is_one_layer_and_a_head_of_its_own(check: Check) -> None:
    name = "meta-llama/Llama-3.1-8B-Instruct"
    spec = {
        "method": "eagle3",
        "model": "yuhuili/EAGLE3-LLaMA3.1-Instruct-8B",
        "num_speculative_tokens": 3,
    }
    plain, drafted = check(name), check(name, spec)
    assert drafted.startup.kv_bytes_per_token == 33 * 8 * 128 * 2 * 2
    hidden, width = 4096, 14336
    layer = (4096 + 2 * 1024) * 2 * hidden + hidden * hidden + 3 * hidden * width
    # Its published total leaves a head of 32,000 words.
    head = 32000 * hidden
    added = terms(drafted)["weights"] - terms(plain)["weights"]
    assert added == pytest.approx(2 * (layer + head + 3 * hidden * hidden), rel=0.01)


def test_prediction_layers_of_r1_weigh_what_they_did(check: Check) -> None:
    arguments: dict[str, Any] = {
        "gpu": "H200",
        "gpus": 8,
        "tensor_parallel_size": 8,
        "max_model_len": 32768,
    }
    plain = check("deepseek-ai/DeepSeek-R1", **arguments).startup
    spec = {"method": "mtp", "num_speculative_tokens": 1}
    drafted = check("deepseek-ai/DeepSeek-R1", spec, **arguments).startup
    assert plain.weights_gib is not None and drafted.weights_gib is not None
    assert drafted.weights_gib - plain.weights_gib == pytest.approx(1.45, abs=0.01)


def test_dspark_stages_of_deepseek_v4_are_counted(check: Check) -> None:
    # A published start-up of two GB10 has 23.78 GiB left and 2.91 requests of 524,288 tokens
    # in 25,417 blocks; unified memory promises more than there is, by other causes too.
    arguments: dict[str, Any] = {
        "gpu": "GB10",
        "gpus": 2,
        "tensor_parallel_size": 2,
        "max_model_len": 524_288,
        "max_num_seqs": 12,
        "max_num_batched_tokens": 8192,
        "gpu_memory_utilization": 0.88,
        "kv_cache_dtype": "fp8_ds_mla",
        "vllm_version": "0.27.1",
    }
    plain = check("deepseek-ai/DeepSeek-V4-Flash-0731", **arguments).startup
    spec = {"method": "dspark", "num_speculative_tokens": 5}
    drafted = check("deepseek-ai/DeepSeek-V4-Flash-0731", spec, **arguments).startup
    assert plain.weights_gib is not None and drafted.weights_gib is not None
    assert 5.0 < drafted.weights_gib - plain.weights_gib < 5.4
    assert drafted.num_gpu_blocks is not None and drafted.max_concurrency is not None
    per_request = drafted.num_gpu_blocks / drafted.max_concurrency
    assert per_request == pytest.approx(25_417 / 2.91, rel=0.004)


def test_a_draft_named_as_the_model_serves_its_target(check: Check) -> None:
    name = "RedHatAI/Llama-3.1-8B-Instruct-speculator.eagle3"
    named = check(name, {"num_speculative_tokens": 3})
    assert named.model is not None and named.model.model == "meta-llama/Llama-3.1-8B-Instruct"
    assert named.startup.starts
    assert named.startup.kv_bytes_per_token == 33 * 8 * 128 * 2 * 2


def test_a_local_head_gives_its_own_vocabulary(check: Check, tmp_path: Path) -> None:
    config = {
        "architectures": ["LlamaForCausalLMEagle3"],
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_hidden_layers": 1,
        "vocab_size": 128256,
        "draft_vocab_size": 32000,
        "torch_dtype": "bfloat16",
    }
    head = tmp_path / "head"
    head.mkdir()
    (head / "config.json").write_text(json.dumps(config), encoding="utf-8")
    name = "meta-llama/Llama-3.1-8B-Instruct"
    spec = {"method": "eagle3", "model": str(head), "num_speculative_tokens": 3}
    small = terms(check(name, spec))["weights_draft model"]
    config["draft_vocab_size"] = 128256
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "config.json").write_text(json.dumps(config), encoding="utf-8")
    largest = terms(check(name, {**spec, "model": str(whole)}))["weights_draft model"]
    assert largest - small == pytest.approx(2 * (128256 - 32000) * 4096, rel=0.01)
    unnamed = {"model": str(head), "num_speculative_tokens": 3}
    failure = check(name, unnamed).startup.failure
    assert failure is not None and failure.kind == "not_modelled"
    assert '"method": "eagle3"' in failure.remedies[0]


def test_a_plan_reckons_with_the_draft_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    arguments: dict[str, Any] = {"model": "Qwen/Qwen3-8B", "gpu": "H100", "gpus": 1}
    draft = json.dumps({"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3})
    plain = plan_deployment(PlanRequest.model_validate(arguments))
    drafted = plan_deployment(
        PlanRequest.model_validate({**arguments, "speculative_config": draft})
    )
    assert plain.feasibility is not None and drafted.feasibility is not None
    added = drafted.feasibility.weights_gib - plain.feasibility.weights_gib
    assert added == pytest.approx(1.12, abs=0.02)


def test_no_plan_is_made_with_a_draft_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    draft = json.dumps({"model": "nosuch/thing", "num_speculative_tokens": 3})
    arguments = {"model": "Qwen/Qwen3-8B", "gpu": "H100", "speculative_config": draft}
    answer = plan_deployment(PlanRequest.model_validate(arguments))
    assert answer.verdict.outcome == "not_modelled"
    assert "The draft nosuch/thing is not known here" in answer.verdict.sentence
    assert answer.artifacts.serve_command is None
