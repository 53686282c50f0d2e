"""vllm#33155: gpt-oss-120b runs out of memory on one H100 with vLLM 0.14.1.

The reporter's log: "Model loading took 64.38 GiB", then out of memory with the defaults.
https://github.com/vllm-project/vllm/issues/33155
"""

from __future__ import annotations

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.questions.check import predict_startup


def test_the_defaults_do_not_start_on_one_h100() -> None:
    command = "vllm serve openai/gpt-oss-120b"
    request = StartupRequest(command=command, gpu="H100", vllm_version="0.14.1")
    report = predict_startup(request).startup
    assert not report.starts
    assert report.failure is not None
    assert any("--tensor-parallel-size 2" in remedy for remedy in report.failure.remedies)
