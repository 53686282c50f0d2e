"""What a benchmark harness prints for a run that starts all at once and ends.

A harness keeps so many requests in flight and sends so many times that number: waves. The
first wave arrives at once, so half of its prompts stand before the middle one; later
requests arrive one by one as others end, and see the steady state. A mean is of both:

    mean = (1 − 1 / waves) × steady + 1 / waves × first wave
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vllm_preflight.performance.steady import Replica, State

# From so many waves on the middle request is one of the steady state.
_STEADY_MEDIAN = 3.0


@dataclass(frozen=True, slots=True)
class Printed:
    """What the harness prints: seconds, and requests per second of one replica."""

    ttft: float
    tpot: float
    requests_per_s: float


def first_wave(replica: Replica, requests: float) -> float:
    """Mean seconds to the first token when `requests` arrive at once and none run.

    Each step takes as many prompts as the budget holds, after the server has received them;
    those that have begun decode beside the rest. Requests beyond what runs at once wait
    until others end.
    """
    load, limits = replica.workload, replica.limits
    running = max(1.0, min(requests, replica.most_running))
    tokens = running * load.computed_tokens
    chunk = min(limits.token_budget, tokens)
    steps = max(1.0, tokens / chunk)
    stages = replica.stages
    step = replica.times.seconds((running - 1) / 2 / stages, chunk) * stages
    received = replica.server_seconds * (running + 1) / 2
    started = step * (steps + 1) / 2 + received + replica.request_seconds
    if requests <= running:
        return started
    # The others begin as those before them end, one cycle of the running ones a wave.
    full = replica.at_concurrency(running)
    return started + (requests - running) / 2 / full.requests_per_s


def printed(replica: Replica, state: State, waves: float, *, median: bool = False) -> Printed:
    """What a harness prints with `state`'s requests in flight and `waves` times as many sent.

    A `median` time to the first token is that of the steady state from three waves on, and
    that of the first wave with one.
    """
    requests = state.concurrency
    share = 1 / max(waves, 1.0)
    if median:
        share = min(1.0, max(0.0, (_STEADY_MEDIAN - waves) / (_STEADY_MEDIAN - 1)))
    together = first_wave(replica, requests)
    ttft = (1 - share) * state.ttft + share * together
    mean = state.ttft + (together - state.ttft) / max(waves, 1.0)
    whole = mean + max(replica.workload.gen_tokens - 1, 0) * state.tpot
    # Equal requests end in waves, the last of which may be small.
    filled = waves / math.ceil(waves) if waves >= 1 else 1.0
    # No more than the steady state serves: a run that starts at once only falls short of it.
    served = min(requests / whole * filled, state.requests_per_s)
    return Printed(ttft, state.tpot, served)
