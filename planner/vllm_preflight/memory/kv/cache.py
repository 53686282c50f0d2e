"""The KV cache of one launch: blocks, tokens, concurrency and the longest length.

`KvPool` is what the model and the launch fix; `KvPlan` is what a given number of
free bytes makes of it. Source: vLLM 0.33 v1/core/kv_cache_planning.py and
kv_cache_utils.py; what earlier releases do differently is in `kv_versions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.kv.attention_backend import ComputeCapability
from vllm_preflight.memory.kv.groups import (
    KvGroup,
    LayerSpec,
    block_stride_alignment,
    group_layers,
    pool_bytes_per_block,
)
from vllm_preflight.memory.kv.launch import kv_launch, request_shape
from vllm_preflight.memory.kv.layout import choose_block_size, layer_specs
from vllm_preflight.memory.kv.pages import KvLaunch
from vllm_preflight.memory.kv.sizing import StageKv
from vllm_preflight.memory.kv.specs import RequestShape
from vllm_preflight.memory.kv.versions import TokenReport, kv_rules
from vllm_preflight.memory.weights.pipeline import pipeline_stages
from vllm_preflight.models.architecture import Architecture


@dataclass(frozen=True)
class KvPool:
    """The pool of blocks of one engine: its groups and what a block costs per stage."""

    block_size: int
    groups: tuple[KvGroup, ...]
    bytes_per_block_by_stage: tuple[int, ...]

    @cached_property
    def bytes_per_block(self) -> int:
        """Bytes of one block on the fullest pipeline stage."""
        return max(self.bytes_per_block_by_stage, default=0)

    def blocks_per_request(self, request: RequestShape) -> int:
        """Blocks one request holds over all groups."""
        blocks = 0
        for group in self.groups:
            blocks += group.blocks_for(request)
        return blocks

    @cached_property
    def fills_block_by_block(self) -> bool:
        """Whether a request's blocks are its tokens over the block size, and nothing else."""
        specs = [spec for group in self.groups for spec in group.specs]
        return len(specs) == 1 and specs[0].keeps_every_token

    def longest_within(self, request: RequestShape, blocks: int, longest: int) -> int:
        """The longest length, up to `longest`, of which one request holds at most `blocks`.

        Layers that keep every token fill their blocks one by one; windows and states do not,
        and are searched as vLLM does it.
        """
        if self.fills_block_by_block:
            size = self.groups[0].block_size * request.decode_context_parallel_size
            return max(0, min(longest, blocks * size))
        low, high = 0, longest
        while low < high:
            middle = (low + high + 1) // 2
            if self.blocks_per_request(request.of_length(middle)) <= blocks:
                low = middle
            else:
                high = middle - 1
        return low

    @cached_property
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

    `admissible_bytes` is what the admission check compares with `needed_bytes`: a block
    less since 0.29. `tokens` and `max_concurrency` are as vLLM prints them; None for a
    model that caches nothing. `estimated_max_model_len` is the longest request up to
    max_model_len that would start, 0 when not even one token fits.
    """

    pool: KvPool
    available_bytes: int
    admissible_bytes: int
    num_blocks: int
    needed_bytes: int
    fits: bool
    tokens: int | None
    max_concurrency: float | None
    estimated_max_model_len: int

    @property
    def admission_bytes(self) -> int:
        """Available bytes from which one request of full length is admitted."""
        return self.needed_bytes + self.available_bytes - self.admissible_bytes


def kv_plan(
    architecture: Architecture, launch: Launch, capability: ComputeCapability, available_bytes: int
) -> KvPlan:
    """The KV cache of a launch that has `available_bytes` per GPU left for it.

    With pipeline parallelism every rank takes the number of blocks of the fullest.
    `num_gpu_blocks_override` replaces the number of blocks.
    """
    rules = kv_rules(launch.version)
    return plan_kv_cache(
        kv_pool(architecture, kv_launch(launch, architecture, capability)),
        request_shape(launch, architecture),
        available_bytes,
        null_block=rules.null_block,
        report=rules.report,
        blocks_override=launch.num_gpu_blocks_override,
    )


def stage_layers(
    architecture: Architecture, launch: Launch, capability: ComputeCapability
) -> tuple[tuple[LayerSpec, ...], ...]:
    """What each layer keeps on one rank, by pipeline stage, before vLLM groups layers."""
    return _stage_layers(architecture, kv_launch(launch, architecture, capability))


@lru_cache(maxsize=1024)
def _stage_layers(
    architecture: Architecture, launch: KvLaunch
) -> tuple[tuple[LayerSpec, ...], ...]:
    specs = layer_specs(architecture, launch, choose_block_size(architecture, launch))
    stages = _stages(architecture, launch)
    return tuple(tuple(item for item in specs if item.layer in stage) for stage in stages)


def stage_caches(
    architecture: Architecture, launch: Launch, capability: ComputeCapability
) -> tuple[StageKv, ...]:
    """The same by kind of cache, for sizing: each stage's distinct caches with their number."""
    return _stage_caches(architecture, kv_launch(launch, architecture, capability))


