"""From a model's layers to what each keeps on one rank, and the block size.

Source: vLLM 0.33 v1/kv_cache_interface.py (pages), layers/mamba/mamba_utils.py
(states), platforms/interface.py (_align_hybrid_block_size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vllm_preflight.memory.attention_backend import (
    ComputeCapability,
    attention_backend,
    has_flashinfer_prefill,
    state_checkpoints,
)
from vllm_preflight.memory.kv_groups import LayerSpec
from vllm_preflight.memory.kv_specs import (
    ChunkedSpec,
    CrossSpec,
    FullSpec,
    KvSpec,
    LatentSpec,
    SlidingSpec,
    StateSpec,
)
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Cache,
    IndexerCache,
    LatentCache,
    StateCache,
)
from vllm_preflight.units import ceil_div

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_ONE_BYTE = ("fp8", "int8")


@dataclass(frozen=True, slots=True)
class KvLaunch:
    """Everything about a launch that decides the KV cache, as plain values.

    `kv_cache_dtype` is resolved: "auto" means `dtype`. `mamba_cache_mode` is
    "none" or "align"; `state_checkpoint_blocks` says whether the version keeps
    prefill checkpoints (0.31 and later). `speculative_tokens` are drafted per step.
    """

    dtype: str
    kv_cache_dtype: str
    tensor_parallel_size: int
    compute_capability: ComputeCapability
    max_model_len: int
    block_size: int | None = None
    mamba_cache_mode: Literal["none", "align", "all"] = "align"
    state_checkpoint_blocks: bool = True
    latent_hybrid_alignment: bool = True
    windows_as_full: bool = False
    speculative_tokens: int = 0


def element_bytes(kv_cache_dtype: str, dtype: str) -> int:
    """Bytes of one cached element before per-block packing."""
    if kv_cache_dtype.startswith(_ONE_BYTE):
        return 1
    names = {"auto": dtype, "bf16": "bfloat16", "fp16": "float16"}
    return DTYPE_BYTES[names.get(kv_cache_dtype, kv_cache_dtype)]


def kv_heads_per_rank(num_kv_heads: int, tensor_parallel_size: int) -> int:
    """KV heads on a rank: divided, or replicated when there are fewer than ranks."""
    return max(1, num_kv_heads // tensor_parallel_size)


def attention_token_bytes(cache: AttentionCache, launch: KvLaunch) -> int:
    """Bytes of keys and values of one token on one rank.

    NVFP4 packs two elements into a byte with one scale per 16.
    """
    heads = kv_heads_per_rank(cache.num_kv_heads, launch.tensor_parallel_size)
    if launch.kv_cache_dtype == "nvfp4":
        return heads * sum(dim // 2 + dim // 16 for dim in (cache.head_dim, cache.head_dim_v))
    width = cache.head_dim + cache.head_dim_v
    return heads * width * element_bytes(launch.kv_cache_dtype, launch.dtype)


def latent_token_bytes(cache: LatentCache, launch: KvLaunch) -> int:
    """Bytes of one latent vector. `fp8_ds_mla` stores 512 FP8, 4 scales and 64 16-bit rope."""
    if launch.kv_cache_dtype == "fp8_ds_mla":
        return cache.kv_lora_rank + cache.kv_lora_rank // 128 * 4 + cache.qk_rope_head_dim * 2
    width = cache.kv_lora_rank + cache.qk_rope_head_dim
    return width * element_bytes(launch.kv_cache_dtype, launch.dtype)


def indexer_token_bytes(cache: IndexerCache) -> int:
    """Bytes of one indexer key: FP8 with one float32 scale per 128, whatever the KV dtype."""
    return cache.head_dim + cache.head_dim // 128 * 4


def state_bytes(cache: StateCache, launch: KvLaunch) -> int:
    """Bytes of one request's state on one rank: convolution window and temporal state."""
    tp = launch.tensor_parallel_size
    channels = cache.conv_channels
    if cache.group_channels and cache.groups % tp:
        # Mamba-2 groups that tp does not divide are replicated up to a multiple of it.
        channels += (max(tp, ceil_div(cache.groups, tp) * tp) - cache.groups) * cache.group_channels
    window = max(0, cache.conv_kernel - 1 + launch.speculative_tokens)
    total = window * ceil_div(channels, tp) * DTYPE_BYTES[launch.dtype]
    if cache.state_shape:
        elements = math.prod(cache.state_shape[1:]) * ceil_div(cache.state_shape[0], tp)
        total += elements * DTYPE_BYTES[cache.state_dtype or launch.dtype]
    return total


