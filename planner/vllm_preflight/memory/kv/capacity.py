"""How many requests of each length a sized KV cache holds at once."""

from __future__ import annotations

from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.kv.cache import KvPlan
from vllm_preflight.memory.kv.launch import request_shape
from vllm_preflight.memory.kv.specs import RequestShape
from vllm_preflight.models.architecture import Architecture

_SHORTEST = 256
_STEP = 4
# A round length this near to one that is asked for says nothing new.
_NEAR = 1.5


def requests_by_length(
    architecture: Architecture, launch: Launch, kv: KvPlan, longest: int
) -> tuple[tuple[int, float], ...]:
    """Lengths in tokens with the requests of that length that the pool holds at once.

    vLLM's "maximum concurrency" (blocks of the pool over blocks of one request) at round
    lengths up to `longest`, at `longest` and at the launch's max_model_len. Empty when
    there is no block, or for a model that caches nothing.
    """
    if not kv.pool.bytes_per_block or not kv.num_blocks:
        return ()
    shape = request_shape(launch, architecture)
    asked = {length for length in (longest, launch.max_model_len) if length}
    lengths = set(asked)
    length = _SHORTEST
    while length < longest:
        if all(not length / _NEAR < other < length * _NEAR for other in asked):
            lengths.add(length)
        length *= _STEP
    return tuple(
        (length, kv.num_blocks / kv.pool.blocks_per_request(shape.of_length(length)))
        for length in sorted(lengths)
    )


def requests_at_once(architecture: Architecture, launch: Launch, kv: KvPlan, length: int) -> int:
    """How many requests of `length` tokens run at once before one has to wait.

    Windowed layers keep a prompt's whole step only for the request that is read just now
    (SlidingWindowManager.remove_skipped_blocks, vLLM v1/core/single_type_kv_cache_manager.py);
    the figure vLLM prints reckons with it for every request. max_num_seqs bounds the answer,
    alone for a model that caches nothing.
    """
    return _at_once(request_shape(launch, architecture), launch.max_num_seqs, kv, length)


def _at_once(longest: RequestShape, most: int, kv: KvPlan, length: int) -> int:
    if not kv.pool.bytes_per_block:
        return most
    reading = longest.of_length(length)
    blocks = kv.admissible_bytes // kv.pool.bytes_per_block
    first = kv.pool.blocks_per_request(reading)
    if blocks < first:
        return 0
    settled = kv.pool.blocks_per_request(longest.of_length(length, in_flight_tokens=1))
    return min(most, 1 + (blocks - first) // max(1, settled))


def longest_at_once(
    architecture: Architecture, launch: Launch, kv: KvPlan, concurrency: int, longest: int
) -> int:
    """The longest length, up to `longest`, of which `concurrency` requests run at once."""
    shape, most = request_shape(launch, architecture), launch.max_num_seqs
    pool = kv.pool
    if pool.bytes_per_block and pool.fills_block_by_block:
        blocks = kv.admissible_bytes // pool.bytes_per_block
        return pool.longest_within(shape, blocks // concurrency, longest) * (concurrency <= most)
    low, high = 0, longest
    while low < high:
        middle = (low + high + 1) // 2
        if _at_once(shape, most, kv, middle) >= concurrency:
            low = middle
        else:
            high = middle - 1
    return low
