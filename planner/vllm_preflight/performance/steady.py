"""The stationary state of continuous batching: what requests see while the load lasts.

Every step decodes one token (or a drafted few) of each running request and fills the
rest of its token budget with prompts. With n requests running, a request's cycle is its
own prompt and its own decoding steps, which the prompts of the other n − 1 lengthen.
Requests beyond what runs at once wait in the queue (Little's law).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vllm_preflight.performance.step.times import StepParts, StepTimes
from vllm_preflight.performance.workload import Workload

_HALVINGS = 40
# Bounds of the search for how many run.
_REFINEMENTS = 40
_EXACT = 1e-8


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the requests of one replica that run at once."""

    sequences: float
    token_budget: float
    cached_requests: float

    def running(self, workload: Workload, decoded: float, steps: float) -> float:
        """Most requests that run at once, at least one.

        When prompts never stop waiting, steps are full: beside n decoding requests a
        budget of b tokens starts (b − n) / prompt requests a step, and each stays for its
        steps. One more is in its prompt. A request computes `decoded` tokens in each of
        `steps` steps.
        """
        decoding = self.token_budget / (decoded + workload.computed_tokens / steps)
        return max(1.0, min(self.sequences, self.cached_requests, 1 + decoding))


@dataclass(frozen=True, slots=True)
class State:
    """What requests see; seconds and requests per second of one replica.

    Attributes:
        concurrency: requests in flight, the waiting ones included.
        running: those that run.
        ttft: mean seconds to the first token, `queued` of them before the prompt starts.
        tpot: mean seconds between later tokens.
        requests_per_s: requests finished per second.
        saturated: whether more arrive, or are in flight, than can run.
    """

    concurrency: float
    running: float
    ttft: float
    queued: float
    tpot: float
    requests_per_s: float
    saturated: bool

    def latency(self, gen_tokens: int) -> float:
        """Seconds of a whole request."""
        return self.ttft + max(gen_tokens - 1, 0) * self.tpot


