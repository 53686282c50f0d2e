"""The KV cache of one launch: blocks, tokens, concurrency and the longest length.

`KvPool` is what the model and the launch fix; `KvPlan` is what a given number of
free bytes makes of it. Source: vLLM 0.33 v1/core/kv_cache_planning.py and
kv_cache_utils.py; what earlier versions print differently is in `TokenReport`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from vllm_preflight.memory.kv_groups import (
    GroupRule,
    KvGroup,
    block_stride_alignment,
    group_layers,
    pool_bytes_per_block,
)
from vllm_preflight.memory.kv_layout import KvLaunch, choose_block_size, layer_specs
from vllm_preflight.memory.kv_specs import RequestShape
from vllm_preflight.models.architecture import Architecture

# How "GPU KV cache size" is printed: from blocks (up to 0.19) or as concurrency × length.
TokenReport = Literal["blocks", "concurrency"]


@dataclass(frozen=True, slots=True)
class KvPool:
    """The pool of blocks of one engine: its groups and what a block costs per stage."""

    block_size: int
    groups: tuple[KvGroup, ...]
    bytes_per_block_by_stage: tuple[int, ...]

    @property
    def bytes_per_block(self) -> int:
        """Bytes of one block on the fullest pipeline stage."""
        return max(self.bytes_per_block_by_stage, default=0)

    def blocks_per_request(self, request: RequestShape) -> int:
        """Blocks one request holds over all groups."""
        return sum(group.blocks_for(request) for group in self.groups)

    def needed_bytes(self, request: RequestShape) -> int:
        """Bytes one request of full length needs on the fullest stage."""
        return self.bytes_per_block * self.blocks_per_request(request)

    @property
    def bytes_per_token(self) -> float:
        """Bytes one more token of one long request costs on the fullest stage.

        Over the groups whose need grows with length; windows and states do not.
        """
        return sum(
            self.bytes_per_block / group.block_size for group in self.groups if _grows(group)
        )


@dataclass(frozen=True, slots=True)
class KvPlan:
    """What vLLM makes of `available_bytes` of KV memory per GPU.

    `tokens` and `max_concurrency` are as vLLM prints them; None for a model that
    caches nothing. `estimated_max_model_len` is the longest request that would start,
    0 when not even one token fits.
    """

    pool: KvPool
    available_bytes: int
    num_blocks: int
    needed_bytes: int
    fits: bool
    tokens: int | None
    max_concurrency: float | None
    estimated_max_model_len: int


def _grows(group: KvGroup) -> bool:
    short = RequestShape(2**20, 1, 1)
    long = replace(short, max_model_len=2**21)
    return group.blocks_for(long) > group.blocks_for(short) + 1


def kv_pool(
    architecture: Architecture,
    launch: KvLaunch,
    *,
    stages: tuple[range, ...] = (),
    group_rule: GroupRule = "1.5",
) -> KvPool:
    """The pool of blocks of a launch; `stages` are the layers of each pipeline stage."""
    block_size = choose_block_size(architecture, launch)
    layers = layer_specs(architecture, launch, block_size)
    packed = architecture.packed_kv_layout
    groups = group_layers(layers, group_rule, packed=packed)
    alignment = block_stride_alignment(groups, packed)
    return KvPool(
        block_size,
        groups,
        tuple(
            pool_bytes_per_block(groups, alignment, stage)
            for stage in stages or (range(len(architecture.layers)),)
        ),
    )


def plan_kv_cache(
    pool: KvPool,
    request: RequestShape,
    available_bytes: int,
    *,
    null_block: bool = True,
    report: TokenReport = "concurrency",
) -> KvPlan:
    """Blocks, tokens, concurrency and longest length for `available_bytes` per GPU.

    `null_block` (0.31 and later): the admission check sets one block aside, while
    allocation and report still count it.
    """
    per_block = pool.bytes_per_block
    if per_block == 0:
        return KvPlan(pool, available_bytes, 1, 0, True, None, None, request.max_model_len)
    num_blocks = max(0, available_bytes) // per_block
    admissible = available_bytes - per_block * null_block
    needed = pool.needed_bytes(request)
    concurrency = num_blocks / pool.blocks_per_request(request)
    if report == "concurrency":
        tokens = int(concurrency * request.max_model_len)
    else:
        smallest = min(group.block_size for group in pool.groups)
        dcp = request.decode_context_parallel_size
        tokens = num_blocks // len(pool.groups) * smallest * dcp
    fits = available_bytes > 0 and needed <= admissible
    longest = request.max_model_len if fits else _longest(pool, request, admissible)
    return KvPlan(pool, available_bytes, num_blocks, needed, fits, tokens, concurrency, longest)


def _longest(pool: KvPool, request: RequestShape, admissible: int) -> int:
    """The longest length whose blocks fit, by binary search as vLLM does it."""
    low, high = 0, request.max_model_len
    while low < high:
        middle = (low + high + 1) // 2
        if pool.needed_bytes(replace(request, max_model_len=middle)) <= admissible:
            low = middle
        else:
            high = middle - 1
    return low


def longest_length(
    pool: KvPool, request: RequestShape, available_bytes: int, *, null_block: bool = True
) -> int:
    """The longest `max_model_len` up to `request`'s that would start, 0 for none."""
    if pool.bytes_per_block == 0:
        return request.max_model_len
    return _longest(pool, request, available_bytes - pool.bytes_per_block * null_block)
