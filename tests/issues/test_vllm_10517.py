"""vllm#10517: how long a context Llama-3.1-8B has on one RTX 3090.

The reporter's logs: 14.9888 GiB of weights; a context of 29,000 is refused because 23,648 tokens
fit. They are of an engine before V1, so only what both engines share is asked of it.
https://github.com/vllm-project/vllm/issues/10517
"""

from __future__ import annotations

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.explain import explain_startup_log

LINE = (
    "ValueError: The model's max seq len (29000) is larger than the maximum number of tokens that "
    "can be stored in KV cache (23648)."
)


def test_the_weights_are_those_of_the_log() -> None:
    command = "vllm serve meta-llama/Llama-3.1-8B-Instruct --max-model-len 29000"
    report = predict_startup(StartupRequest(command=command, gpu="RTX 3090")).startup
    assert report.weights_gib == pytest.approx(14.99, abs=0.02)


def test_the_refusal_is_explained() -> None:
    failure = explain_startup_log(LINE).failure
    assert failure is not None and failure.kind == "kv_cache_too_small"
    assert failure.figures == {"max_model_len": 29_000, "kv_cache_tokens": 23_648}
