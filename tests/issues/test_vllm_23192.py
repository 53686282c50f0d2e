"""vllm#23192: another process holds the GPU.

"Free memory on device (7.34/139.72 GiB) on startup is less than desired GPU memory utilization
(0.9, 125.75 GiB)", for Mixtral 8x7B in FP8 on a card of 139.72 GiB.
https://github.com/vllm-project/vllm/issues/23192
"""

from __future__ import annotations

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.explain import explain_startup_log

LINE = (
    "ValueError: Free memory on device (7.34/139.72 GiB) on startup is less than desired GPU "
    "memory utilization (0.9, 125.75 GiB). Decrease GPU memory utilization or reduce GPU memory "
    "used by other processes."
)


def test_it_is_foreseen_from_the_memory_that_is_free() -> None:
    command = (
        "vllm serve mistralai/Mixtral-8x7B-Instruct-v0.1 --quantization fp8 "
        "--gpu-memory-utilization 0.9"
    )
    request = StartupRequest(command=command, gpu="H200", free_vram_gb=7.34)
    report = predict_startup(request).startup
    assert not report.starts
    assert report.failure is not None and report.failure.kind == "free_memory_below_request"


def test_the_one_line_of_the_report_is_explained() -> None:
    answer = explain_startup_log(LINE)
    assert answer.outcome == "failed"
    assert answer.failure is not None and answer.failure.kind == "free_memory_below_request"
    assert answer.failure.figures["free_gib"] == 7.34
    assert "other processes hold the rest" in answer.explanation
