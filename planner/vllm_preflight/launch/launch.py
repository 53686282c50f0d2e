"""A vLLM launch with every argument that bears on memory resolved to a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vllm_preflight.models.model import Model

# (major, minor, patch) of a vLLM release.
Version = tuple[int, int, int]

MambaCacheMode = Literal["none", "align", "all"]
ModelRunner = Literal["v1", "v2"]
# Whether torch.compile finds what an earlier start compiled.
CompileCache = Literal["cold", "warm", "unknown"]


@dataclass(frozen=True, slots=True)
class Speculation:
    """vLLM's speculative_config: method ("mtp", "eagle3", "ngram", …) and drafted tokens.

    `model` names the draft, None where the model drafts with its own layers or by lookup.
    `drafter` holds the draft's facts, None where there is no draft or nothing is known of
    it. `shares_embedding` says that the draft reads the target's embedding. `quantization`
    and `kv_cache_dtype` are the draft's own where given.
    """

    method: str
    num_speculative_tokens: int
    model: str | None = None
    drafter: Model | None = None
    shares_embedding: bool = False
    quantization: str | None = None
    kv_cache_dtype: str | None = None

    @property
    def own_layers(self) -> bool:
        """Whether the model's own prediction layers draft."""
        return self.method == "mtp" and self.model is None


@dataclass(frozen=True, slots=True)
class Lora:
    """LoRA buffers: adapters per batch and the largest rank."""

    max_loras: int
    max_lora_rank: int
    fully_sharded: bool = False


@dataclass(frozen=True, slots=True)
class LaunchProblem:
    """Why vLLM refuses these arguments, in its own words, and what would be accepted.

    "unsupported" is a model, checkpoint or GPU that the release does not run whatever the
    arguments; "not_modelled" is what vLLM may run and nobody here can say.
    """

    message: str
    remedies: tuple[str, ...] = ()
    kind: Literal["invalid_arguments", "unsupported", "not_modelled"] = "invalid_arguments"


@dataclass(frozen=True)
class Launch:
    """vLLM's arguments, with its defaults for the version, GPU and model filled in.

    `dtype` and `kv_cache_dtype` are resolved ("auto" only remains for a KV cache in the
    model's dtype). `quantization` is the user's --quantization, "none" for the
    16-bit weights of a quantised checkpoint's model, None for the checkpoint's own.
    `defaulted` names the arguments the user did not give, `reasons` says where each
    resolved value comes from. `problems` are vLLM's refusals: a launch
    that has any does not start. `max_model_len_auto` marks `--max-model-len auto`:
    `max_model_len` is then the model's maximum, to be lowered to what the KV cache holds.
    `pooling` marks embedding, scoring and classifying: no logits, no sampler.
    `compile_cache` says whether it is a first start: those compile, and take more.
    `version_assumed` says that nobody named a release. `cudagraph_sizes` and
    `max_cudagraph_capture_size` are only set when the user gave them, and so is
    `max_image_pixels`, the largest image that the processor may make. `own_image` says that
    it runs in vLLM's own image, with FlashInfer in it.
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
    all2all_backend: str | None = None
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
    max_image_pixels: int | None = None
    mm_encoder_tp_mode: str = "weights"
    skip_mm_profiling: bool = False
    pooling: bool = False
    defaulted: frozenset[str] = frozenset()
    max_model_len_auto: bool = False
    mamba_cache_mode: MambaCacheMode = "none"
    mamba_ssm_cache_dtype: str | None = None
    model_runner: ModelRunner = "v2"
    compile_cache: CompileCache = "unknown"
    cudagraph_mode: str = "FULL_AND_PIECEWISE"
    cudagraph_sizes: tuple[int, ...] | None = None
    max_cudagraph_capture_size: int | None = None
    cudagraph_memory_charged: bool = True
    version_assumed: bool = False
    num_gpu_blocks_override: int | None = None
    free_bytes: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    own_image: bool = False
    problems: tuple[LaunchProblem, ...] = ()
    warnings: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def world_size(self) -> int:
        """GPUs of one replica."""
        return self.tensor_parallel_size * self.pipeline_parallel_size

    @property
    def speculative_tokens(self) -> int:
        """Tokens drafted per step, 0 without speculation."""
        return self.speculation.num_speculative_tokens if self.speculation else 0

    @property
    def max_concurrent_batches(self) -> int:
        """Batches in flight: one per pipeline stage, one more with async scheduling.

        Source: vLLM 0.33 config/vllm.py. The V1 runner runs async only without stages.
        """
        stages = self.pipeline_parallel_size
        if not self.async_scheduling:
            return stages
        return stages + 1 if self.model_runner == "v2" or stages == 1 else stages

    @property
    def max_in_flight_tokens(self) -> int:
        """Tokens scheduled but not finished, which windowed layers must also keep.

        Batches in flight × max_num_batched_tokens since 0.26; one batch before.
        """
        batches = self.max_concurrent_batches if self.version >= (0, 26, 0) else 1
        return batches * self.max_num_batched_tokens
