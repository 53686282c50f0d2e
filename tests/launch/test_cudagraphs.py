from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vllm_preflight.launch.cudagraphs import cudagraph_capture_sizes, full_graph_sizes
from vllm_preflight.launch.launch import Launch

Resolve = Callable[..., Launch]
HOPPER = (9, 0)


def test_a_server_on_hopper_captures_51_sizes_up_to_512(resolve: Resolve) -> None:
    launch = resolve()
    sizes = cudagraph_capture_sizes(launch, HOPPER, "llama")
    assert sizes == (1, 2, 4, *range(8, 256, 8), *range(256, 513, 16))
    assert full_graph_sizes(launch, sizes) == sizes


def test_the_sizes_are_those_a_published_log_lists(resolve: Resolve, shared_dir: Path) -> None:
    log = shared_dir / "data/logs/meta-llama-llama-3-1-8b__tp2pp1dp1-8192.log"
    found = re.search(r"'cudagraph_capture_sizes': (\[[\d, ]+\])", log.read_text(encoding="utf-8"))
    assert found is not None
    launch = resolve(vllm_version="0.19.0", max_model_len=8192, tensor_parallel_size=2)
    assert list(cudagraph_capture_sizes(launch, HOPPER, "llama")) == ast.literal_eval(found[1])


def test_few_sequences_capture_up_to_twice_as_many(resolve: Resolve) -> None:
    launch = resolve(max_num_seqs=10)
    sizes = cudagraph_capture_sizes(launch, HOPPER, "llama")
    assert sizes == (1, 2, 4, 8, 10, 16)
    assert full_graph_sizes(launch, sizes) == (1, 2, 4, 8, 10)


def test_drafts_round_the_sizes_to_whole_decode_steps(resolve: Resolve) -> None:
    # A published start-up with one drafted token captured 18 piecewise graphs, the
    # largest 128, and 10 full ones, the largest 64.
    launch = resolve(
        max_num_seqs=32, speculative_config='{"method": "ngram", "num_speculative_tokens": 1}'
    )
    sizes = cudagraph_capture_sizes(launch, HOPPER, "llama")
    full = full_graph_sizes(launch, sizes)
    assert (len(sizes), sizes[-1]) == (18, 128)
    assert (len(full), full[-1]) == (10, 64)


@pytest.mark.parametrize(("version", "count", "largest"), [("0.8.5", 67, 512), ("0.19.0", 51, 512)])
def test_the_rule_changed_with_the_release(
    resolve: Resolve, version: str, count: int, largest: int
) -> None:
    launch = resolve(vllm_version=version)
    sizes = cudagraph_capture_sizes(launch, HOPPER, "llama")
    assert (len(sizes), sizes[-1]) == (count, largest)


def test_blackwell_and_gpt_oss_capture_up_to_1024(resolve: Resolve) -> None:
    launch = resolve()
    assert cudagraph_capture_sizes(launch, (10, 0), "llama")[-1] == 1024
    sizes = cudagraph_capture_sizes(launch, HOPPER, "gpt_oss")
    assert (len(sizes), sizes[-1]) == (83, 1024)
    small = replace(launch, max_num_batched_tokens=64)
    assert cudagraph_capture_sizes(small, HOPPER, "gpt_oss")[-1] == 64


def test_the_users_sizes_and_maximum_win(resolve: Resolve) -> None:
    listed = resolve(extra={"cudagraph_capture_sizes": [8, 2, 99999]})
    assert cudagraph_capture_sizes(listed, HOPPER, "llama") == (2, 8)
    nested = resolve(extra={"compilation_config": {"cudagraph_capture_sizes": [4]}})
    assert cudagraph_capture_sizes(nested, HOPPER, "llama") == (4,)
    capped = resolve(extra={"max_cudagraph_capture_size": 16})
    assert cudagraph_capture_sizes(capped, HOPPER, "llama") == (1, 2, 4, 8, 16)


def test_nothing_is_captured_without_graphs(resolve: Resolve) -> None:
    eager = resolve(enforce_eager=True)
    unoptimised = resolve(extra={"optimization_level": 0})
    off = resolve(extra={"compilation_config": {"cudagraph_mode": "none"}})
    for launch in (eager, unoptimised, off):
        assert cudagraph_capture_sizes(launch, HOPPER, "llama") == ()
    piecewise = resolve(extra={"compilation_config": {"cudagraph_mode": "PIECEWISE"}})
    sizes = cudagraph_capture_sizes(piecewise, HOPPER, "llama")
    assert sizes and full_graph_sizes(piecewise, sizes) == ()
