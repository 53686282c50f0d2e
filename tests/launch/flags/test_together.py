"""Arguments that vLLM takes each alone and refuses together, and numbers out of range."""

from __future__ import annotations

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.questions.check import predict_startup


def refused(words: str, release: str = "0.33.0") -> str | None:
    refusal = parse_command(f"vllm serve m {words}", release).refusal
    return None if refusal is None else refusal.message


@pytest.mark.parametrize(
    ("words", "release", "said"),
    [
        ("--enable-auto-tool-choice", "0.8.0", "requires --tool-call-parser"),
        ("--enable-log-outputs", "0.33.0", "requires --enable-log-requests"),
        ("--enable-log-outputs --enable-log-requests", "0.33.0", None),
        ("--port 99999999", "0.8.0", "port must be 0-65535"),
        ("--port 99999999 --uds /tmp/vllm.sock", "0.33.0", None),
        ("--lora-modules a=/a", "0.33.0", "LoRA is not enabled"),
        ("--lora-modules a=/a --enable-lora", "0.33.0", None),
        ("--enable-lora --max-loras 4 --max-cpu-loras 2", "0.8.0", "max_cpu_loras (2) must be >="),
        ("--enable-eplb -tp 2", "0.33.0", "enable_expert_parallel must be True"),
        ("--enable-eplb -tp 2", "0.9.2", None),
        ("--enable-eplb --enable-expert-parallel", "0.10.0", "EPLB requires"),
        ("--enable-eplb --enable-expert-parallel -dp 2", "0.10.0", None),
        ("--eplb-config.num_redundant_experts 8", "0.33.0", "but EPLB is not enabled"),
        ("-dp 2 -dpl 3", "0.9.0", "data_parallel_size_local (3) must be <= data_parallel_size (2)"),
        ("-dp 2 -dpl 2", "0.33.0", None),
        ("--nnodes 2 --node-rank 2 -tp 2", "0.12.0", "node_rank=2 must be less than nnodes=2"),
        ("--nnodes 2 --node-rank 2 -tp 2", "0.33.0", "between 0 and 1; got `--node-rank 2`"),
        ("--nnodes 2 --node-rank 1 -tp 2", "0.33.0", None),
        ("--nnodes 2 -tp 3", "0.33.0", "must evenly divide the total world size (3)"),
        (
            '--spec-method ngram --spec-tokens 2 --speculative-config \'{"method": "ngram"}\'',
            "0.33.0",
            "mutually exclusive",
        ),
    ],
)
def test_arguments_that_vllm_refuses_together(words: str, release: str, said: str | None) -> None:
    found = refused(words, release)
    assert found is None if said is None else found is not None and said in found


@pytest.mark.parametrize(("release", "taken"), [("0.15.1", True), ("0.16.0", False)])
def test_a_variable_named_the_back_end_of_experts(release: str, taken: bool) -> None:
    line = "VLLM_ALL2ALL_BACKEND=deepep_low_latency vllm serve m --enable-dbo"
    assert (parse_command(line, release).refusal is None) is taken


@pytest.mark.parametrize(
    ("words", "release", "said"),
    [
        ("--gpu-memory-utilization 1.2", "0.33.0", "CacheConfig: gpu_memory_utilization: Input"),
        ("--gpu-memory-utilization 1.2", "0.8.5", "must be less than 1.0. Got 1.2"),
        ("--max-num-seqs 0", "0.33.0", "SchedulerConfig: max_num_seqs: Input should be greater"),
        ("--max-num-seqs 0", "0.8.0", "must be greater than or equal to 1"),
        ("-tp 0", "0.33.0", "ParallelConfig: tensor_parallel_size"),
        ("-tp -1", "0.10.0", "must be greater than or equal to 1"),
        ("--max-model-len -5", "0.33.0", "ModelConfig: max_model_len: Input should be greater"),
        ("--max-model-len 0", "0.33.0", "must be greater than or equal to 1"),
        ("--cpu-offload-gb -1", "0.33.0", "UVAOffloadConfig: cpu_offload_gb"),
        ("--kv-cache-memory-bytes 0", "0.33.0", "must be greater than or equal to 1"),
        ("--node-rank -1", "0.33.0", "ParallelConfig: node_rank"),
        ("--max-loras 0", "0.33.0", "max_loras"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(words: str, release: str, said: str) -> None:
    found = refused(words, release)
    assert found is not None and said in found


@pytest.mark.parametrize("field", ["command", "vllm_args"])
def test_a_refused_number_is_an_answer_and_no_error(field: str) -> None:
    given = {"command": "vllm serve Qwen/Qwen3-8B -tp 0", "vllm_args": "-tp 0"}
    request = StartupRequest.model_validate(
        {"model": "Qwen/Qwen3-8B", "gpu": "H100", field: given[field]}
    )
    answer = predict_startup(request)
    assert answer.verdict.outcome == "refused"
    assert answer.startup.failure is not None
    assert "tensor_parallel_size" in answer.startup.failure.message
