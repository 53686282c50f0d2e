"""Tails under a Poisson rate, by formula: what one request in twenty or a hundred sees.

Two things vary. How many requests decode is a birth and death process whose service takes
longer the more there are; a request sees the mean of it over its life, so its time per
token is that mean, spread by what arrives meanwhile. The prompts that wait are a queue
served in bulk, once a step: the chain from step to step is solved, and a request's time to
first token is the rest of the step it finds, the steps its turn takes, and its own.

Checked against the simulation in tests/performance/test_arrivals.py.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace

from vllm_preflight.performance.arrivals.lives import Life
from vllm_preflight.performance.arrivals.quantiles import Quantiles, of_weighted
from vllm_preflight.performance.steady import Replica

# Units of a prompt of which a step's budget holds at least this many.
_UNITS_A_STEP = 8
_LEAST_PROBABILITY = 1e-6
_CHAIN_ROUNDS = 80
_SETTLED = 1e-5
# The chain is asked for percentiles, to which less likely states add nothing.
_LEAST_LIKELY = 1e-5
_CHAIN_SETTLED = 2e-4
_MOST_STATES = 600
# Midpoints of the rest of a step, and of a variable that is drawn apart.
_GRID = 8
# Numbers of requests at which a turn is reckoned, and rounds of its fixed point.
_POINTS_A_DOUBLING = 1.5
_TURN_ROUNDS = 30
_LARGEST = 1e100
_MEANT = 16


@dataclass(frozen=True, slots=True)
class Tails:
    """Seconds requests see at a rate, their means, and how many are in flight."""

    ttft: Quantiles
    tpot: Quantiles
    latency: Quantiles
    mean_ttft: float
    mean_tpot: float
    concurrency: float


def tails(replica: Replica, rate: float) -> Tails | None:
    """What requests see that arrive at `rate` per second; None where the queue never ends."""
    crowd = _crowd(replica, rate)
    if crowd is None:
        return None
    steps = replica.steps - 1
    queue = _Queue(replica, rate, crowd.mean)
    firsts = queue.firsts(crowd.empty)
    life = _life(replica, rate, crowd, queue, firsts)
    per_step = 1 / (max(steps, 1.0) * replica.tokens_per_step)
    if life.mean * per_step > crowd.tpot:
        # Slower tokens mean more that decode beside a prompt.
        present = min(rate * life.mean, replica.most_running)
        crowd = crowd.with_number(present, life.dispersion * present)
        queue = _Queue(replica, rate, present, like=queue)
        firsts = queue.firsts(crowd.empty)
        life = _life(replica, rate, crowd, queue, firsts)
    firsts = _admitted(firsts, crowd)
    total = sum(weight for _, weight in firsts)
    mean_first = sum(value * weight for value, weight in firsts) / total
    lasting = life.quantiles(_alone(replica) / per_step)

    def per_token(share: float) -> float:
        return lasting(share) * per_step

    later = max(replica.workload.gen_tokens - 1, 0)
    drawn = [per_token((part + 0.5) / _MEANT) for part in range(_MEANT)]
    whole = [(first + later * each, weight) for first, weight in _thinned(firsts) for each in drawn]
    mean_token = life.mean * per_step
    return Tails(
        ttft=of_weighted(firsts),
        tpot=Quantiles(per_token(0.5), per_token(0.95), per_token(0.99)),
        latency=of_weighted(whole),
        mean_ttft=mean_first,
        mean_tpot=mean_token,
        concurrency=rate * (mean_first + later * mean_token),
    )


def _alone(replica: Replica) -> float:
    """Seconds per token of a request that is alone."""
    step = replica.times.seconds(1 / replica.stages) * replica.stages + replica.draft_seconds
    return step / replica.tokens_per_step


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The requests that decode: how many, how often none, and what that does to a token.

    `beside` is how much longer a step is with one more of them; `prompt` the seconds that
    one prompt adds to the turns of those that decode (`uneven` times as much in its spread),
    `share` how much of the time they
    add up to. Requests that find all places taken (`queued` of them) wait `queue_seconds`.
    """

    mean: float
    empty: float
    tpot: float
    beside: float
    prompt: float
    uneven: float
    share: float
    queued: float
    queue_seconds: float
    turns: _Turns

    def with_number(self, mean: float, variance: float) -> _Crowd:
        """The same, where so many decode on average: a life sees few of them, or many.

        Two numbers stand for all, of that mean and variance, the lower within a standard
        deviation; turns grow faster than the number, so that the mean turn is longer than
        that of the mean.
        """
        turns, most = self.turns, self.turns.most
        near = min(mean + 1, most)
        gap = min(math.sqrt(max(variance, 1e-12)), max(near - 1, 1e-6))
        low = variance / (variance + gap * gap)
        above = min(near + variance / gap, most)
        turn = low * turns(near - gap) + (1 - low) * turns(above)
        prompt, share = turns.prompts(mean)
        return replace(
            self,
            mean=mean,
            tpot=turn / turns.tokens_per_step,
            beside=max(0.0, turns.quiet(near) - turns.quiet(near - 1)),
            prompt=prompt,
            uneven=turns.unevenness(near),
            share=share,
        )


