"""Does it fit, and by how much: sizing's verdict over one tensor-parallel group.

Every figure covers the whole group (all its ranks together), of the fullest pipeline
stage; nothing is per GPU here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vllm_preflight.base.units import BYTES_TO_GIB, gib_to_bytes
from vllm_preflight.memory.kv.sizing import StageKv

OomRisk = Literal["low", "medium", "high"]

_LOW_RISK_BYTES = 2 * BYTES_TO_GIB


@dataclass(frozen=True, slots=True)
class Feasibility:
    """The verdict for one demand. Bytes over the tensor-parallel group.

    `headroom_bytes` is negative when short.
    """

    fits: bool
    oom_risk: OomRisk
    vram_total_bytes: int
    vram_target_alloc_bytes: int
    weights_bytes: int
    kv_cache_bytes: int
    overhead_bytes: int
    headroom_bytes: int

    @property
    def required_bytes(self) -> int:
        """Weights + KV cache + overhead."""
        return self.weights_bytes + self.kv_cache_bytes + self.overhead_bytes


def compute_feasibility(
    *,
    vram_total_bytes: int,
    gpu_memory_utilization: float,
    weights_bytes: int,
    kv_cache_bytes: int,
    overhead_bytes: int,
    headroom_gb: float = 1.0,
) -> Feasibility:
    """The verdict: allocatable − (weights + KV cache + overhead) against the headroom.

    Fits when the headroom is at least `headroom_gb` GiB. The risk of running out of
    memory is low with 2 GiB or more left, medium with 0 or more, else high.
    """
    target = int(vram_total_bytes * gpu_memory_utilization)
    headroom = target - weights_bytes - kv_cache_bytes - overhead_bytes
    risk: OomRisk = "high"
    if headroom >= _LOW_RISK_BYTES:
        risk = "low"
    elif headroom >= 0:
        risk = "medium"
    return Feasibility(
        fits=headroom >= gib_to_bytes(headroom_gb),
        oom_risk=risk,
        vram_total_bytes=vram_total_bytes,
        vram_target_alloc_bytes=target,
        weights_bytes=weights_bytes,
        kv_cache_bytes=kv_cache_bytes,
        overhead_bytes=overhead_bytes,
        headroom_bytes=headroom,
    )


@dataclass(frozen=True)
class GroupBudget:
    """One tensor-parallel group of a pipeline stage before any request is admitted.

    `kv` is one rank's caches; all `tensor_parallel_size` ranks keep as much.
    """

    vram_total_bytes: int
    gpu_memory_utilization: float
    weights_bytes: int
    overhead_bytes: int
    headroom_gb: float
    fragmentation_factor: float
    tensor_parallel_size: int
    kv: StageKv

    def request_bytes(self, tokens: int) -> int:
        """KV bytes of one request over the group, without fragmentation."""
        return self.kv.request_bytes(tokens) * self.tensor_parallel_size

    def kv_cache_bytes(self, tokens: int, concurrency: int) -> int:
        """KV bytes of `concurrency` requests of `tokens` tokens, with fragmentation."""
        return self._sized(self.request_bytes(tokens), concurrency)

    def assess(self, tokens: int, concurrency: int) -> Feasibility:
        """The verdict for `concurrency` requests of `tokens` tokens."""
        return compute_feasibility(
            vram_total_bytes=self.vram_total_bytes,
            gpu_memory_utilization=self.gpu_memory_utilization,
            weights_bytes=self.weights_bytes,
            kv_cache_bytes=self.kv_cache_bytes(tokens, concurrency),
            overhead_bytes=self.overhead_bytes,
            headroom_gb=self.headroom_gb,
        )

    def max_concurrency(self, tokens: int, limit: int = 1_000_000) -> int:
        """Most requests of `tokens` tokens that fit; 0 when not one does."""
        each, room = self.request_bytes(tokens), self._kv_cache_room()
        return _largest(limit, lambda count: self._sized(each, count) <= room)

    def max_context(self, concurrency: int, limit: int) -> int:
        """Longest requests, up to `limit` tokens, of which `concurrency` fit; 0 for none."""
        room = self._kv_cache_room()
        return _largest(limit, lambda tokens: self.kv_cache_bytes(tokens, concurrency) <= room)

    def _sized(self, request_bytes: int, concurrency: int) -> int:
        return round(request_bytes * concurrency * self.fragmentation_factor)

    def _kv_cache_room(self) -> int:
        """The largest KV cache that leaves the headroom: any larger one does not fit."""
        return self.assess(1, 0).headroom_bytes - gib_to_bytes(self.headroom_gb)


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number from 1 to `limit` that fits, 0 for none; `fits` is monotone."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
