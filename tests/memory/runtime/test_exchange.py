"""Buffers of libraries that exchange tokens of experts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.memory.conftest import LaunchOf

from vllm_preflight.memory.runtime.exchange import exchange_buffers, uncounted_exchange
from vllm_preflight.models.sources import load_model

MIB = 2**20
R1 = load_model("deepseek-ai/DeepSeek-R1", source="catalog").architecture
DENSE = load_model("meta-llama/Llama-3.1-8B-Instruct", source="catalog").architecture


def total(launch_of: LaunchOf, **changes: object) -> float:
    fields = {"data_parallel_size": 8, "enable_expert_parallel": True, **changes}
    return sum(part.bytes for part in exchange_buffers(R1, launch_of(**fields)))


def test_high_throughput_keeps_a_gibibyte_and_another_between_machines(launch_of: LaunchOf) -> None:
    backend = "deepep_high_throughput"
    assert total(launch_of, all2all_backend=backend) == 1024 * MIB
    assert total(launch_of, all2all_backend=backend, data_parallel_size=16) == 2048 * MIB
    smaller = {"VLLM_DEEPEP_BUFFER_SIZE_MB": "512"}
    assert total(launch_of, all2all_backend=backend, environment=smaller) == 512 * MIB


def test_low_latency_keeps_a_message_of_every_token_for_each_expert(launch_of: LaunchOf) -> None:
    changes = {"all2all_backend": "deepep_low_latency", "max_num_batched_tokens": 256}
    # DeepEP's layout: messages of 7,168 elements, dispatched with a header, combined with
    # the range of each 128; two of both are sent and received.
    combined, dispatched = 7168 * 2 + 56 * 4, 7168 * 2 + 16
    expected = 1024 * MIB + 256 * 256 * (2 * combined + 2 * max(combined, dispatched))
    assert total(launch_of, **changes) == expected
    # Up to 0.19 in chunks, whatever the batch.
    early = total(launch_of, **{**changes, "max_num_batched_tokens": 8192}, version=(0, 19, 0))
    assert early == expected
    assert total(launch_of, **{**changes, "max_num_batched_tokens": 512}) > expected


@pytest.mark.parametrize(
    "changes",
    [
        {"all2all_backend": None},
        {"all2all_backend": "allgather_reducescatter"},
        {"all2all_backend": "deepep_low_latency", "enable_expert_parallel": False},
        {"all2all_backend": "deepep_low_latency", "data_parallel_size": 1},
    ],
)
def test_collectives_and_whole_experts_keep_nothing(
    launch_of: LaunchOf, changes: dict[str, object]
) -> None:
    assert total(launch_of, **changes) == 0


def test_what_is_not_described_is_named(launch_of: LaunchOf) -> None:
    launch = launch_of(data_parallel_size=8, enable_expert_parallel=True, all2all_backend="nixl_ep")
    assert uncounted_exchange(R1, launch) == "nixl_ep"
    assert uncounted_exchange(DENSE, launch) is None
    assert uncounted_exchange(R1, replace(launch, all2all_backend="naive")) is None