def _life(
    replica: Replica, rate: float, crowd: _Crowd, queue: _Queue, firsts: list[tuple[float, float]]
) -> Life:
    """A request's decoding, with the prompts that stand behind it when it begins."""
    steps = max(replica.steps - 1, 1.0)
    total = sum(weight for _, weight in firsts)
    mean = sum(value * weight for value, weight in firsts) / total - replica.request_seconds
    turns = crowd.tpot * replica.tokens_per_step * steps
    return Life(
        own=turns * (1 - crowd.share),
        # Less those that a mean step finds: it ends at such a one.
        behind=max(0.0, rate * mean - queue.mean_prompts()),
        prompt=crowd.prompt,
        uneven=crowd.uneven,
        share=crowd.share,
        rate=rate,
        beside=crowd.beside * steps,
    )


def _crowd(replica: Replica, rate: float) -> _Crowd | None:
    """The stationary number of decoding requests; None where more arrive than are served."""
    most = math.floor(replica.most_running)
    steps = max(replica.steps - 1, 1e-9)
    turn_of = _Turns(replica, rate)
    turns = [turn_of(1.0)]
    weights, total = [1.0], 1.0
    for number in range(1, most + 1):
        turn = turn_of(float(number))
        turns.append(turn)
        weights.append(weights[-1] * rate * turn * steps / number)
        total += weights[-1]
        if weights[-1] < _LEAST_PROBABILITY * total and weights[-1] < weights[-2]:
            break
        if total > _LARGEST:
            weights = [weight / total for weight in weights]
            total = 1.0
    number = len(weights) - 1
    full = number == most
    load = rate * turns[-1] * steps / number
    if full and load >= 1:
        return None
    # Those beyond what runs at once wait: a geometric tail, at half the wait of random
    # service times, since these are alike.
    beyond = weights[-1] * load / (1 - load) if full else 0.0
    total += beyond
    mean = (sum(n * weight for n, weight in enumerate(weights)) + number * beyond) / total
    if turn_of.full(mean):
        return None
    prompt, share = turn_of.prompts(mean)
    # Besides those that it finds a request is there itself.
    seen = [*turns[1:], turn_of(min(number + 1.0, replica.most_running))]
    chances = [*weights[:-1], weights[-1] + beyond]
    turn = sum(length * chance for length, chance in zip(seen, chances, strict=True)) / total
    near = min(mean + 1, replica.most_running)
    return _Crowd(
        mean=mean,
        empty=weights[0] / total,
        tpot=turn / replica.tokens_per_step,
        beside=max(0.0, turn_of.quiet(near) - turn_of.quiet(near - 1)),
        prompt=prompt,
        uneven=turn_of.unevenness(near),
        share=share,
        queued=(beyond + (weights[-1] if full else 0.0)) / total,
        queue_seconds=turns[-1] * steps / number / (1 - load) / 2 if full else 0.0,
        turns=turn_of,
    )


