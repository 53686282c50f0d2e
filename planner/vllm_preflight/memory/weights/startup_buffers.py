"""Buffers a model object allocates beside its weights, sized by the launch.

They are part of "Model loading took" although no checkpoint holds them (vLLM 0.33
models/qwen3_vl.py, gemma3n.py, deepseek_v2.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from vllm_preflight.memory.weights.tensors import Tensor
from vllm_preflight.models.architecture import IndexerCache, LatentCache, Layer
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.model import Model

_PART = "start-up buffers"
_INT32 = 4


@lru_cache(maxsize=256)
def sized_by_batch(model: Model) -> bool:
    """Whether the batch limits decide any byte of what the model's objects allocate."""
    architecture = model.architecture
    layers = (*architecture.layer_counts, *architecture.predictor_layers)
    return bool(architecture.batch_buffer_width) or any(
        isinstance(cache, IndexerCache) for layer in layers for cache in layer.caches
    )


def startup_buffers(
    model: Model,
    layers: Sequence[Layer],
    *,
    batched_tokens: int,
    sequences: int,
    dtype_bytes: int,
    first: bool,
) -> Iterator[Tensor]:
    """The buffers of one pipeline stage with `layers`; `first` marks the first stage."""
    architecture = model.architecture
    if first and architecture.batch_buffer_width:
        yield Tensor(_PART, batched_tokens * architecture.batch_buffer_width * dtype_bytes)
    config = ConfigView(model.config)
    text = config.section("text_config", "llm_config") or config
    yield from _sparse_buffers(text, layers, batched_tokens, sequences)


def _sparse_buffers(
    config: ConfigView, layers: Sequence[Layer], batched_tokens: int, sequences: int
) -> Iterator[Tensor]:
    """Chosen positions of sparse attention (DeepSeek V3.2 and V4, GLM-5).

    One table for the batch, shared by all layers. Sparse latent attention adds a table
    for the requests in each layer with its own indexer, and a row of counts in each layer.
    An indexer of pooled keys (`index_kpool`) chooses positions for each key of a pool, and
    keeps a second table for the batch.
    """
    pool = max(1, config.integer("index_kpool", default=1))
    top = config.integer("index_topk", default=0) * pool
    caches = [cache for layer in layers for cache in layer.caches]
    indexed = sum(isinstance(cache, IndexerCache) for cache in caches)
    if not indexed or not top:
        return
    yield Tensor(_PART, batched_tokens * top * _INT32, 1 if pool == 1 else 2)
    latent = sum(isinstance(cache, LatentCache) and cache.sparse for cache in caches)
    if latent:
        yield Tensor(_PART, (sequences + 1) * top * _INT32, indexed)
        yield Tensor(_PART, (sequences + 1) * _INT32, indexed)
        yield Tensor(_PART, (batched_tokens + 1) * _INT32, latent)
