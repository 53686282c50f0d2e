"""What attention and recurrent states read and compute, layers of one kind together.

Bytes are those of the memory engine (caches per rank); FLOPs are two per pair of query
and key element, and six per element of a recurrent state and token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.kv.cache import stage_caches
from vllm_preflight.memory.kv.specs import (
    ChunkedSpec,
    CrossSpec,
    KvSpec,
    LatentSpec,
    RingSpec,
    SlidingSpec,
    StateSpec,
)
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Cache,
    CompressedCache,
    IndexerCache,
    LatentCache,
    StateCache,
)

Kind = Literal["attention", "latent", "state"]

UNBOUNDED = math.inf
# Tokens that DeepSeek's sparse attention keeps per query, where the config names none.
INDEX_TOPK = 2048
# Heads the sparse attention kernel computes at once; a rank with fewer pads to them.
_SPARSE_HEADS = 64
# Multiplications and additions of a recurrent state's element per token: it decays, takes
# in the token and is read.
_STATE_FLOPS = 6.0
_ACTIVATION = 2.0


@dataclass(slots=True)
class _Sums:
    layers: float = 0.0
    token_bytes: float = 0.0
    sequence_bytes: float = 0.0
    prefill_flops: float = 0.0
    decode_flops: float = 0.0
    prompt_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Attention:
    """Layers of one kind, all of a mean stage's together, on one rank.

    Attributes:
        kind: which kernel they run.
        limit: tokens a query looks at, at most.
        padded: whether the kernel computes `limit` keys for every query, however few.
        layers: how many.
        token_bytes: read per token of the context that is looked at.
        sequence_bytes: read and written per sequence, whatever its length.
        prefill_flops, decode_flops: per pair of query and key; per token for states.
        prompt_bytes: activations in and out per token of a prompt.
    """

    kind: Kind
    limit: float
    padded: bool
    layers: float
    token_bytes: float
    sequence_bytes: float
    prefill_flops: float
    decode_flops: float
    prompt_bytes: float

    def keys(self, context: float) -> float:
        """Keys a query at `context` tokens is compared with."""
        if self.kind == "state":
            return 1.0
        return self.limit if self.padded else min(context, self.limit)

    def decode_bytes(self, context: float) -> float:
        """Bytes one sequence of `context` tokens moves in a step."""
        return self.token_bytes * min(context, self.limit) + self.sequence_bytes

    def prompt_flops(self, tokens: float, cached: float) -> float:
        """FLOPs of `tokens` prompt tokens behind `cached` ones.

        Each looks at those before it, at most `limit`: the exact mean of min(position,
        limit) over the prompt, so that more tokens never cost less.
        """
        if self.kind == "state" or self.padded or self.limit is UNBOUNDED:
            return tokens * self.prefill_flops * self.keys(cached + tokens / 2)
        rising = max(0.0, min(self.limit, cached + tokens) - cached)
        keys = rising * (cached + rising / 2) + (tokens - rising) * self.limit
        return self.prefill_flops * keys


@dataclass(slots=True)
class _Groups:
    sums: dict[tuple[Kind, float, bool], _Sums] = field(
        default_factory=dict[tuple[Kind, float, bool], _Sums]
    )

    def of(self, kind: Kind, limit: float, padded: bool = False) -> _Sums:
        return self.sums.setdefault((kind, limit, padded), _Sums())


def stage_attention(
    architecture: Architecture, launch: Launch, capability: ComputeCapability, topk: int
) -> tuple[Attention, ...]:
    """The attention of a mean pipeline stage on one rank."""
    groups = _Groups()
    _add_reads(groups, architecture, launch, capability, topk)
    for layer, count in architecture.layer_counts.items():
        for cache in layer.caches:
            _add_flops(groups, architecture, cache, launch, topk, count)
    return tuple(
        Attention(
            kind,
            limit,
            padded,
            item.layers,
            item.token_bytes,
            item.sequence_bytes,
            item.prefill_flops,
            item.decode_flops,
            item.prompt_bytes,
        )
        for (kind, limit, padded), item in groups.sums.items()
    )


def _is_sparse(architecture: Architecture) -> bool:
    return any(
        isinstance(cache, LatentCache) and cache.sparse
        for layer in architecture.layer_counts
        for cache in layer.caches
    )


def _add_reads(
    groups: _Groups,
    architecture: Architecture,
    launch: Launch,
    capability: ComputeCapability,
    topk: int,
) -> None:
    stages = stage_caches(architecture, launch, capability)
    specs: list[tuple[KvSpec, float]] = [
        (spec, layers / len(stages)) for stage in stages for spec, layers in stage.specs
    ]
    sparse = _is_sparse(architecture)
    widest = max((spec.token_bytes for spec, _ in specs), default=0)
    for spec, layers in specs:
        if isinstance(spec, StateSpec):
            groups.of("state", UNBOUNDED).sequence_bytes += 2.0 * spec.state_bytes * layers
            continue
        if isinstance(spec, RingSpec):
            groups.of("state", UNBOUNDED).sequence_bytes += float(spec.page_bytes * layers)
            continue
        if isinstance(spec, CrossSpec):
            continue
        kind: Kind = "latent" if isinstance(spec, LatentSpec) else "attention"
        limit, padded = UNBOUNDED, False
        if isinstance(spec, SlidingSpec):
            limit = float(spec.window)
        elif isinstance(spec, ChunkedSpec):
            limit = float(spec.chunk)
        elif sparse and spec.token_bytes == widest:
            # The indexer picks the tokens whose latents are read.
            limit, padded = float(topk), True
        group = groups.of(kind, limit, padded)
        group.token_bytes += spec.token_bytes * layers / spec.compress_ratio


def _add_flops(
    groups: _Groups,
    architecture: Architecture,
    cache: Cache,
    launch: Launch,
    topk: int,
    count: int,
) -> None:
    layers = count / launch.pipeline_parallel_size
    ranks = launch.tensor_parallel_size
    if isinstance(cache, AttentionCache):
        heads, kv = cache.num_heads / ranks, max(1.0, cache.num_kv_heads / ranks)
        width = cache.head_dim + cache.head_dim_v
        group = groups.of("attention", float(cache.window or cache.chunk or UNBOUNDED))
        prefill = decode = 2.0 * heads * width
        moved = (heads + kv) * width * _ACTIVATION
    elif isinstance(cache, LatentCache):
        heads = cache.num_heads / ranks
        width = cache.qk_nope_head_dim + cache.qk_rope_head_dim + cache.v_head_dim
        absorbed = 2 * cache.kv_lora_rank + cache.qk_rope_head_dim
        prefill, decode = 2.0 * heads * width, 2.0 * heads * absorbed
        moved = 2.0 * heads * width * _ACTIVATION
        group = groups.of("latent", UNBOUNDED)
        if cache.sparse:
            # One kernel for prompts and decoding, on latents.
            prefill = decode = 2.0 * max(heads, _SPARSE_HEADS) * absorbed
            group = groups.of("latent", float(topk), True)
    elif isinstance(cache, CompressedCache):
        heads = architecture.num_attention_heads / ranks
        prefill = decode = 4.0 * heads * cache.head_dim / cache.compress_ratio
        moved = 2.0 * heads * cache.head_dim * _ACTIVATION
        group = groups.of("attention", float(cache.window or UNBOUNDED))
    elif isinstance(cache, StateCache):
        prefill = decode = _STATE_FLOPS * math.prod(cache.state_shape or (0,)) / ranks
        moved = cache.conv_channels / ranks * 2 * _ACTIVATION
        group = groups.of("state", UNBOUNDED)
    elif isinstance(cache, IndexerCache):
        # What it reads is counted; its kernel is launched beside the attention it serves.
        group, prefill, decode, moved = groups.of("latent", UNBOUNDED), 0.0, 0.0, 0.0
    else:
        return
    group.layers += layers
    group.prefill_flops += prefill * layers
    group.decode_flops += decode * layers
    group.prompt_bytes += moved * layers