@lru_cache(maxsize=1024)
def _stage_caches(architecture: Architecture, launch: KvLaunch) -> tuple[StageKv, ...]:
    return tuple(map(StageKv.of, _stage_layers(architecture, launch)))


def _stages(architecture: Architecture, launch: KvLaunch) -> tuple[range, ...]:
    """The layers of each pipeline stage; those that draft follow the last one."""
    stages = pipeline_stages(len(architecture.layers), launch.pipeline_parallel_size)
    extra = len(architecture.predictor_layers) if launch.prediction_layers else 0
    extra += len(launch.drafter.layers) if launch.drafter is not None else 0
    if not extra:
        return stages
    last = stages[-1]
    return (*stages[:-1], range(last.start, last.stop + extra))


@lru_cache(maxsize=1024)
def kv_pool(architecture: Architecture, launch: KvLaunch) -> KvPool:
    """The pool of blocks of a launch."""
    block_size = choose_block_size(architecture, launch)
    layers = layer_specs(architecture, launch, block_size)
    packed = architecture.packed_kv_layout
    groups = group_layers(layers, launch.group_rule, packed=packed)
    alignment = block_stride_alignment(groups, packed)
    return KvPool(
        block_size,
        groups,
        tuple(
            pool_bytes_per_block(groups, alignment, stage)
            for stage in _stages(architecture, launch)
        ),
    )


def plan_kv_cache(
    pool: KvPool,
    request: RequestShape,
    available_bytes: int,
    *,
    null_block: bool = True,
    report: TokenReport = "concurrency",
    blocks_override: int | None = None,
) -> KvPlan:
    """Blocks, tokens, concurrency and longest length for `available_bytes` per GPU.

    `null_block`: the admission check sets one block aside, while allocation and report
    still count it.
    """
    per_block = pool.bytes_per_block
    if per_block == 0:
        longest = request.max_model_len
        return KvPlan(pool, available_bytes, available_bytes, 1, 0, True, None, None, longest)
    num_blocks = blocks_override or max(0, available_bytes) // per_block
    admissible = available_bytes - per_block * null_block
    if blocks_override:
        admissible = (blocks_override - null_block) * per_block
    blocks_per_request = pool.blocks_per_request(request)
    needed = per_block * blocks_per_request
    concurrency = num_blocks / blocks_per_request
    if report == "concurrency":
        tokens = int(concurrency * request.max_model_len)
    else:
        smallest = min(group.block_size for group in pool.groups)
        dcp = request.decode_context_parallel_size
        tokens = num_blocks // len(pool.groups) * smallest * dcp
    fits = available_bytes > 0 and needed <= admissible
    longest = request.max_model_len
    if not fits:
        longest = pool.longest_within(request, admissible // per_block, longest)
    return KvPlan(
        pool,
        available_bytes,
        admissible,
        num_blocks,
        needed,
        fits,
        tokens,
        concurrency,
        longest,
    )


def _grows(group: KvGroup) -> bool:
    short = RequestShape(2**20, 1, 1)
    long = short.of_length(2**21)
    return group.blocks_for(long) > group.blocks_for(short) + 1