def hybrid_block_size(architecture: Architecture, launch: KvLaunch, base: int) -> int:
    """The attention block whose page holds a whole recurrent state.

    Hybrids share one pool, so attention blocks grow until they are as large as a
    state, in steps of the kernel's block (0.33: at least 128 beside MLA, and a
    multiple of 64 where the state is checkpointed every 64 tokens).
    """
    caches = [cache for layer in architecture.layer_counts for cache in layer.caches]
    states = [cache for cache in caches if isinstance(cache, StateCache)]
    latent = next((cache for cache in caches if isinstance(cache, LatentCache)), None)
    full = next(
        (c for c in caches if isinstance(c, AttentionCache) and not c.window and not c.chunk), None
    )
    if latent is not None:
        token_bytes = latent_token_bytes(latent, launch)
        step = max(base, 128) if launch.latent_hybrid_alignment else base
    elif full is not None:
        token_bytes = attention_token_bytes(full, launch)
        step = base
    else:
        return base
    checkpointed = launch.state_checkpoint_blocks and launch.mamba_cache_mode == "align"
    if checkpointed and any(
        has_flashinfer_prefill(cache, launch.compute_capability) for cache in states
    ):
        step = math.lcm(step, 64)
    page = max(state_bytes(cache, launch) for cache in states)
    return step * ceil_div(page, step * token_bytes)


def choose_block_size(architecture: Architecture, launch: KvLaunch) -> int:
    """Tokens per block: the user's, else the back end's, raised for hybrids."""
    backend = attention_backend(architecture, launch.compute_capability, launch.kv_cache_dtype)
    base = launch.block_size or backend.block_size
    if architecture.is_hybrid:
        return hybrid_block_size(architecture, launch, base)
    return base


def layer_specs(architecture: Architecture, launch: KvLaunch, block_size: int) -> list[LayerSpec]:
    """What every layer keeps on one rank, in the model's order."""
    specs = {
        cache: spec
        for layer in architecture.layer_counts
        for cache in layer.caches
        if (spec := _spec(cache, architecture, launch, block_size)) is not None
    }
    return [
        LayerSpec(index, specs[cache])
        for index, layer in enumerate(architecture.layers)
        for cache in layer.caches
        if cache in specs
    ]


def _spec(
    cache: Cache, architecture: Architecture, launch: KvLaunch, block_size: int
) -> KvSpec | None:
    if isinstance(cache, LatentCache):
        return LatentSpec(block_size, latent_token_bytes(cache, launch))
    if isinstance(cache, IndexerCache):
        return LatentSpec(block_size, indexer_token_bytes(cache))
    if isinstance(cache, StateCache):
        return _state_spec(cache, architecture, launch, block_size)
    token_bytes = attention_token_bytes(cache, launch)
    if cache.kind == "encoder_only":
        return None
    if cache.kind == "cross":
        return CrossSpec(block_size, token_bytes)
    if cache.window and not launch.windows_as_full:
        return SlidingSpec(block_size, token_bytes, window=cache.window)
    if cache.chunk and not launch.windows_as_full:
        return ChunkedSpec(block_size, token_bytes, chunk=cache.chunk)
    return FullSpec(block_size, token_bytes)


def _state_spec(
    cache: StateCache, architecture: Architecture, launch: KvLaunch, block_size: int
) -> StateSpec:
    blocks = 1 + launch.speculative_tokens
    if launch.mamba_cache_mode == "align":
        blocks = 2 + launch.speculative_tokens
        if launch.state_checkpoint_blocks:
            blocks += state_checkpoints(cache, launch.compute_capability)
    return StateSpec(
        block_size, 0, state_bytes=state_bytes(cache, launch), blocks_per_request=blocks
    )
