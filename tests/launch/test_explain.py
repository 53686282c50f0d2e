from __future__ import annotations

from collections.abc import Callable

from vllm_preflight.launch.explain import explain_defaults
from vllm_preflight.launch.launch import Launch


def test_each_argument_says_what_decided_it(resolve: Callable[..., Launch]) -> None:
    terms = {
        term.name: term for term in explain_defaults(resolve(max_num_seqs=9, enable_lora=True))
    }
    assert (terms["max_num_seqs"].value, terms["max_num_seqs"].basis) == (9, "exact")
    assert terms["gpu_memory_utilization"].value == 0.92
    assert terms["gpu_memory_utilization"].basis == "derived"
    assert "0.33.0" in terms["gpu_memory_utilization"].source
    assert "GPU of 79 GiB" in terms["max_num_batched_tokens"].formula
    assert terms["async_scheduling"].value == 1
    assert terms["max_lora_rank"].value == 16
    assert "bfloat16" in terms["dtype"].formula
