"""KV cache for sizing: what requests of a length keep, without blocks or reservations.

vLLM admits requests by blocks and reserves more (memory.kv_cache); sizing asks what
the tokens themselves need, and multiplies by a fragmentation factor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from vllm_preflight.base.units import ceil_div
from vllm_preflight.memory.kv.groups import LayerSpec
from vllm_preflight.memory.kv.specs import (
    ChunkedSpec,
    KvSpec,
    RingSpec,
    SlidingSpec,
    StateSpec,
)


def layer_bytes(spec: KvSpec, tokens: int) -> int:
    """Bytes one layer keeps on one rank for a request of `tokens` tokens.

    A window or a chunk bounds the tokens; a recurrent state has one size for any length.
    """
    if isinstance(spec, StateSpec):
        return spec.state_bytes
    if isinstance(spec, RingSpec):
        return spec.page_bytes
    if isinstance(spec, SlidingSpec):
        tokens = min(tokens, spec.window)
    elif isinstance(spec, ChunkedSpec):
        tokens = min(tokens, spec.chunk)
    return ceil_div(tokens, spec.compress_ratio) * spec.token_bytes


@dataclass(frozen=True)
class StageKv:
    """The caches of one pipeline stage on one rank: each distinct spec with its layers."""

    specs: tuple[tuple[KvSpec, int], ...]

    @classmethod
    def of(cls, layers: Iterable[LayerSpec]) -> StageKv:
        """The caches of `layers`, one stage's."""
        return cls(tuple(Counter(item.spec for item in layers).items()))

    def request_bytes(self, tokens: int) -> int:
        """Bytes a request of `tokens` tokens keeps on this rank."""
        return sum(layer_bytes(spec, tokens) * layers for spec, layers in self.specs)

    def bytes_per_token(self, tokens: int) -> int:
        """Bytes one more token costs a request that already has `tokens` tokens."""
        return self.request_bytes(tokens + 1) - self.request_bytes(tokens)