@dataclass(frozen=True, slots=True)
class Replica:
    """One data-parallel replica under a workload.

    `stages` pipeline stages work on as many batches in turn. A step yields
    `tokens_per_step` tokens of a request for the `decoded` ones it computes, and takes
    `draft_seconds` to draft them. `request_seconds` are what a request costs beside the
    steps: the server, the tokenizer, the way back; `server_seconds` of them keep the
    server busy, which bounds the requests it handles. A request that finds others running
    waits for `steps_ahead` steps that are scheduled already.
    """

    times: StepTimes
    workload: Workload
    limits: Limits
    stages: int
    decoded: float
    tokens_per_step: float
    draft_seconds: float
    request_seconds: float
    server_seconds: float
    steps_ahead: float

    @property
    def steps(self) -> float:
        """Steps of a request: one ends its prompt, the others yield the later tokens."""
        return 1 + max(self.workload.gen_tokens - 1, 0) / self.tokens_per_step

    @property
    def most_running(self) -> float:
        """Requests that run at once when more are there."""
        return self.limits.running(self.workload, self.decoded, self.steps)

    @property
    def cache_bound(self) -> bool:
        """Whether it is the KV cache that bounds the requests that run at once."""
        return self.limits.cached_requests <= self.most_running

    def decode_parts(self, running: float) -> StepParts:
        """A stage's step that only decodes, with `running` requests in all stages."""
        return self.times.parts(running / self.stages)

    def at_concurrency(self, concurrency: float) -> State:
        """The state with `concurrency` requests in flight.

        Fewer than one, as with more replicas than requests: one that is there at times.
        """
        if concurrency < 1:
            alone = self._running(1.0)
            rate = alone.requests_per_s * concurrency
            return replace(alone, concurrency=concurrency, running=concurrency, requests_per_s=rate)
        most = self.most_running
        high = min(concurrency, most)
        full = self._running(high)
        if full.concurrency <= concurrency:
            if high < most:
                return full
            queued = (concurrency - full.concurrency) / full.requests_per_s
            return replace(
                full,
                concurrency=concurrency,
                queued=queued,
                ttft=full.ttft + queued,
                saturated=queued > 0,
            )
        # Some of those in flight wait for a step to end or a prompt before theirs: find
        # how many run, between one and all, by false position (Illinois).
        low, below, above = 1.0, 1.0 - concurrency, full.concurrency - concurrency
        state, last = full, 0.0
        for _ in range(_REFINEMENTS):
            middle = low - below * (high - low) / (above - below)
            state = self._running(middle)
            error = state.concurrency - concurrency
            if abs(error) <= _EXACT * concurrency:
                break
            # An end that stays twice is given half its weight, so that both ends move.
            half = 0.5 if error * last > 0 else 1.0
            if error > 0:
                high, above, below = middle, error, below * half
            else:
                low, below, above = middle, error, above * half
            last = error
        return replace(state, concurrency=concurrency)

    def at_rate(self, rate: float) -> State:
        """The state with `rate` requests arriving per second.

        When more arrive than can be served, the queue never ends: the state is that of a
        full engine, and its time to first token that of a request that does not wait.
        """
        most = self.most_running
        full = self._running(most)
        if rate >= full.requests_per_s:
            return replace(full, saturated=True)
        low, high = 1.0, most
        first = self._running(low)
        if rate <= first.requests_per_s:
            flight = rate * first.latency(self.workload.gen_tokens)
            return replace(first, concurrency=flight, running=flight, requests_per_s=rate)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self._running(middle).requests_per_s < rate:
                low = middle
            else:
                high = middle
        return replace(self._running(high), requests_per_s=rate)

    def _running(self, running: float) -> State:
        """The state with `running` requests running and none waiting."""
        load, decoded = self.workload, self.decoded
        prompt, steps = load.computed_tokens, self.steps
        stages, others = self.stages, running - 1
        batch, rest = max(running / stages, 1.0), others / stages
        step = self.times.seconds(batch)
        # Tokens of prompts in a step that has any: its own prompt and those that come with
        # it while the others decode, in what the budget leaves beside them.
        room = max(self.limits.token_budget - rest * decoded, 1.0)
        starting = others / steps
        arriving = starting / stages * prompt
        chunk = min(room, prompt + arriving)
        mixed = self.times.seconds(rest, chunk)
        # The share of steps that have prompts of others in them.
        share = min(1.0, arriving / chunk)
        lengthened = share * max(0.0, mixed - self.times.seconds(rest))
        # One process receives the requests of a replica, one after another.
        received = starting * self.server_seconds
        turn = (step + lengthened) * stages + self.draft_seconds + received
        per_token = turn / self.tokens_per_step
        # Its own prompt, after what is left of the step under way, those scheduled already,
        # and half a prompt before it.
        own = max(1.0, prompt / chunk) * mixed * stages + self.server_seconds + received
        waiting = own * share / 2 + turn * (0.5 + self.steps_ahead) * others / running
        first = own + self.request_seconds
        # Prompts that come faster than full steps compute them wait for one another.
        first = max(first, running / self._most_prompts() - (steps - 1) * turn)
        cycle = first + (steps - 1) * turn
        return State(
            concurrency=running * (1 + waiting / cycle),
            running=running,
            ttft=first + waiting,
            queued=0.0,
            tpot=per_token,
            requests_per_s=running / cycle,
            saturated=False,
        )

    def _most_prompts(self) -> float:
        """Prompts per second where each stage's steps are full, beside the most that decode."""
        prompt, stages = self.workload.computed_tokens, self.stages
        decoding = (self.most_running - 1) / stages
        room = max(self.limits.token_budget - decoding * self.decoded, 1.0)
        number = room * stages / prompt
        turn = self.times.seconds(decoding, room) * stages + self.draft_seconds
        return number / (turn + number * self.server_seconds)
