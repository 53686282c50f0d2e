"""vllm#42147: out of memory while the KV cache is allocated, on a card of 23.52 GiB.

The reporter's error stands in `_allocate_kv_cache_tensors`: the cache had been sized and did not
fit beside what PyTorch held. https://github.com/vllm-project/vllm/issues/42147
"""

from __future__ import annotations

import pytest

from vllm_preflight.questions.explain import explain_startup_log

LINE = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.02 GiB. GPU 0 has a total "
    "capacity of 23.52 GiB of which 115.69 MiB is free."
)


def test_a_line_without_its_stack_is_not_said_to_be_certain() -> None:
    failure = explain_startup_log(LINE).failure
    assert failure is not None and failure.kind == "out_of_memory"
    assert not failure.certain
    assert failure.figures["free_gib"] == pytest.approx(115.69 / 1024, abs=0.001)
