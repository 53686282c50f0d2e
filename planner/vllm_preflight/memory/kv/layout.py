"""The block size of a launch and what every layer keeps in a block.

Source: vLLM 0.33 platforms/interface.py (_align_hybrid_block_size) and
v1/kv_cache_interface.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from vllm_preflight.base.units import ceil_div, round_up
from vllm_preflight.memory.kv.attention_backend import (
    attention_backend,
    has_flashinfer_prefill,
    state_checkpoints,
)
from vllm_preflight.memory.kv.groups import LayerSpec
from vllm_preflight.memory.kv.pages import (
    DTYPE_BYTES,
    KvLaunch,
    attention_token_bytes,
    compressed_token_bytes,
    indexer_token_bytes,
    latent_token_bytes,
    state_bytes,
)
from vllm_preflight.memory.kv.specs import (
    ChunkedSpec,
    CrossSpec,
    FullSpec,
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
    CompressorCache,
    IndexerCache,
    LatentCache,
    Layer,
    RingCache,
    StateCache,
)

# Tokens per block of DeepSeek V4's windows (vLLM 0.33, deepseek_v4).
_COMPRESSED_WINDOW_BLOCK = 64


def _paged_attention(architecture: Architecture) -> LatentCache | AttentionCache | None:
    """The attention whose pages a hybrid matches to its states: latent, else full."""
    caches = [cache for layer in architecture.layer_counts for cache in layer.caches]
    latent = next((cache for cache in caches if isinstance(cache, LatentCache)), None)
    return latent or next(
        (c for c in caches if isinstance(c, AttentionCache) and not c.window and not c.chunk), None
    )


def _paged_token_bytes(architecture: Architecture, launch: KvLaunch) -> int:
    """Bytes of one token of that attention on one rank, 0 without one."""
    cache = _paged_attention(architecture)
    if cache is None:
        return 0
    if isinstance(cache, LatentCache):
        return latent_token_bytes(cache, launch)
    return attention_token_bytes(cache, launch)


def hybrid_block_size(architecture: Architecture, launch: KvLaunch, base: int) -> int:
    """The attention block whose page holds a whole recurrent state.

    Hybrids share one pool, so attention blocks grow until they are as large as a
    state, in steps of the kernel's block (at least 128 beside MLA since 0.27, and a
    multiple of 64 where the state is checkpointed every 64 tokens, of the scan's chunk
    where every block keeps a state).
    """
    token_bytes = _paged_token_bytes(architecture, launch)
    if not token_bytes:
        return base
    latent = isinstance(_paged_attention(architecture), LatentCache)
    step = max(base, 128) if latent and launch.latent_hybrid_alignment else base
    states = {
        cache
        for layer in architecture.layer_counts
        for cache in layer.caches
        if isinstance(cache, StateCache)
    }
    if launch.mamba_cache_mode == "align" and any(
        cache.kind in launch.checkpointed_states
        and has_flashinfer_prefill(cache, launch.compute_capability)
        for cache in states
    ):
        step = math.lcm(step, 64)
    if launch.mamba_cache_mode == "all":
        step = math.lcm(step, *(cache.chunk for cache in states))
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
    """What every layer keeps on one rank, in the model's order, those that draft last."""
    layers = architecture.layers
    if launch.prediction_layers:
        layers += architecture.predictor_layers
    found = _layer_specs(layers, architecture, launch, block_size)
    if launch.drafter is None:
        return found
    drafting = replace(
        launch, kv_cache_dtype=launch.drafter_kv_cache_dtype or launch.kv_cache_dtype
    )
    drafted = _layer_specs(launch.drafter.layers, architecture, drafting, block_size)
    return [*found, *(LayerSpec(len(layers) + item.layer, item.spec) for item in drafted)]


def _layer_specs(
    layers: Sequence[Layer], architecture: Architecture, launch: KvLaunch, block_size: int
) -> list[LayerSpec]:
    caches = dict.fromkeys(cache for layer in layers for cache in layer.caches)
    specs = {
        cache: spec
        for cache in caches
        if (spec := _spec(cache, architecture, launch, block_size)) is not None
    }
    return [
        LayerSpec(index, specs[cache])
        for index, layer in enumerate(layers)
        for cache in layer.caches
        if cache in specs
    ]


def _spec(
    cache: Cache, architecture: Architecture, launch: KvLaunch, block_size: int
) -> KvSpec | None:
    if isinstance(cache, AttentionCache):
        return _attention_spec(cache, launch, block_size)
    if isinstance(cache, LatentCache):
        return LatentSpec(block_size, latent_token_bytes(cache, launch))
    if isinstance(cache, StateCache):
        return _state_spec(cache, architecture, launch, block_size)
    if isinstance(cache, RingCache):
        return RingSpec(cache.tokens, cache.width * DTYPE_BYTES[launch.dtype])
    if isinstance(cache, IndexerCache) and not cache.packed:
        return FullSpec(block_size, indexer_token_bytes(cache, launch))
    return _compressed_spec(cache, architecture, launch, block_size)


def _attention_spec(cache: AttentionCache, launch: KvLaunch, block_size: int) -> KvSpec | None:
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


def _compressed_spec(
    cache: IndexerCache | CompressedCache | CompressorCache,
    architecture: Architecture,
    launch: KvLaunch,
    block_size: int,
) -> KvSpec:
    """Pages of indexers and of DeepSeek V4, whose pages are padded to a common alignment."""
    if isinstance(cache, CompressorCache):
        spec: KvSpec = SlidingSpec(
            cache.block_size, cache.width * 4, window=cache.window, latent=True
        )
    elif isinstance(cache, IndexerCache):
        spec = LatentSpec(
            block_size,
            indexer_token_bytes(cache, launch),
            compress_ratio=cache.compress_ratio,
        )
    elif cache.window:
        token_bytes = compressed_token_bytes(cache, launch)
        spec = SlidingSpec(_COMPRESSED_WINDOW_BLOCK, token_bytes, window=cache.window, latent=True)
    else:
        token_bytes = compressed_token_bytes(cache, launch)
        spec = LatentSpec(block_size, token_bytes, compress_ratio=cache.compress_ratio)
    if not _is_compressed(architecture):
        return spec
    alignment = 576 if launch.kv_cache_dtype == "fp8_ds_mla" else 512
    return spec.padded_to(round_up(spec.raw_page_bytes, alignment))


def _is_compressed(architecture: Architecture) -> bool:
    return any(
        isinstance(cache, CompressedCache)
        for layer in architecture.layer_counts
        for cache in layer.caches
    )


def _state_spec(
    cache: StateCache, architecture: Architecture, launch: KvLaunch, block_size: int
) -> StateSpec:
    """A state's page, padded to the attention's; how many a request holds by the mode.

    "align" (0.15 and later) keeps the last two and a prefill checkpoint, "all" one for
    every block of tokens.
    """
    blocks = 1 + launch.speculative_tokens
    if launch.mamba_cache_mode == "align":
        blocks = 2 + launch.speculative_tokens
        if cache.kind in launch.checkpointed_states:
            blocks += state_checkpoints(cache, launch.compute_capability)
    size = state_bytes(cache, launch)
    page = block_size * _paged_token_bytes(architecture, launch)
    return StateSpec(
        block_size,
        0,
        padded_page_bytes=page if page > size else 0,
        state_bytes=size,
        blocks_per_request=blocks,
        tokens_per_block=block_size if launch.mamba_cache_mode == "all" else 0,
    )