class _Turns:
    """Seconds from step to step with so many that decode, prompts of others included.

    Reckoned at a few numbers, and between them in proportion.
    """

    def __init__(self, replica: Replica, rate: float) -> None:
        self._replica, self._rate = replica, rate
        self.most, self.tokens_per_step = replica.most_running, replica.tokens_per_step
        most = self.most
        points = max(2, math.ceil(math.log2(most + 1) * _POINTS_A_DOUBLING))
        self._grid = [most ** (point / (points - 1)) for point in range(points)]
        self._turns = [self._turn(number) for number in self._grid]

    def __call__(self, running: float) -> float:
        """The turn with `running` requests."""
        grid, turns = self._grid, self._turns
        above = min(bisect_left(grid, running), len(grid) - 1)
        if above == 0:
            return turns[0]
        low, high = grid[above - 1], grid[above]
        part = (running - low) / (high - low) if high > low else 1.0
        return turns[above - 1] + (turns[above] - turns[above - 1]) * part

    def quiet(self, running: float) -> float:
        """A step without any prompt."""
        return self._step(max(running, 0.0), 0.0)

    def full(self, running: float) -> bool:
        """Whether prompts arrive faster than full steps compute them."""
        room = self._room(running)
        step = self._step(running, room)
        return self._rate * step * self._replica.workload.computed_tokens >= room

    def prompts(self, running: float) -> tuple[float, float]:
        """Seconds one prompt adds to the turns of others, and their share of the time."""
        turn = self(running)
        share = max(0.0, 1 - self._step(running, 0.0) / turn)
        return share / self._rate, share

    def unevenness(self, running: float) -> float:
        """How much prompts vary the time beside as many alike: below 1 where steps share them.

        The first prompt of a step makes it a step with prompts, which costs most; those that
        come with it add less, so that more prompts spread the time less than in proportion.
        """
        replica = self._replica
        prompt, room = replica.workload.computed_tokens, self._room(running)
        quiet = self._step(running, 0.0)
        likely = _poisson(self._rate * self(running))
        extra = [self._step(running, min(room, n * prompt)) - quiet for n in range(len(likely))]
        mean = sum(part * chance for part, chance in zip(extra, likely, strict=True))
        square = sum(part**2 * chance for part, chance in zip(extra, likely, strict=True))
        number = self._rate * self(running)
        if mean <= 0:
            return 1.0
        return min(1.0, math.sqrt(max(square - mean**2, 0.0) * number) / mean)

    def _room(self, running: float) -> float:
        replica = self._replica
        return max(replica.limits.token_budget - running * replica.decoded, 1.0)

    def _step(self, running: float, prompt: float) -> float:
        replica, stages = self._replica, self._replica.stages
        step = replica.times.seconds(running / stages, prompt / stages) * stages
        step += prompt / replica.workload.computed_tokens * replica.server_seconds
        return step + replica.draft_seconds

    def _turn(self, running: float) -> float:
        prompt, room = self._replica.workload.computed_tokens, self._room(running)
        quiet = self._step(running, 0.0)
        turn = quiet
        for _ in range(_TURN_ROUNDS):
            arriving = self._rate * turn * prompt
            # A step that has a prompt has those that came with it, too.
            chunk = min(room, prompt + arriving)
            share = min(1.0, arriving / chunk)
            after = quiet + share * (self._step(running, chunk) - quiet)
            if abs(after - turn) < _SETTLED * turn:
                return after
            turn = after
        return turn


def _admitted(firsts: list[tuple[float, float]], crowd: _Crowd) -> list[tuple[float, float]]:
    """Times to first token of those that are admitted at once and those that wait for it."""
    if crowd.queued < _LEAST_PROBABILITY:
        return firsts
    waits = [-math.log(1 - (part + 0.5) / _GRID) * crowd.queue_seconds for part in range(_GRID)]
    few = _thinned(firsts)
    found = [(value, weight * (1 - crowd.queued)) for value, weight in few]
    found += [
        (value + wait, weight * crowd.queued / _GRID) for value, weight in few for wait in waits
    ]
    return found


