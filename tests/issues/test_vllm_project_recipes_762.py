"""vllm-project/recipes#762: how many 1M-token requests DeepSeek-V4-Flash carries on 8 B200s.

The reporter's start-up logs of vLLM 0.25.0: 20.43 at once with TP 8, 156.9 over eight data
parallel engines, 7.7 times as many, because the latent cache is not divided by TP. His model
is a later checkpoint of the same shape, and his flags come from a sister thread.
https://github.com/vllm-project/recipes/issues/762
"""

from __future__ import annotations

import pytest

from vllm_preflight.contract.check import StartupReport, StartupRequest
from vllm_preflight.questions.check import predict_startup

COMMAND = (
    "vllm serve deepseek-ai/DeepSeek-V4-Flash {} --enable-expert-parallel --block-size 256 "
    "--gpu-memory-utilization 0.95 --kv-cache-dtype fp8 --max-num-batched-tokens 8192 "
    "--max-num-seqs 256 --trust-remote-code"
)


def start(layout: str) -> StartupReport:
    request = StartupRequest(
        command=COMMAND.format(layout), gpu="B200", gpus=8, vllm_version="0.25.0"
    )
    return predict_startup(request).startup


def test_data_parallel_engines_carry_what_tensor_parallelism_does_not() -> None:
    together, apart = start("--tensor-parallel-size 8"), start("--data-parallel-size 8")
    assert together.max_concurrency == pytest.approx(20.43, rel=0.05)
    assert apart.max_concurrency is not None
    assert 8 * apart.max_concurrency == pytest.approx(156.9, rel=0.05)
