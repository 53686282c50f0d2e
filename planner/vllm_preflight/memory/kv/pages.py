"""What one token or one state costs on one rank, by the kind of cache.

Source: vLLM 0.33 v1/kv_cache_interface.py (pages), layers/mamba/mamba_utils.py (states).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.base.units import ceil_div, round_up
from vllm_preflight.memory.kv.attention_backend import ComputeCapability
from vllm_preflight.memory.kv.groups import GroupRule
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    CompressedCache,
    IndexerCache,
    LatentCache,
    StateCache,
)

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_ONE_BYTE = ("fp8", "int8")
_PER_TOKEN_HEAD = "per_token_head"


@dataclass(frozen=True, slots=True)
class KvLaunch:
    """Everything about a launch that decides the KV cache, as plain values.

    `kv_cache_dtype` is resolved: "auto" means `dtype`. `mamba_ssm_cache_dtype` is the
    user's dtype of recurrent states, None for the model's own. `prediction_layers` says
    whether the model's own prediction layers draft `speculative_tokens` per step, `drafter`
    is the draft whose layers share the pool, with a KV dtype of its own where given. What
    depends on the release is in `kv_versions.KvRules`.
    """

    dtype: str
    kv_cache_dtype: str
    tensor_parallel_size: int
    compute_capability: ComputeCapability
    block_size: int | None = None
    mamba_cache_mode: Literal["none", "align", "all"] = "align"
    mamba_ssm_cache_dtype: str | None = None
    checkpointed_states: frozenset[str] = frozenset({"kda", "mamba2", "gdn"})
    latent_hybrid_alignment: bool = True
    windows_as_full: bool = False
    speculative_tokens: int = 0
    prediction_layers: bool = False
    drafter: Architecture | None = None
    drafter_kv_cache_dtype: str | None = None
    group_rule: GroupRule = "1.5"
    pipeline_parallel_size: int = 1


def element_bytes(kv_cache_dtype: str, dtype: str) -> int:
    """Bytes of one cached element before per-block packing.

    Raises:
        UnsupportedArchitecture: a packed dtype, for a cache that is not stored packed.
    """
    if kv_cache_dtype.startswith(_ONE_BYTE):
        return 1
    names = {"auto": dtype, "bf16": "bfloat16", "fp16": "float16"}
    name = names.get(kv_cache_dtype, kv_cache_dtype)
    if name not in DTYPE_BYTES:
        raise UnsupportedArchitecture(
            f"The KV cache dtype {kv_cache_dtype} is not known for the caches of this model.",
            "Use kv_cache_dtype auto or fp8.",
        )
    return DTYPE_BYTES[name]


def kv_heads_per_rank(num_kv_heads: int, tensor_parallel_size: int) -> int:
    """KV heads on a rank: divided, or replicated when there are fewer than ranks."""
    return max(1, num_kv_heads // tensor_parallel_size)


def attention_token_bytes(cache: AttentionCache, launch: KvLaunch) -> int:
    """Bytes of keys and values of one token on one rank.

    NVFP4 packs two elements into a byte with one scale per 16, INT4 two with one float32
    scale per token and head, as the other dtypes scaled so (vLLM 0.20
    v1/kv_cache_interface.py, 0.33 v1/attention/backends/triton_attn.py).
    """
    heads = kv_heads_per_rank(cache.num_kv_heads, launch.tensor_parallel_size)
    dims = (cache.head_dim, cache.head_dim_v)
    if launch.kv_cache_dtype.startswith("nvfp4"):
        return heads * sum(dim // 2 + dim // 16 for dim in dims)
    if launch.kv_cache_dtype.endswith(_PER_TOKEN_HEAD):
        packed = 2 if launch.kv_cache_dtype.startswith("int4") else 1
        return heads * sum(dim // packed + DTYPE_BYTES["float32"] for dim in dims)
    return heads * sum(dims) * element_bytes(launch.kv_cache_dtype, launch.dtype)


def latent_token_bytes(cache: LatentCache, launch: KvLaunch) -> int:
    """Bytes of one latent vector.

    `fp8_ds_mla` stores 512 FP8, 4 scales and 64 16-bit rope; `nvfp4_ds_mla` 512 FP4 with one
    scale byte per 16 and the rope in FP8 (vLLM 0.33 mla/flashmla_sparse.py).
    """
    if launch.kv_cache_dtype == "nvfp4_ds_mla":
        return cache.kv_lora_rank // 2 + cache.kv_lora_rank // 16 + cache.qk_rope_head_dim
    if launch.kv_cache_dtype == "fp8_ds_mla":
        return cache.kv_lora_rank + cache.kv_lora_rank // 128 * 4 + cache.qk_rope_head_dim * 2
    width = cache.kv_lora_rank + cache.qk_rope_head_dim
    return width * element_bytes(launch.kv_cache_dtype, launch.dtype)


def compressed_token_bytes(cache: CompressedCache, launch: KvLaunch) -> int:
    """Bytes of one stored vector of DeepSeek V4.

    `fp8_ds_mla` stores FP8 with a scale byte per 64, padded to 8, and the rope in 16 bit.
    """
    if launch.kv_cache_dtype == "fp8_ds_mla":
        plain = cache.head_dim - cache.rope_dim
        return plain + round_up(ceil_div(plain, 64), 8) + 2 * cache.rope_dim
    return cache.head_dim * element_bytes(launch.kv_cache_dtype, launch.dtype)


def indexer_token_bytes(cache: IndexerCache, launch: KvLaunch) -> int:
    """Bytes of one indexer key, whatever the KV dtype.

    FP8 with one float32 scale per 128, or unpacked in the model's dtype.
    """
    if not cache.packed:
        return cache.head_dim * DTYPE_BYTES[launch.dtype]
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
        dtype = launch.mamba_ssm_cache_dtype or cache.state_dtype or launch.dtype
        total += elements * DTYPE_BYTES[dtype]
    return total
