"""Predicted start-ups: from fields or from a command, each failure, and what cures it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup

MODEL = "Qwen/Qwen3-8B"


def predict(gpu: str = "H100", **fields: Any) -> StartupResponse:
    return predict_startup(validate_request(StartupRequest, {"gpu": gpu, **fields}))


def without(changes: dict[str, Any], remedy: str) -> dict[str, Any]:
    """`changes` with a remedy's flags applied, read as a person would."""
    if remedy == "no --kv-cache-memory-bytes":
        return {name: value for name, value in changes.items() if name != "kv_cache_memory_bytes"}
    fields = dict(changes)
    for part in remedy.split("--")[1:]:
        name, _, value = part.strip().partition(" ")
        fields[name.replace("-", "_")] = value or True
    return fields


def test_a_command_and_its_fields_give_one_answer() -> None:
    command = (
        "vllm serve Qwen/Qwen3-32B -tp 2 --max-model-len 32k --gpu-memory-utilization=0.9 "
        "--max_num_seqs 64 --enforce-eager --kv-cache-dtype fp8"
    )
    fields: dict[str, Any] = {
        "model": "Qwen/Qwen3-32B",
        "tensor_parallel_size": 2,
        "max_model_len": 32_000,
        "gpu_memory_utilization": 0.9,
        "max_num_seqs": 64,
        "enforce_eager": True,
        "kv_cache_dtype": "fp8",
    }
    by_command, by_fields = predict(command=command), predict(**fields)
    assert by_command.model_dump(exclude={"command"}) == by_fields.model_dump(exclude={"command"})
    assert by_command.command == command
    assert predict(command=by_fields.command) == by_fields


def test_fields_complete_a_command_and_must_not_contradict_it() -> None:
    command = f"vllm serve {MODEL} --max-model-len 8192"
    assert predict(command=command, max_num_seqs=8).arguments["max_num_seqs"] == 8
    assert predict(command=command, max_model_len=8192) == predict(command=command)
    with pytest.raises(InvalidRequest, match="max_model_len is 4096 as a field and 8192 in the"):
        predict(command=command, max_model_len=4096)
    with pytest.raises(InvalidRequest, match="model is 'a/b' as a field"):
        predict(command=command, model="a/b")


def test_what_is_not_given_is_vllms_default() -> None:
    answer = predict(model=MODEL)
    assert answer.arguments["gpu_memory_utilization"] == 0.92
    assert answer.arguments["max_num_seqs"] == 1024
    assert answer.arguments["max_num_batched_tokens"] == 8192
    assert {"max_model_len", "max_num_seqs", "gpu_memory_utilization"} <= set(answer.defaulted)
    assert "tensor_parallel_size" in answer.defaulted
    given = predict(model=MODEL, max_num_seqs=1024)
    assert "max_num_seqs" not in given.defaulted
    assert given.startup.concise() == answer.startup.concise()


def test_defaults_follow_the_version_and_the_gpu() -> None:
    assert predict(model=MODEL, vllm_version="0.19.0").arguments["gpu_memory_utilization"] == 0.9
    assert predict("L40S", model=MODEL).arguments["max_num_batched_tokens"] == 2048
    assert predict("A100-80GB", model=MODEL).arguments["max_num_seqs"] == 256


def test_figures_hang_together() -> None:
    startup = predict(model=MODEL).startup
    assert startup.starts and startup.failure is None
    assert startup.available_kv_cache_gib is not None and startup.num_gpu_blocks is not None
    assert startup.block_size == 16 and startup.kv_cache_tokens is not None
    # 36 layers × K and V of 8 heads of 128 in two bytes.
    assert startup.kv_bytes_per_token == 36 * 2 * 8 * 128 * 2
    assert startup.kv_cache_tokens == startup.num_gpu_blocks * 16
    block = 16 * startup.kv_bytes_per_token
    free = startup.available_kv_cache_gib * 2**30 - startup.num_gpu_blocks * block
    assert -0.01 * 2**30 < free < block + 0.01 * 2**30
    assert startup.max_concurrency == pytest.approx(startup.kv_cache_tokens / 40_960, abs=0.01)
    assert startup.interval is not None
    low, high = startup.interval.available_kv_cache_gib
    assert low <= startup.available_kv_cache_gib <= high


def test_fixed_kv_cache_memory_has_no_interval() -> None:
    startup = predict(model=MODEL, kv_cache_memory_bytes=10 * 2**30).startup
    assert startup.available_kv_cache_gib == 10
    assert startup.interval is not None
    assert startup.interval.available_kv_cache_gib == (10, 10)
    assert startup.start_probability == 1


