"""vllm#34076: Qwen3-Coder-30B-A3B over a 16 GiB and a 32 GiB card with pipeline stages.

vLLM's refusal names what one request of the model's own 262,144 tokens needs, 24.0 GiB, what is
left, 3.18 GiB, and the length that would start, 34,736.
https://github.com/vllm-project/vllm/issues/34076
"""

from __future__ import annotations

from vllm_preflight.questions.explain import explain_startup_log

LINE = (
    "ValueError: To serve at least one request with the models's max seq len (262144), (24.0 GiB "
    "KV cache is needed, which is larger than the available KV cache memory (3.18 GiB). Based on "
    "the available memory, the estimated maximum model length is 34736."
)


def test_the_refusal_is_explained_with_the_length_that_starts() -> None:
    answer = explain_startup_log(LINE)
    assert answer.outcome == "failed"
    assert answer.failure is not None and answer.failure.kind == "kv_cache_too_small"
    assert answer.failure.figures["kv_needed_gib"] == 24.0
    assert "--max-model-len 34736" in answer.explanation
