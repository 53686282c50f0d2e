"""What ROCm's platform does not take, release by release."""

from __future__ import annotations

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup


@pytest.mark.parametrize(
    ("words", "version", "said"),
    [
        ("Qwen/Qwen3-8B -q bitsandbytes", "0.11.0", "bitsandbytes quantization is currently not"),
        ("Qwen/Qwen3-8B -q bitsandbytes", "0.20.0", None),
        ("Qwen/Qwen3-8B -q fp8", "0.11.0", None),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ --dtype half", "0.11.0", None),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", "0.11.0", None),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ --dtype bfloat16", "0.11.0", "torch.bfloat16 is not"),
        ("Qwen/Qwen2.5-7B-Instruct-AWQ -q awq_marlin", "0.11.0", "awq_marlin quantization is"),
        ("openai/gpt-oss-20b", "0.10.2", None),
        ("openai/gpt-oss-20b", "0.33.0", None),
    ],
)
def test_methods_that_rocm_does_not_list_are_refused(
    words: str, version: str, said: str | None
) -> None:
    fields = {"command": f"vllm serve {words}", "gpu": "MI300X", "vllm_version": version}
    verdict = predict_startup(validate_request(StartupRequest, fields)).verdict
    assert verdict.outcome == ("not_modelled" if said is None else "refused")
    assert said is None or said in verdict.sentence


def test_the_release_that_takes_a_method_is_named() -> None:
    fields = {"command": "vllm serve Qwen/Qwen3-8B -q bitsandbytes", "gpu": "MI300X"}
    request = validate_request(StartupRequest, {**fields, "vllm_version": "0.11.0"})
    failure = predict_startup(request).startup.failure
    assert failure is not None and failure.remedies == ["vLLM 0.12.0 to 0.27.1"]