def test_auto_length_is_lowered_to_what_fits() -> None:
    command = "vllm serve Qwen/Qwen3-32B --max-model-len auto --gpu-memory-utilization 0.88"
    startup = predict("A100-80GB", command=command).startup
    assert startup.starts
    assert startup.max_model_len is not None and startup.max_model_len < 40_960
    assert startup.max_model_len == startup.estimated_max_model_len


# Launches that fail, by the check that stops them.
FAILURES: dict[str, tuple[str, dict[str, Any]]] = {
    "free_memory_below_request": ("H100", {"model": MODEL, "free_vram_gb": 40}),
    "weights_do_not_fit": ("RTX 4090", {"model": "Qwen/Qwen3-32B"}),
    "no_kv_cache_memory": ("A100-80GB", {"model": "Qwen/Qwen3-32B", "gpu_memory_utilization": 0.7}),
    "kv_cache_too_small": (
        "A100-80GB",
        {"model": "Qwen/Qwen3-32B", "gpu_memory_utilization": 0.88},
    ),
    "mamba_blocks_too_few": (
        "H200",
        {
            "model": "Qwen/Qwen3-Next-80B-A3B-Instruct",
            "tensor_parallel_size": 2,
            "gpu_memory_utilization": 0.6,
        },
    ),
    "out_of_memory_after_sizing": ("H100", {"model": MODEL, "kv_cache_memory_bytes": 100 * 2**30}),
    "invalid_arguments": ("H100", {"model": MODEL, "tensor_parallel_size": 3}),
}
MESSAGES = {
    "free_memory_below_request": "Free memory on device (40.0/79.19 GiB) on startup is less than",
    "weights_do_not_fit": "CUDA out of memory while loading",
    "no_kv_cache_memory": "No available memory for the cache blocks",
    "kv_cache_too_small": "To serve at least one request with the model's max seq len (40960)",
    "mamba_blocks_too_few": "exceeds available Mamba cache blocks",
    "out_of_memory_after_sizing": "CUDA out of memory while the KV cache is allocated",
    "invalid_arguments": "attention heads (32) must be divisible by tensor parallel size (3)",
}


@pytest.mark.parametrize("kind", FAILURES)
def test_each_check_fails_with_its_sentence(kind: str) -> None:
    gpu, fields = FAILURES[kind]
    answer = predict(gpu, **fields)
    assert not answer.startup.starts
    assert answer.startup.start_probability == pytest.approx(0, abs=0.05)
    failure = answer.startup.failure
    assert failure is not None and failure.kind == kind
    assert MESSAGES[kind] in failure.message
    assert answer.next_steps


@pytest.mark.parametrize("kind", FAILURES)
def test_every_remedy_starts(kind: str) -> None:
    gpu, fields = FAILURES[kind]
    failure = predict(gpu, **fields).startup.failure
    assert failure is not None and failure.remedies
    for remedy in failure.remedies:
        cured = predict(gpu, **without(fields, remedy))
        assert cured.startup.starts, remedy


def test_no_remedy_needs_more_gpus_than_there_are() -> None:
    failure = predict("RTX 4090", model="Qwen/Qwen3-32B", gpus=2).startup.failure
    assert failure is not None
    assert not any("tensor-parallel" in remedy for remedy in failure.remedies)


@pytest.mark.parametrize(
    ("model", "gpu", "size", "utilization"),
    [
        ("Qwen/Qwen3-32B", "A100-80GB", 1, 0.88),
        ("google/gemma-3-27b-it", "A100-80GB", 1, 0.75),
        ("meta-llama/Llama-3.1-70B-Instruct", "H100", 2, 0.92),
    ],
)
def test_the_estimated_length_starts_and_one_block_more_does_not(
    model: str, gpu: str, size: int, utilization: float
) -> None:
    fields = {
        "model": model,
        "tensor_parallel_size": size,
        "gpu_memory_utilization": utilization,
    }
    startup = predict(gpu, **fields).startup
    assert startup.failure is not None and startup.failure.kind == "kv_cache_too_small"
    longest, block = startup.estimated_max_model_len, startup.block_size
    assert longest is not None and block is not None
    assert f"estimated maximum model length is {longest}." in startup.failure.message
    assert predict(gpu, **fields, max_model_len=longest).startup.starts
    longer = predict(gpu, **fields, max_model_len=longest + block).startup
    assert longer.failure is not None and longer.failure.kind == "kv_cache_too_small"


