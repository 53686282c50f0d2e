"""What is said of the speed on AMD's GPUs, whose memory is not modelled."""

from __future__ import annotations

import pytest

from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.questions.plan import plan_deployment

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def plan(gpu: str, model: str = LLAMA) -> PlanResponse:
    return plan_deployment(PlanRequest(model=model, gpu=gpu, gpus=1))


def test_an_mi300x_is_reckoned_with_factors_that_the_terms_name() -> None:
    answer = plan("MI300X")
    assert answer.verdict.outcome == "not_modelled"
    assert answer.verdict.start_probability is None and answer.artifacts.serve_command is None
    speed = answer.performance
    assert speed is not None and speed.terms is not None
    terms = {term.name: term for term in speed.terms}
    assert "H100 SXM5 80GB" in terms["kernel_gemm_bfloat16"].source
    assert {"factor_gemm", "factor_decode", "factor_layer"} <= terms.keys()
    assert "ROCm" in terms["factor_gemm"].source and "instinct" in terms["factor_gemm"].formula
    assert any("MI300X" in warning and "KV cache" in warning for warning in speed.warnings)


def test_its_interval_is_wide_where_no_run_of_it_was_measured() -> None:
    wide, narrow = plan("MI300X").performance, plan("H100").performance
    assert wide is not None and narrow is not None
    for metric in ("ttft_ms", "tpot_ms", "output_tokens_per_s"):
        low, high = wide.interval[metric]
        least, most = narrow.interval[metric]
        assert high / low > 1.2 * most / least
    assert not any(term.name.startswith("factor_") for term in narrow.terms or [])


@pytest.mark.parametrize(
    ("gpu", "model", "said"),
    [
        ("MI355X", LLAMA, "no measured serving run"),
        ("MI250X", LLAMA, "no measured serving run"),
        ("RX 7900 XTX", LLAMA, "not known"),
        ("MI300X", "Qwen/Qwen3-Embedding-8B", "no measured run"),
    ],
)
def test_without_evidence_one_warning_says_why(gpu: str, model: str, said: str) -> None:
    answer = plan(gpu, model)
    assert answer.performance is None and answer.pooling is None
    found = [warning for warning in answer.warnings if "No speed is estimated" in warning]
    assert len(found) == 1 and said in found[0]
