"""vllm#18446: what Qwen3-235B-A22B takes on each of eight GPUs.

The log of the reporter's start with TP 8: "Model loading took 54.9206 GiB".
https://github.com/vllm-project/vllm/issues/18446
"""

from __future__ import annotations

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.questions.check import predict_startup


def test_the_weights_of_a_rank_are_those_of_the_log() -> None:
    command = "vllm serve Qwen/Qwen3-235B-A22B --tensor-parallel-size 8"
    request = StartupRequest(command=command, gpu="H100", gpus=8, vllm_version="0.9.0")
    assert predict_startup(request).startup.weights_gib == pytest.approx(54.92, abs=0.05)
