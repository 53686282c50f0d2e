"""A vLLM launch with every argument that bears on memory resolved to a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# (major, minor, patch) of a vLLM release.
Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Speculation:
    """vLLM's speculative_config: method ("mtp", "eagle3", "ngram", …) and drafted tokens."""

    method: str
    num_speculative_tokens: int
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Lora:
    """LoRA buffers: adapters per batch and the largest rank."""

    max_loras: int
    max_lora_rank: int
    fully_sharded: bool = False


@dataclass(frozen=True)
class Launch:
    """vLLM's arguments, with its defaults for the version, GPU and model filled in.

    `dtype` and `kv_cache_dtype` are resolved ("auto" only remains for a KV cache in the
    model's dtype). `quantization` is the user's --quantization or None for the
    checkpoint's own. `defaulted` names the arguments the user did not give.
    """

    version: Version
    dtype: str
    kv_cache_dtype: str
    max_model_len: int
    gpu_memory_utilization: float
    max_num_seqs: int
    max_num_batched_tokens: int
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    decode_context_parallel_size: int = 1
    enable_expert_parallel: bool = False
    quantization: str | None = None
    block_size: int | None = None
    enforce_eager: bool = False
    enable_prefix_caching: bool = True
    enable_chunked_prefill: bool = True
    async_scheduling: bool = True
    disable_hybrid_kv_cache_manager: bool = False
    cpu_offload_bytes: int = 0
    kv_cache_memory_bytes: int | None = None
    lora: Lora | None = None
    speculation: Speculation | None = None
    limit_mm_per_prompt: Mapping[str, int] = field(default_factory=dict[str, int])
    mm_encoder_tp_mode: str = "weights"
    skip_mm_profiling: bool = False
    defaulted: frozenset[str] = frozenset()

    @property
    def world_size(self) -> int:
        """GPUs of one replica."""
        return self.tensor_parallel_size * self.pipeline_parallel_size
