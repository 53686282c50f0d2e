"""Servers that share one GPU: all start in sequence, and nothing is promised twice."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.pack import PackReport, PackRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.pack import pack_servers

EIGHT = "vllm serve Qwen/Qwen3-8B --max-model-len 16k"
SMALL = "vllm serve Qwen/Qwen3-1.7B --max-model-len 8k"


def packed(*launches: str, gpu: str = "H100", **fields: Any) -> PackReport:
    asked = {"launches": list(launches), "gpu": gpu, **fields}
    return pack_servers(validate_request(PackRequest, asked))


@pytest.mark.parametrize("gpu", ["H100", "L40S", "H100 MIG 4g.40gb"])
def test_every_server_starts_with_what_those_before_it_leave(gpu: str) -> None:
    found = packed(EIGHT, SMALL, gpu=gpu)
    assert found.verdict.outcome == "starts"
    taken = 0.0
    for server in found.servers:
        assert server.requested_gib <= server.free_before_gib
        assert server.free_before_gib <= found.visible_gib - taken
        taken += server.requested_gib + server.beside_gib
    assert found.left_gib == pytest.approx(found.visible_gib - taken, abs=0.05)
    assert found.left_gib >= 0
    for server in found.servers:
        asked = {"command": server.command, "gpu": gpu, "free_vram_gb": server.free_before_gib}
        alone = predict_startup(validate_request(StartupRequest, asked))
        assert alone.verdict.outcome == "starts"
        assert alone.startup.kv_cache_tokens == server.kv_cache_tokens


def test_with_its_cache_in_bytes_a_server_starts_as_well() -> None:
    for server in packed(EIGHT, SMALL).servers:
        line = f"{server.command} --kv-cache-memory-bytes {server.kv_cache_memory_bytes}"
        alone = predict_startup(validate_request(StartupRequest, {"command": line, "gpu": "H100"}))
        assert alone.verdict.outcome == "starts"
        assert (alone.startup.kv_cache_tokens or 0) <= (server.kv_cache_tokens or 0)


def test_a_workload_is_held_by_each() -> None:
    found = packed(EIGHT, SMALL, concurrency=16, prompt_tokens=2000, gen_tokens=500)
    assert [server.verdict.outcome for server in found.servers] == ["carries", "carries"]
    assert all((server.held or 0) >= 16 for server in found.servers)


def test_a_share_that_is_given_stays() -> None:
    found = packed(f"{EIGHT} --gpu-memory-utilization 0.4", SMALL)
    assert found.servers[0].gpu_memory_utilization == 0.4
    assert found.servers[0].command == f"{EIGHT} --gpu-memory-utilization 0.4"


def test_too_much_for_the_card_is_no_plan() -> None:
    found = packed(EIGHT, EIGHT, gpu="RTX 4090")
    assert found.verdict.outcome == "does_not_start"
    assert found.left_gib < 0
    late = found.servers[1]
    assert late.command is None
    assert late.free_before_gib < late.requested_gib
    assert "the servers before it leave" in late.verdict.sentence


def test_shares_that_start_alone_but_not_together() -> None:
    found = packed(f"{SMALL} --gpu-memory-utilization 0.6", EIGHT)
    assert found.verdict.outcome == "starts"
    both = packed(f"{SMALL} --gpu-memory-utilization 0.6", f"{EIGHT} --gpu-memory-utilization 0.5")
    assert [server.verdict.outcome for server in both.servers] == ["starts", "does_not_start"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("vllm serve Qwen/Qwen3-8B -tp 2", "is spread over 2 GPUs"),
        ("vllm serve Qwen/Qwen3-8B --swap-space 4", "vLLM would refuse it"),
        ("ls -l", "vllm serve"),
    ],
)
def test_lines_that_cannot_share_a_gpu(line: str, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        packed(SMALL, line)
    assert sentence in f"{caught.value.message} {caught.value.hint}"
