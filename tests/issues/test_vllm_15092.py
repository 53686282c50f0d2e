"""vllm#15092: Qwen2.5-32B on four RTX 4090 has no memory left in vLLM 0.8.0.

`vllm serve ./Qwen2.5-32B-Instruct/ --tensor-parallel-size 4` started with 0.7.3 and exits
for want of memory with 0.8.0: the V1 engine's 1,024 sequences need more than the V0 engine's
256. https://github.com/vllm-project/vllm/issues/15092
"""

from __future__ import annotations

from vllm_preflight.contract.check import StartupReport, StartupRequest
from vllm_preflight.questions.check import predict_startup


def start(flags: str = "") -> StartupReport:
    command = f"vllm serve Qwen/Qwen2.5-32B-Instruct --tensor-parallel-size 4 {flags}"
    request = StartupRequest(command=command, gpu="RTX 4090", gpus=4, vllm_version="0.8.0")
    return predict_startup(request).startup


def test_the_command_does_not_start_and_the_report_says_for_want_of_memory() -> None:
    report = start()
    assert not report.starts
    assert report.failure is not None
    assert report.failure.kind in {"no_kv_cache_memory", "kv_cache_too_small"}


def test_fewer_sequences_are_among_the_remedies_and_start() -> None:
    failure = start().failure
    assert failure is not None and "--max-num-seqs 256" in failure.remedies
    assert start("--max-num-seqs 256").starts
