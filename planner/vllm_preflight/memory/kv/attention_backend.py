"""Which block size vLLM's attention back end brings, and when states keep checkpoints.

Source: vLLM 0.33 platforms/cuda.py and platforms/interface.py
(update_block_size_for_backend), and the back ends seen in that code's own runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    CompressedCache,
    IndexerCache,
    LatentCache,
    StateCache,
)

ComputeCapability = tuple[int, int]

HOPPER: ComputeCapability = (9, 0)


@dataclass(frozen=True, slots=True)
class AttentionBackend:
    """A back end's name and the tokens of its smallest useful block."""

    name: str
    block_size: int


def attention_backend(
    architecture: Architecture, capability: ComputeCapability, kv_cache_dtype: str
) -> AttentionBackend:
    """The back end vLLM 0.33 picks for the model's attention layers.

    `kv_cache_dtype` is the resolved one ("auto" for the model's dtype).
    """
    caches = {cache for layer in architecture.layer_counts for cache in layer.caches}
    quantised = kv_cache_dtype.startswith(("fp8", "int8", "nvfp4"))
    latent = [cache for cache in caches if isinstance(cache, LatentCache)]
    if any(isinstance(cache, CompressedCache) for cache in caches):
        return AttentionBackend("COMPRESSED_MLA", 256)
    if any(isinstance(cache, IndexerCache) for cache in caches) and not architecture.is_hybrid:
        return AttentionBackend("SPARSE_MLA", 64) if latent else AttentionBackend("SPARSE", 128)
    if latent:
        return _latent_backend(capability, quantised)
    widest = max(
        (cache.head_dim for cache in caches if isinstance(cache, AttentionCache)), default=0
    )
    if kv_cache_dtype.endswith("per_token_head"):
        return AttentionBackend("TRITON", 16)
    # Heads wider than 256 need the long-page kernels (FlashAttention 4 on Blackwell,
    # FP8 on Hopper); everywhere else 16 is accepted.
    if widest > 256 and (capability[0] == 10 or (capability == HOPPER and quantised)):
        return AttentionBackend("WIDE_HEAD", 64)
    return AttentionBackend("DEFAULT", 16)


def _latent_backend(capability: ComputeCapability, quantised: bool) -> AttentionBackend:
    if capability == HOPPER:
        return AttentionBackend("FLASHMLA", 64) if quantised else AttentionBackend("FA_MLA", 16)
    if capability[0] == 10:
        return AttentionBackend("FLASHINFER_MLA", 32)
    return AttentionBackend("TRITON_MLA", 16)


def has_flashinfer_prefill(cache: StateCache, capability: ComputeCapability) -> bool:
    """Whether a gated-delta layer's prefill runs in FlashInfer.

    On Hopper, and on Blackwell for a key head dimension of 128. It checkpoints states
    every 64 tokens.
    """
    if not cache.exports_states:
        return False
    if cache.kind == "gdn":
        return capability == HOPPER or (capability[0] in {10, 12} and cache.key_head_dim == 128)
    return cache.kind == "kda" and cache.gate_bounded and capability[0] >= 9


def state_checkpoints(cache: StateCache, capability: ComputeCapability) -> int:
    """Extra states a request keeps while its prefill runs, in releases that checkpoint them.

    Mamba-2 always one; gated-delta and bounded KDA layers with the checkpointing
    prefill; others none.
    """
    return int(cache.kind == "mamba2" or has_flashinfer_prefill(cache, capability))