def test_refused_arguments_leave_no_figures() -> None:
    startup = predict(model=MODEL, tensor_parallel_size=3).startup
    assert startup.weights_gib is None and startup.kv_cache_tokens is None
    assert startup.start_probability == 0


def test_a_flag_that_bears_on_nothing_is_silent() -> None:
    answer = predict(command=f"vllm serve {MODEL} --served-model-name q --max-logprobs 5")
    assert answer == predict(command=answer.command)
    assert not any("served-model-name" in warning for warning in answer.warnings)


@pytest.mark.parametrize("version", [None, "0.33.0", "0.19.0"])
def test_a_flag_that_the_release_does_not_have_is_refused(version: str | None) -> None:
    answer = predict(command=f"vllm serve {MODEL} --swap-space 16 -tp 2", vllm_version=version)
    failure = answer.startup.failure
    assert failure is not None and not answer.startup.starts
    assert failure.kind == "invalid_arguments"
    assert failure.message.startswith("vllm: error: unrecognized arguments: --swap-space 16")
    assert failure.remedies == ["no --swap-space 16"]
    assert answer.command == f"vllm serve {MODEL} -tp 2"
    assert predict(command=answer.command, vllm_version=version).startup.starts


def test_the_command_is_the_users_whole_line_with_the_remedy_put_in() -> None:
    line = "vllm serve Qwen/Qwen3-32B --served-model-name q --max-model-len 40960 --port 80"
    answer = predict(command=line)
    assert answer.startup.failure is not None
    first, *others = answer.startup.failure.remedies
    # What was said stays as it is where that does.
    assert not first.startswith("--max-model-len") and "--max-model-len 29696" in others
    assert answer.command == f"{line} {first}"
    beside = predict(command="vllm serve --port 80", model=MODEL, max_model_len=4096)
    assert beside.command == f"vllm serve {MODEL} --port 80 --max-model-len 4096"


def test_a_line_without_a_model_serves_vllms_default() -> None:
    answer = predict(command="vllm serve --max-model-len 4096")
    assert answer.arguments["model"] == "Qwen/Qwen3-0.6B"
    assert any("names no model" in warning for warning in answer.warnings)


def test_a_config_that_hides_its_quantisation_is_warned_of() -> None:
    answer = predict(model="zai-org/GLM-5.3", tensor_parallel_size=8)
    assert any("hold 1.00 bytes a parameter" in warning for warning in answer.warnings)
    plain = predict(model="Qwen/Qwen3-32B")
    assert not any("bytes a parameter" in warning for warning in plain.warnings)


def test_every_figure_has_a_term() -> None:
    terms = {term.name: term for term in predict(model=MODEL).startup.terms or []}
    for name in ("requested_memory", "weights", "available_kv_cache", "num_gpu_blocks"):
        assert name in terms
    spent = sum(term.bytes or 0 for term in terms.values() if term.name.startswith("weights_"))
    assert spent <= (terms["weights"].bytes or 0)
    assert terms["max_concurrency"].unit == "requests"


def test_a_replica_of_its_own_has_the_same_start_up() -> None:
    one, two = predict(model=MODEL), predict(model=MODEL, data_parallel_size=2)
    assert two.hardware.gpus == 2
    assert two.startup.weights_gib == one.startup.weights_gib


@pytest.mark.parametrize(
    "fields",
    [
        # vLLM 0.31 and later compare what is left without the block they keep.
        {"model": "Qwen/Qwen3-32B", "max_model_len": 40960, "gpu_memory_utilization": 0.85},
        # Of seven stages the emptiest is not the one with most layers.
        {
            "model": "meta-llama/Llama-3.3-70B-Instruct",
            "gpu": "RTX 4090",
            "gpus": 7,
            "pipeline_parallel_size": 7,
        },
    ],
)
def test_the_cache_in_the_verdict_is_the_one_in_vllms_message(fields: dict[str, Any]) -> None:
    answer = predict(**fields)
    failure, because = answer.startup.failure, answer.verdict.because
    assert failure is not None and because is not None
    said = re.search(r"KV cache memory \(([\d.]+) GiB\)", failure.message)
    assert said is not None and f" {float(said[1])} " in because


def test_a_borderline_start_says_what_one_request_needs() -> None:
    answer = predict(model="meta-llama/Llama-3.1-8B-Instruct", gpu="L4", max_model_len=32768)
    assert answer.verdict.outcome == "borderline" and answer.verdict.because is not None
    assert "one request of 32,768 needs 4." in answer.verdict.because
