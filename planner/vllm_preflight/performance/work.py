"""What one step has to read and compute on one GPU: bytes and FLOPs, no times.

Bytes are those of the memory engine (weights per rank, caches per layer); FLOPs are
two per weight and token, and two per pair of query and key element.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.kv.cache import stage_layers
from vllm_preflight.memory.kv.sizing import StageKv
from vllm_preflight.memory.kv.specs import ChunkedSpec, RingSpec, SlidingSpec, StateSpec
from vllm_preflight.memory.weights.division import is_expert
from vllm_preflight.memory.weights.weights import DRAFT_PART, StageWeights
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    CompressedCache,
    LatentCache,
    Role,
    StateCache,
)
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import Quantization, WeightScheme
from vllm_preflight.models.quantization_requests import requested

_SCALES = "quantisation scales"
_DRAFTS = frozenset({"prediction layers", DRAFT_PART})
# Parts of a stage's weights that a step does not read whole: looked up by row, or not
# run for text.
_NOT_READ = frozenset(
    {"embeddings", "vision", "audio", "rotary tables", "start-up buffers", "LoRA buffers", *_DRAFTS}
)
# Tokens that DeepSeek's sparse attention keeps per query, where the config names none.
_INDEX_TOPK = 2048
# Heads the sparse attention kernel computes at once; a rank with fewer pads to them.
_SPARSE_HEADS = 64
UNBOUNDED = float("inf")


@dataclass(frozen=True, slots=True)
class CacheRead:
    """What layers of one kind read per decoded token: `token_bytes` up to `limit` tokens."""

    token_bytes: float
    limit: float


@dataclass(frozen=True, slots=True)
class Attention:
    """FLOPs of layers of one kind per pair of query and key, up to `limit` keys a query.

    `padded` kernels compute `limit` keys for every query, however few there are.
    """

    prefill_flops: float
    decode_flops: float
    limit: float
    padded: bool = False

    def keys(self, context: float) -> float:
        """Keys a query at `context` tokens is compared with."""
        return self.limit if self.padded else min(context, self.limit)


@dataclass(frozen=True)
class Work:
    """One pipeline stage's work on one GPU; per token where it says so.

    Attributes:
        layers: layers of the stage.
        state_layers: those that keep a recurrent state.
        expert_layers: those with routed experts.
        dense_bytes, dense_flops: weights every token passes, without the output head.
        expert_bytes, expert_flops: all routed experts of the rank; FLOPs of the
            experts a token visits.
        expert_share: experts a token visits / all experts; 0 without experts.
        head_bytes, head_flops: the output head, for tokens that are sampled.
        reads: what attention reads of the cache.
        state_bytes: recurrent states read and written per request and step.
        attention: what attention computes.
        dense_scheme, expert_scheme: how the weights are stored; None for 16 bit.
        reduced_bytes: activations one all-reduce sums, per token.
        draft_bytes: prediction layers, read once for each drafted token.
        offloaded_bytes: weights fetched from CPU memory every step.
        replicas: data-parallel replicas whose tokens share the experts.
    """

    layers: int
    state_layers: int
    expert_layers: int
    dense_bytes: float
    dense_flops: float
    expert_bytes: float
    expert_flops: float
    expert_share: float
    head_bytes: float
    head_flops: float
    reads: tuple[CacheRead, ...]
    state_bytes: float
    attention: tuple[Attention, ...]
    dense_scheme: WeightScheme | None
    expert_scheme: WeightScheme | None
    reduced_bytes: float
    draft_bytes: float
    offloaded_bytes: float
    replicas: int

    def cache_bytes(self, context: float) -> float:
        """Bytes attention and states move for one token at `context` tokens."""
        read = sum(item.token_bytes * min(context, item.limit) for item in self.reads)
        return read + self.state_bytes

    def decode_flops(self, context: float) -> float:
        """Attention FLOPs of one decoded token at `context` tokens."""
        return sum(item.decode_flops * item.keys(context) for item in self.attention)

    def prefill_flops(self, tokens: float, cached: float) -> float:
        """Attention FLOPs of `tokens` prompt tokens behind `cached` ones."""
        mean = cached + tokens / 2
        return tokens * sum(item.prefill_flops * item.keys(mean) for item in self.attention)


@lru_cache(maxsize=1024)
def _flops(architecture: Architecture) -> tuple[float, float, float]:
    """FLOPs per token of dense layers, visited experts and head; whole model."""
    dense = expert = 0.0
    for layer, count in architecture.layer_counts.items():
        for weight in layer.weights:
            if not weight.in_checkpoint:
                continue
            flops = 2.0 * weight.elements * count
            if is_expert(weight) and layer.moe is not None:
                expert += flops * layer.moe.experts_per_token / layer.moe.num_experts
            else:
                dense += flops
    return dense, expert, 2.0 * architecture.vocab_size * architecture.hidden_size


def stage_work(
    model: Model, launch: Launch, capability: ComputeCapability, weights: StageWeights
) -> Work:
    """The work of the pipeline stage that holds `weights` (per GPU)."""
    architecture = model.architecture
    ranks, stages = launch.tensor_parallel_size, launch.pipeline_parallel_size
    dense_flops, expert_flops, head_flops = _flops(architecture)
    experts, head, dense = _bytes_by_use(weights, architecture)
    moe = architecture.moe
    reads, state_bytes = _reads(architecture, launch, capability, _index_topk(model))
    quantization = requested(model.quantization, launch.quantization)
    scale = 1 / (ranks * stages)
    return Work(
        layers=-(-len(architecture.layers) // stages),
        state_layers=sum(
            any(isinstance(cache, StateCache) for cache in layer.caches)
            for layer in architecture.layers
        )
        // stages,
        expert_layers=sum(layer.moe is not None for layer in architecture.layers) // stages,
        dense_bytes=dense,
        dense_flops=dense_flops * scale,
        expert_bytes=experts,
        expert_flops=expert_flops * scale,
        expert_share=0.0 if moe is None else moe.experts_per_token / moe.num_experts,
        head_bytes=head,
        # Only the last stage has it; divided among all, which adds up over the stages.
        head_flops=head_flops * scale,
        reads=reads,
        state_bytes=state_bytes,
        attention=_attention(architecture, launch, _index_topk(model)),
        dense_scheme=_scheme(architecture, quantization, expert=False),
        expert_scheme=_scheme(architecture, quantization, expert=True),
        reduced_bytes=2.0 * architecture.hidden_size,
        draft_bytes=float(sum(part.bytes for part in weights.parts if part.name in _DRAFTS)),
        offloaded_bytes=float(weights.offloaded),
        replicas=launch.data_parallel_size,
    )


def _bytes_by_use(weights: StageWeights, architecture: Architecture) -> tuple[float, float, float]:
    """Bytes of routed experts, of the output head, and of everything else a step reads."""
    parts = {part.name: float(part.bytes) for part in weights.parts}
    head = parts.pop("output head", 0.0)
    embeddings = parts.get("embeddings", 0.0)
    if not head and architecture.tied_embeddings:
        head = embeddings
    scales = parts.pop(_SCALES, 0.0)
    read = {name: size for name, size in parts.items() if name not in _NOT_READ}
    total = sum(read.values()) or 1.0
    experts = read.pop("experts", 0.0)
    dense = sum(read.values())
    # Scales belong to whatever is quantised; they go by bytes.
    return experts * (1 + scales / total), head, dense * (1 + scales / total)


def _reads(
    architecture: Architecture, launch: Launch, capability: ComputeCapability, topk: int
) -> tuple[tuple[CacheRead, ...], float]:
    stages = stage_layers(architecture, launch, capability)
    specs = max((StageKv.of(stage).specs for stage in stages), key=lambda items: len(items))
    sparse = any(
        isinstance(cache, LatentCache) and cache.sparse
        for layer in architecture.layer_counts
        for cache in layer.caches
    )
    widest = max((spec.token_bytes for spec, _ in specs), default=0)
    reads: list[CacheRead] = []
    states = 0.0
    for spec, layers in specs:
        if isinstance(spec, StateSpec):
            states += 2.0 * spec.state_bytes * layers
        elif isinstance(spec, RingSpec):
            states += float(spec.page_bytes * layers)
        else:
            limit = UNBOUNDED
            if isinstance(spec, SlidingSpec):
                limit = float(spec.window)
            elif isinstance(spec, ChunkedSpec):
                limit = float(spec.chunk)
            elif sparse and spec.token_bytes == widest:
                # The indexer picks the tokens whose latents are read.
                limit = float(topk)
            reads.append(CacheRead(spec.token_bytes * layers / spec.compress_ratio, limit))
    return tuple(reads), states


def _attention(architecture: Architecture, launch: Launch, topk: int) -> tuple[Attention, ...]:
    """Attention of the stage on one rank, layers of one limit together."""
    ranks = launch.tensor_parallel_size
    found: dict[tuple[float, bool], list[float]] = {}
    for layer, count in architecture.layer_counts.items():
        for cache in layer.caches:
            prefill = decode = 0.0
            limit, padded = UNBOUNDED, False
            if isinstance(cache, AttentionCache):
                heads = cache.num_heads / ranks
                prefill = decode = 2.0 * heads * (cache.head_dim + cache.head_dim_v)
                limit = float(cache.window or cache.chunk or UNBOUNDED)
            elif isinstance(cache, LatentCache):
                heads = cache.num_heads / ranks
                width = cache.qk_nope_head_dim + cache.qk_rope_head_dim + cache.v_head_dim
                absorbed = 2 * cache.kv_lora_rank + cache.qk_rope_head_dim
                prefill, decode = 2.0 * heads * width, 2.0 * heads * absorbed
                if cache.sparse:
                    # One kernel for prompts and decoding, on latents.
                    prefill = decode = 2.0 * max(heads, _SPARSE_HEADS) * absorbed
                    limit, padded = float(topk), True
            elif isinstance(cache, CompressedCache):
                heads = architecture.num_attention_heads / ranks
                prefill = decode = 4.0 * heads * cache.head_dim / cache.compress_ratio
                limit = float(cache.window or UNBOUNDED)
            total = found.setdefault((limit, padded), [0.0, 0.0])
            stage = count / launch.pipeline_parallel_size
            total[0] += prefill * stage
            total[1] += decode * stage
    return tuple(
        Attention(prefill, decode, limit, padded)
        for (limit, padded), (prefill, decode) in found.items()
        if prefill
    )


def _index_topk(model: Model) -> int:
    value = model.config.get("index_topk")
    return value if isinstance(value, int) else _INDEX_TOPK


def _scheme(
    architecture: Architecture, quantization: Quantization, *, expert: bool
) -> WeightScheme | None:
    """The scheme of the largest weight of its kind in the middle of the model."""
    index = len(architecture.layers) // 2
    weights = [
        weight
        for weight in architecture.layers[index].weights
        if weight.role in {Role.LINEAR, Role.EXPERT} and is_expert(weight) is expert
    ]
    if not weights:
        return None
    largest = max(weights, key=lambda weight: weight.elements)
    path = f"model.layers.{index}."
    joined = largest.fused not in {"", largest.name}
    fused = path + largest.fused if joined else ""
    return quantization.scheme(path + largest.name, fused=fused, expert=expert)
