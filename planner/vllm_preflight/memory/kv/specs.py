"""What one layer keeps on one rank: a frozen type per kind of cache.

Each knows its page (bytes of one block) and how many blocks a request of a given
length holds. Source of the formulas: vLLM 0.33 v1/kv_cache_interface.py, checked
against that code's own output (benchmarks/oracle.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from vllm_preflight.base.units import ceil_div


@dataclass(frozen=True, slots=True)
class RequestShape:
    """The longest request admission reckons with, in tokens.

    `in_flight_tokens` is what may be scheduled but not yet freed (max_num_batched_tokens
    times the concurrent batches, vLLM 0.26 and later; before, one batch).
    """

    max_model_len: int
    in_flight_tokens: int
    max_num_batched_tokens: int
    decode_context_parallel_size: int = 1

    def of_length(self, length: int, *, in_flight_tokens: int | None = None) -> RequestShape:
        """The request with another length; dataclasses.replace takes ten times as long."""
        return RequestShape(
            length,
            self.in_flight_tokens if in_flight_tokens is None else in_flight_tokens,
            self.max_num_batched_tokens,
            self.decode_context_parallel_size,
        )


@dataclass(frozen=True, slots=True)
class KvSpec:
    """A layer's pages: `block_size` tokens of `token_bytes` each, maybe padded.

    `compress_ratio` tokens share one stored state (DeepSeek V4).
    """

    block_size: int
    token_bytes: int
    padded_page_bytes: int = 0
    compress_ratio: int = 1

    @property
    def page_bytes(self) -> int:
        """Bytes of one block of one layer."""
        return self.padded_page_bytes or self.raw_page_bytes

    @property
    def raw_page_bytes(self) -> int:
        """Bytes of one block without padding."""
        return self.block_size // self.compress_ratio * self.token_bytes

    @property
    def keeps_every_token(self) -> bool:
        """Whether a request's blocks are its tokens over the block size, and nothing else."""
        return type(self).blocks_for is KvSpec.blocks_for

    @property
    def kind(self) -> tuple[object, ...]:
        """Specs of equal kind may share a group."""
        return (type(self).__name__,)

    def with_block_size(self, block_size: int) -> Self:
        """The same layer with blocks of `block_size` tokens."""
        return replace(self, block_size=block_size)

    def padded_to(self, page_bytes: int) -> Self:
        """The same layer with its page padded to `page_bytes`."""
        return replace(self, padded_page_bytes=page_bytes)

    def blocks_for(self, request: RequestShape) -> int:
        """Blocks one request of full length holds: every token, over the DCP ranks."""
        tokens = ceil_div(request.max_model_len, request.decode_context_parallel_size)
        return ceil_div(tokens, self.block_size)


@dataclass(frozen=True, slots=True)
class FullSpec(KvSpec):
    """Full attention: keys and values of every token."""


@dataclass(frozen=True, slots=True)
class LatentSpec(KvSpec):
    """Latent (MLA) vectors or an indexer's keys: every token, the same on all TP ranks."""


@dataclass(frozen=True, slots=True)
class SlidingSpec(KvSpec):
    """Sliding-window attention: the window, what is in flight, and one block more.

    One more because a window may begin inside a block
    (vLLM v1/kv_cache_interface.py, SlidingWindowSpec).
    """

    window: int = 0
    latent: bool = False

    @property
    def kind(self) -> tuple[object, ...]:
        """Windows must agree to share a group."""
        return ("SlidingSpec", self.window, self.latent)

    def blocks_for(self, request: RequestShape) -> int:
        """Blocks for the window plus the tokens in flight, at most the whole request."""
        tokens = min(self.window - 1 + request.in_flight_tokens, request.max_model_len)
        return ceil_div(tokens, self.block_size) + 1


@dataclass(frozen=True, slots=True)
class ChunkedSpec(KvSpec):
    """Chunked local attention (Llama 4): one chunk and what is in flight."""

    chunk: int = 0

    @property
    def kind(self) -> tuple[object, ...]:
        """Chunks must agree to share a group."""
        return ("ChunkedSpec", self.chunk)

    def blocks_for(self, request: RequestShape) -> int:
        """Blocks for the chunk plus the tokens in flight, at most the whole request."""
        tokens = min(self.chunk + request.in_flight_tokens, request.max_model_len)
        return ceil_div(tokens, self.block_size)


@dataclass(frozen=True, slots=True)
class StateSpec(KvSpec):
    """A recurrent state: one page is one request's state, whatever the block size."""

    state_bytes: int = 0
    blocks_per_request: int = 1
    tokens_per_block: int = 0

    @property
    def raw_page_bytes(self) -> int:
        """Bytes of the convolution window and the temporal state."""
        return self.state_bytes

    @property
    def kind(self) -> tuple[object, ...]:
        """States of equal size share a group."""
        return ("StateSpec", self.state_bytes, self.blocks_per_request)

    def blocks_for(self, request: RequestShape) -> int:
        """State copies one request holds, or one per `tokens_per_block` tokens."""
        if self.tokens_per_block:
            return ceil_div(request.max_model_len, self.tokens_per_block)
        return self.blocks_per_request


@dataclass(frozen=True, slots=True)
class CrossSpec(KvSpec):
    """Cross attention: keys and values of the encoder's tokens."""

    def blocks_for(self, request: RequestShape) -> int:
        """Blocks for the most encoder tokens one step may take."""
        return ceil_div(request.max_num_batched_tokens, self.block_size)


@dataclass(frozen=True, slots=True)
class RingSpec(KvSpec):
    """A ring of the last few tokens: one block per request."""

    def blocks_for(self, request: RequestShape) -> int:
        """Always one block."""
        return 1
