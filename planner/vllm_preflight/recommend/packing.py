"""Several servers on one GPU: utilisations with which all of them start, one after the other.

Each server asks for a share of the whole GPU and checks that so much is free when it
starts (vLLM v1/worker/utils.py, request_memory). What it holds beside that share, above
all its CUDA context, is no part of it, and has to fit too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vllm_preflight.memory.kv.capacity import requests_at_once
from vllm_preflight.memory.late_failures import beside_budget_bytes, context_bytes
from vllm_preflight.memory.startup import Startup
from vllm_preflight.recommend.outcome import start_outcome

# Utilisations are written in hundredths.
_STEPS = 100
_MOST_STEPS = 98


@dataclass(frozen=True)
class Server:
    """One launch as it is asked for.

    Attributes:
        simulate: the start-up with a utilisation, alone on the GPU.
        pinned: the utilisation that the launch itself gives.
        requests, tokens: what its cache has to hold; 0 where one request of its full length
            is all that is asked.
    """

    simulate: Callable[[float], Startup]
    pinned: float | None = None
    requests: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Packed:
    """One server with its share; bytes of the GPU.

    Attributes:
        free_bytes: what is free when it looks, those before it running.
        beside_bytes: what it holds beside its share.
        held: requests of the workload that its cache holds at the low end of its interval.
    """

    startup: Startup
    utilization: float
    free_bytes: int
    beside_bytes: int
    held: int

    @property
    def starts(self) -> bool:
        """Whether it starts for sure after those before it."""
        enough = self.free_bytes >= self.startup.requested_bytes
        return enough and start_outcome(self.startup) == "starts"


@dataclass(frozen=True)
class Packing:
    """All servers in the order they start; `left_bytes` of the GPU are nobody's."""

    servers: tuple[Packed, ...]
    left_bytes: int

    @property
    def fits(self) -> bool:
        """Whether every server starts for sure, and all of them have room to run."""
        return self.left_bytes >= 0 and all(server.starts for server in self.servers)


def pack(servers: Sequence[Server], visible_bytes: int) -> Packing:
    """Shares for the servers in their order: what each needs, and the rest in equal parts.

    A share that is pinned stays. Where the needs exceed the GPU the answer is what each
    needs, which does not fit.
    """
    needs = [_needed(server) for server in servers]
    packing = _packed(servers, needs, visible_bytes)
    spare = math.floor(packing.left_bytes * _STEPS / visible_bytes)
    growing = [index for index, server in enumerate(servers) if server.pinned is None]
    if not packing.fits or not growing or spare < len(growing):
        return packing
    each = spare // len(growing)
    shares = [
        min(_MOST_STEPS, need + each) if index in growing else need
        for index, need in enumerate(needs)
    ]
    larger = _packed(servers, shares, visible_bytes)
    return larger if larger.fits else packing


def _needed(server: Server) -> float:
    """The least utilisation, in hundredths, with which the server starts and holds its load."""
    if server.pinned is not None:
        return server.pinned * _STEPS
    low, high = 1, _MOST_STEPS
    while low < high:
        middle = (low + high) // 2
        startup = server.simulate(middle / _STEPS)
        enough = start_outcome(startup) == "starts" and _held(server, startup) >= server.requests
        low, high = (low, middle) if enough else (middle + 1, high)
    return low


def _held(server: Server, startup: Startup) -> int:
    if not server.requests or not startup.starts:
        return 0
    if server.tokens > startup.launch.max_model_len:
        return 0
    architecture = startup.model.architecture
    return requests_at_once(architecture, startup.launch, startup.kv_low, server.tokens)


def _packed(servers: Sequence[Server], shares: Sequence[float], visible_bytes: int) -> Packing:
    packed: list[Packed] = []
    left = visible_bytes
    for server, share in zip(servers, shares, strict=True):
        utilization = round(share / _STEPS, 4)
        startup = server.simulate(utilization)
        beside = beside_budget_bytes(startup.launch, startup.gpu, startup.runtime)
        packed.append(
            Packed(
                startup=startup,
                utilization=utilization,
                free_bytes=max(0, left - context_bytes(startup.launch, startup.gpu)),
                beside_bytes=beside,
                held=_held(server, startup),
            )
        )
        left -= _taken(startup) + beside
    return Packing(tuple(packed), left)


def _taken(startup: Startup) -> int:
    """What a server fills: its share, or its weights, passes and a cache of a given size."""
    given = startup.launch.kv_cache_memory_bytes
    if given is None:
        return startup.requested_bytes
    return startup.weights.fullest.allocated + startup.runtime.budget_bytes + given
