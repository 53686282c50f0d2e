"""Sizes that several terms share: the padded vocabulary, the latent prefill context.

Source: vLLM layers/vocab_parallel_embedding.py, layers/attention/mla_attention.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.base.units import ceil_div, round_up
from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.architecture import Architecture, LatentCache

_LATENT_CHUNK_TOKENS = 64 * 1024
_CACHE_BLOCK = 16


def padded_vocabulary(architecture: Architecture) -> int:
    """Columns of the logits: the vocabulary padded to a multiple of 64."""
    return round_up(architecture.vocab_size, 64)


@dataclass(frozen=True, slots=True)
class LatentContext:
    """The worst prefill context of latent attention on one rank.

    `up_projected` elements for each of `tokens`, beside `inputs` elements for each token
    of the batch: queries, the heads' output, the latents and their normalised copy.
    """

    tokens: int
    up_projected: int
    inputs: int


def latent_context(architecture: Architecture, launch: Launch) -> LatentContext | None:
    """What dense latent attention allocates once in the profile pass; None without it.

    Tokens: 8 × max_model_len, at least 4 blocks a sequence, at most 65,536.
    """
    latent = latent_caches(architecture)
    dense = [cache for cache in latent if not cache.sparse]
    if not dense:
        return None
    widest = max(dense, key=lambda item: item.num_heads)
    block = launch.block_size or _CACHE_BLOCK
    tokens = min(
        max(8 * launch.max_model_len, 4 * launch.max_num_seqs * block), _LATENT_CHUNK_TOKENS
    )
    heads = ceil_div(widest.num_heads, launch.tensor_parallel_size)
    compressed = widest.kv_lora_rank + widest.qk_rope_head_dim
    per_head = widest.qk_nope_head_dim + widest.qk_rope_head_dim + widest.v_head_dim
    return LatentContext(
        tokens,
        heads * (widest.qk_nope_head_dim + widest.v_head_dim),
        heads * per_head + compressed + widest.kv_lora_rank + 2 * _query_rank(architecture),
    )


def latent_caches(architecture: Architecture) -> list[LatentCache]:
    """The latent caches of a model, dense and sparse."""
    return [cache for cache in architecture.caches if isinstance(cache, LatentCache)]


def _query_rank(architecture: Architecture) -> int:
    """Width of the compressed queries, 0 where queries are projected at once."""
    return max(
        (
            weight.rows
            for layer in architecture.layer_counts
            for weight in layer.weights
            if weight.name.endswith("q_a_proj") and weight.columns > 1
        ),
        default=0,
    )