class _Queue:
    """Prompts that wait, in units of a prompt; one budget of them is computed a step."""

    def __init__(
        self, replica: Replica, rate: float, decoding: float, like: _Queue | None = None
    ) -> None:
        load = replica.workload
        prompt = load.computed_tokens
        room = max(replica.limits.token_budget - decoding * replica.decoded, 1.0)
        self.parts = max(1, math.ceil(_UNITS_A_STEP * prompt / room))
        self.unit = prompt / self.parts
        self.budget = max(1, int(room / self.unit + 1e-9))
        self.replica, self.rate, self.decoding = replica, rate, decoding
        self._known: dict[int, float] = {}
        self._states: dict[int, float] | None = None
        # A queue of equal units is a good guess to begin with.
        alike = like is not None and like.parts == self.parts
        self._guess = like.states() if like is not None and alike else {0: 1.0}

    def mean_prompts(self) -> float:
        """Prompts that wait when a step begins."""
        return sum(units * chance for units, chance in self.states().items()) / self.parts

    def seconds(self, units: int, decoding: float | None = None) -> float:
        """The length of a step that computes `units` of prompts, at most the budget."""
        taken = min(units, self.budget)
        if decoding is None and taken in self._known:
            return self._known[taken]
        replica = self.replica
        running = self.decoding if decoding is None else decoding
        stages = replica.stages
        step = replica.times.seconds(running / stages, taken * self.unit / stages) * stages
        step += taken / self.parts * replica.server_seconds
        step += replica.draft_seconds if running else 0.0
        if decoding is None:
            self._known[taken] = step
        return step

    def states(self) -> dict[int, float]:
        """How often a step begins with so many units waiting."""
        if self._states is not None:
            return self._states
        now = self._guess
        arrivals: dict[int, list[float]] = {}
        for _ in range(_CHAIN_ROUNDS):
            after: dict[int, float] = {}
            for units, chance in now.items():
                taken = min(units, self.budget)
                if taken not in arrivals:
                    arrivals[taken] = _poisson(self.rate * self.seconds(taken))
                for number, likely in enumerate(arrivals[taken]):
                    state = units - taken + number * self.parts
                    after[state] = after.get(state, 0.0) + chance * likely
            kept = {s: c for s, c in after.items() if c > _LEAST_LIKELY and s < _MOST_STATES}
            total = sum(kept.values())
            kept = {state: chance / total for state, chance in kept.items()}
            moved = sum(abs(chance - now.get(state, 0.0)) for state, chance in kept.items())
            now = kept
            if moved < _CHAIN_SETTLED:
                break
        self._states = now
        return now

    def firsts(self, empty: float) -> list[tuple[float, float]]:
        """Times to first token with their weights, of requests that are admitted at once."""
        replica = self.replica
        states = self.states()
        lengths = {units: self.seconds(units) for units in states}
        mean = sum(chance * lengths[units] for units, chance in states.items())
        alone = self.seconds(self.parts, 0.0) * max(1.0, self.parts / self.budget)
        # None decodes and no prompt is computed: of the time in which no prompt is.
        quiet = states.get(0, 0.0) * lengths.get(0, 0.0) / mean
        idle = min(quiet, empty * math.exp(-self.rate * alone))
        found = [(alone, idle)] if idle else []
        ahead = replica.steps_ahead * self.seconds(0)
        for units, chance in states.items():
            length = lengths[units]
            left = units - min(units, self.budget)
            share = chance * length / mean
            if not units:
                share *= 1 - idle / quiet if quiet else 0.0
            for part in range(_GRID):
                rest = length * (part + 0.5) / _GRID
                for before, likely in enumerate(_poisson(self.rate * (length - rest))):
                    own = self._own(left + before * self.parts, rest)
                    found.append((rest + ahead + own, share * likely / _GRID))
        return [(value + replica.request_seconds, weight) for value, weight in found]

    def _own(self, before: int, waited: float) -> float:
        """Seconds of the steps that compute what is before a prompt, and the prompt."""
        total = before + self.parts
        whole = (total - 1) // self.budget
        full = self.seconds(self.budget)
        rest = total - whole * self.budget
        # Those that have arrived since fill up the last step.
        later = self.rate * (waited + whole * full) * self.parts
        return whole * full + self._between(min(rest + later, float(self.budget)))

    def _between(self, units: float) -> float:
        low = int(units)
        first = self.seconds(low)
        if units == low:
            return first
        return first + (self.seconds(low + 1) - first) * (units - low)


def _poisson(mean: float) -> list[float]:
    """Probabilities of 0, 1, 2, … arrivals."""
    found = [math.exp(-mean)]
    total = found[0]
    while total < 1 - _LEAST_LIKELY and len(found) < _MOST_STATES:
        found.append(found[-1] * mean / len(found))
        total += found[-1]
    return found


def _thinned(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The means of equal shares of a distribution."""
    ordered = sorted(pairs)
    total = sum(weight for _, weight in ordered)
    found: list[tuple[float, float]] = []
    reached = weighted = 0.0
    for value, weight in ordered:
        reached += weight
        weighted += value * weight
        if reached >= total / _MEANT:
            found.append((weighted / reached, reached))
            reached = weighted = 0.0
    if reached:
        found.append((weighted / reached, reached))
    return found
