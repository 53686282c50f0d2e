"""A discrete-event simulation of vLLM's scheduler: the reference of the formulas.

Each step serves the requests that run, in their order: one token (or a few drafted ones)
of those that decode, then chunks of prompts in what the token budget leaves; then waiting
requests are admitted while sequences, budget and KV blocks last. Where the cache runs
short the request that was admitted last is preempted and computed again. Steps without
any prompt that follow each other are taken at once.

Source of the rules: vLLM 0.19 v1/core/sched/scheduler.py (schedule).
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.performance.arrivals.quantiles import Quantiles, of_values
from vllm_preflight.performance.steady import Replica

# Share of the requests that see the engine fill up, and are not counted.
_WARM_UP = 0.1
_BLOCK = 16


@dataclass(slots=True)
class _Request:
    arrived: float
    ready: float
    prompt: int
    generate: float
    to_compute: int
    decoding: bool = False
    produced: float = 0.0
    since: int = 0
    held: float = 0.0
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Simulated:
    """What simulated requests saw: seconds, and requests per second of one replica."""

    ttft: Quantiles
    tpot: Quantiles
    latency: Quantiles
    mean_ttft: float
    mean_tpot: float
    requests_per_s: float
    preemptions: int
    finished: int


@dataclass
class _Engine:
    """One replica: its clock, its requests, its cache."""

    replica: Replica
    capacity: float
    now: float = 0.0
    step: int = 0
    used: float = 0.0
    running: list[_Request] = field(default_factory=list[_Request])
    decoding: int = 0
    waiting: deque[_Request] = field(default_factory=deque[_Request])
    preemptions: int = 0
    known: dict[tuple[int, int], float] = field(default_factory=dict[tuple[int, int], float])

    def seconds(self, sequences: int, prompt: int) -> float:
        """The length of a step."""
        key = (sequences, prompt)
        if key not in self.known:
            replica = self.replica
            stages = replica.stages
            step = replica.times.seconds(sequences / stages, prompt / stages)
            self.known[key] = step * stages + (replica.draft_seconds if sequences else 0.0)
        return self.known[key]

    def grown(self, request: _Request) -> float:
        """Tokens a request has generated since it began to decode, or was resumed."""
        steps = self.step - request.since if request.decoding else 0
        return steps * self.replica.tokens_per_step

    def steps_left(self, request: _Request) -> int:
        """Steps until a decoding request has all its tokens."""
        missing = request.generate - request.produced - self.grown(request)
        return max(0, math.ceil(missing / self.replica.tokens_per_step - 1e-9))


def simulate(
    replica: Replica,
    *,
    requests: int,
    seed: int,
    rate: float | None = None,
    concurrency: int | None = None,
    spread: float = 0.0,
    warm_up: float | None = None,
) -> Simulated:
    """What `requests` requests see that arrive at a Poisson `rate`, or `concurrency` at once.

    In a closed loop each request that ends is followed by the next. Lengths are drawn
    evenly from the workload's ± `spread`. The first `warm_up` of the requests are not
    counted (None: as many as see the engine fill up). The same seed gives the same result.
    """
    draws = random.Random(seed)
    load, limits = replica.workload, replica.limits
    capacity = limits.cached_requests * load.mean_context
    engine = _Engine(replica, capacity)
    cached = load.prompt_tokens - load.computed_tokens
    clock = 0.0
    upcoming: deque[_Request] = deque()
    for _ in range(requests):
        clock += 0.0 if rate is None else draws.expovariate(rate)
        factor = 1 + spread * (2 * draws.random() - 1)
        prompt = max(1, round(load.prompt_tokens * factor))
        generate = max(1, round(load.gen_tokens * (1 + spread * (2 * draws.random() - 1))))
        compute = max(1, prompt - round(cached * factor))
        upcoming.append(_Request(clock, clock, prompt, float(generate), compute))
    following: deque[_Request] = deque()
    while concurrency is not None and len(upcoming) > concurrency:
        following.appendleft(upcoming.pop())
    first = _WARM_UP * requests
    if concurrency is not None:
        # The first wave starts together.
        first = max(first, min(concurrency * 1.5, requests / 2))
    skipped = first / requests if warm_up is None else warm_up
    return _summary(engine, _run(engine, upcoming, following), skipped)


def _run(
    engine: _Engine, upcoming: deque[_Request], following: deque[_Request]
) -> list[tuple[_Request, float]]:
    """Serve all requests; each with the time its last token came.

    One of the `following` arrives whenever a request ends.
    """
    done: list[tuple[_Request, float]] = []
    while upcoming or engine.waiting or engine.running:
        check_stop()
        _receive(engine, upcoming)
        prompt, admitted = _schedule(engine)
        if not engine.running:
            # Nothing to do until the next request arrives, or is seen.
            begins = [request.arrived for request in _first(upcoming)]
            engine.now = min([*begins, *(request.ready for request in _first(engine.waiting))])
            continue
        steps = 1 if prompt else _quiet_steps(engine, upcoming)
        length = engine.seconds(engine.decoding, prompt)
        length += admitted * engine.replica.server_seconds
        _advance(engine, steps, length)
        for request in _finished(engine):
            done.append((request, engine.now))
            if following:
                begun = following.popleft()
                begun.arrived = begun.ready = engine.now
                upcoming.append(begun)
    return done


def _first(requests: deque[_Request]) -> tuple[_Request, ...]:
    return (requests[0],) if requests else ()


def _receive(engine: _Engine, upcoming: deque[_Request]) -> None:
    """Requests that have arrived wait, for the steps that are scheduled already too."""
    while upcoming and upcoming[0].arrived <= engine.now:
        request = upcoming.popleft()
        request.ready = request.arrived
        if engine.running:
            request.ready += engine.replica.steps_ahead * engine.seconds(engine.decoding, 0)
        engine.waiting.append(request)


def _blocks(tokens: float) -> float:
    return math.ceil(tokens / _BLOCK) * _BLOCK


def _schedule(engine: _Engine) -> tuple[int, int]:
    """Prompt tokens of the next step and requests it admits."""
    replica = engine.replica
    limits = replica.limits
    while (
        engine.decoding
        and engine.used + engine.decoding * replica.tokens_per_step > engine.capacity
    ):
        if len(engine.running) == 1:
            break
        _preempt(engine)
    budget = int(limits.token_budget - engine.decoding * replica.decoded)
    prompt = admitted = 0
    for request in engine.running:
        if budget <= 0:
            break
        if request.to_compute:
            chunk = min(request.to_compute, budget)
            request.to_compute -= chunk
            budget -= chunk
            prompt += chunk
    while engine.waiting and budget > 0 and len(engine.running) < limits.sequences:
        request = engine.waiting[0]
        size = _blocks(request.prompt + request.produced)
        if request.ready > engine.now or (engine.running and engine.used + size > engine.capacity):
            break
        engine.waiting.popleft()
        chunk = min(request.to_compute, budget)
        request.to_compute -= chunk
        budget -= chunk
        prompt += chunk
        request.held = size
        engine.used += size
        engine.running.append(request)
        admitted += 1
    return prompt, admitted


def _preempt(engine: _Engine) -> None:
    """The request that was admitted last gives up its cache and waits, first in line."""
    request = engine.running.pop()
    engine.preemptions += 1
    _leave(engine, request)
    request.to_compute = round(request.prompt + request.produced)
    request.ready = engine.now
    engine.waiting.appendleft(request)


def _leave(engine: _Engine, request: _Request) -> None:
    """A request that runs no longer gives its cache back."""
    grown = engine.grown(request)
    engine.used -= request.held + grown
    request.produced += grown
    engine.decoding -= request.decoding
    request.decoding = False


def _quiet_steps(engine: _Engine, upcoming: deque[_Request]) -> int:
    """Steps of decoding alone until a request ends, can be admitted, or the cache is full."""
    steps = min(engine.steps_left(request) for request in engine.running)
    length = engine.seconds(engine.decoding, 0)
    begins = [request.arrived for request in _first(upcoming)]
    begins += [request.ready for request in _first(engine.waiting) if request.ready > engine.now]
    for begin in begins:
        steps = min(steps, max(1, math.ceil((begin - engine.now) / length)))
    growth = engine.decoding * engine.replica.tokens_per_step
    if growth and engine.capacity != math.inf:
        steps = min(steps, max(1, int((engine.capacity - engine.used) / growth)))
    return max(1, steps)


def _advance(engine: _Engine, steps: int, length: float) -> None:
    """Take `steps` equal steps; prompts that are whole yield their first token at the end."""
    engine.now += steps * length
    engine.used += steps * engine.decoding * engine.replica.tokens_per_step
    engine.step += steps
    for request in engine.running:
        if request.to_compute or request.decoding:
            continue
        if request.first is None:
            request.first = engine.now
            request.produced = 1.0
        request.since = engine.step
        request.decoding = True
        engine.decoding += 1


def _finished(engine: _Engine) -> list[_Request]:
    """Requests that have all their tokens leave."""
    ended = [r for r in engine.running if r.decoding and not engine.steps_left(r)]
    for request in ended:
        _leave(engine, request)
        engine.running.remove(request)
    return ended


def _summary(engine: _Engine, done: list[tuple[_Request, float]], warm_up: float) -> Simulated:
    kept = done[round(len(done) * warm_up) :]
    extra = engine.replica.request_seconds
    ttft = [(r.first or 0.0) - r.arrived + extra for r, _ in kept]
    tpot = [(end - (r.first or 0.0)) / (r.generate - 1) for r, end in kept if r.generate > 1] or [
        0.0
    ]
    latency = [end - r.arrived + extra for r, end in kept]
    # A whole run is counted from its beginning, a part from the first request that ends in it.
    whole = len(kept) == len(done)
    begun = min(r.arrived for r, _ in kept) if whole else kept[0][1]
    span = kept[-1][1] - begun
    return Simulated(
        of_values(ttft),
        of_values(tpot),
        of_values(latency),
        sum(ttft) / len(ttft),
        sum(tpot) / len(tpot),
        (len(kept) - (not whole)) / span if span > 0 else 0.0,
        engine.preemptions,
        len(done),
    )
