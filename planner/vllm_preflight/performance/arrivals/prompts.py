"""Prompts that wait: a queue that is served in bulk, once a step.

The chain from step to step is solved for a fixed number of requests that decode beside.
States are in units of a prompt: how likely none, one, two, … wait when a step begins.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

from vllm_preflight.performance.steady import Replica

# Units of a prompt of which a step's budget holds at least this many, and how many more are
# tried so that whole units fill the budget to this share.
FINE, COARSE = 8, 3
# A prompt of many steps has no more units than this, or one a step.
_MOST_PARTS = 24
_MORE_UNITS = 8
_FILLED = 0.985
_CHAIN_ROUNDS = 80
# The chain is asked for percentiles, to which less likely states add nothing.
_LEAST_LIKELY = 1e-5
_CHAIN_SETTLED = 2e-4
_LIFE_SETTLED = 5e-3
_CYCLE_SETTLED = 1e-3
_MOST_FALLS = 0.995
_HALVINGS = 40
# Fewer steps without prompts than this, and the queue is hardly ever empty.
_SELDOM_NONE = 0.5
# Prompts of a full step's time fill more of it than this, and the queue seldom empties.
_OFTEN_FULL = 0.75
_MOST_STATES = 1200
# Where there are too many states and arrivals to go on, the guess is near.
_MOST_PRODUCTS = 300_000

States = list[float]


class PromptQueue:
    """Prompts that wait, in units of a prompt; one budget of them is computed a step.

    Attributes:
        parts: units of a prompt.
        budget: units that a step computes at most.
        states: how often a step begins with so many units waiting.
        mean_step: seconds of a mean step.
    """

    def __init__(self, replica: Replica, rate: float, decoding: float, units: int = FINE) -> None:
        prompt = replica.workload.computed_tokens
        room = max(replica.limits.token_budget - decoding * replica.decoded, 1.0)
        self.replica, self.rate, self.decoding = replica, rate, decoding
        self.parts, self.budget = _divided(prompt, room, units)
        self._unit = prompt / self.parts
        self._lengths: dict[tuple[int, bool], float] = {}
        self._arrivals: dict[int, list[float]] = {}
        self.states = self._stationary()
        self.mean_step = self._mean_seconds(self.states)
        taken = sum(min(units, self.budget) * chance for units, chance in enumerate(self.states))
        some = 1 - self.states[0]
        self._usual = taken / some if some > 0 else 0.0

    def seconds(self, units: int, *, alone: bool = False) -> float:
        """The length of a step that computes `units` of prompts, at most the budget.

        Beside it others decode, unless it is `alone`.
        """
        key = min(units, self.budget), alone
        if key not in self._lengths:
            self._lengths[key] = self._step(key[0], 0.0 if alone else self.decoding)
        return self._lengths[key]

    @property
    def share(self) -> float:
        """The share of the time of steps that prompts add to it."""
        return max(0.0, 1 - self.seconds(0) / self.mean_step)

    def quiet(self, decoding: float) -> float:
        """The length of a step without prompts beside so many."""
        return self._step(0, decoding)

    def busy(self, decoding: float) -> float:
        """The length of a step with as many prompts as those have that have any."""
        return self._step(self._usual, decoding)

    def turn(self, decoding: float) -> float:
        """The mean step beside so many, with the prompts that come beside the usual number."""
        none = self.states[0]
        return none * self.quiet(decoding) + (1 - none) * self.busy(decoding)

    def settling(self, begun: States, steps: float) -> float:
        """Seconds by which `steps` steps are longer than as many mean ones, so begun."""
        now, found, before = begun, 0.0, 0.0
        longer = falls = 0.0
        left = round(steps)
        for _ in range(min(_CHAIN_ROUNDS, left)):
            longer = self._mean_seconds(now) - self.mean_step
            found += longer
            left -= 1
            falls = longer / before if before else 1.0
            if abs(longer) < _LIFE_SETTLED * self.mean_step:
                break
            now, before = self._after(now), longer
        # The rest falls off evenly.
        falls = min(max(falls, 0.0), _MOST_FALLS)
        return found + longer * falls * (1 - falls**left) / (1 - falls)

    def arriving(self, taken: int) -> list[float]:
        """How likely 0, 1, 2, … prompts arrive in a step that computes `taken` units."""
        if taken not in self._arrivals:
            self._arrivals[taken] = poisson(self.rate * self.seconds(taken))
        return self._arrivals[taken]

    def _step(self, units: float, decoding: float) -> float:
        replica, stages = self.replica, self.replica.stages
        step = replica.times.seconds(decoding / stages, units * self._unit / stages) * stages
        step += units / self.parts * replica.server_seconds
        return step + (replica.draft_seconds if decoding else 0.0)

    def _mean_seconds(self, states: States) -> float:
        budget = self.budget
        lengths = map(self.seconds, range(min(budget, len(states))))
        return sum(map(operator.mul, states, lengths)) + sum(states[budget:]) * self.seconds(budget)

    def _after(self, states: States, least: float = _LEAST_LIKELY) -> States:
        """What was to be in these states is in one step later; the rarest are left out."""
        parts, budget = self.parts, self.budget
        left = states[budget:]
        most = max(len(self.arriving(min(units, budget))) for units in (0, len(states) - 1))
        after = [0.0] * (len(left) + parts * most)
        for units, chance in enumerate(states[:budget]):
            if chance:
                likely = self.arriving(units)
                for state, each in zip(range(0, len(after), parts), likely, strict=False):
                    after[state] += chance * each
        if left:
            add_arrivals(after, left, self.arriving(budget), parts)
        last = min(len(after), _MOST_STATES)
        while last > 1 and after[last - 1] <= least:
            last -= 1
        return after[:last]

    def _stationary(self) -> States:
        """How often a step begins with so many units waiting."""
        none, *some = self.arriving(0)
        if none < _SELDOM_NONE:
            return self._settled(self._usual_arrivals())
        if self.rate * self.seconds(self.budget) * self.parts > _OFTEN_FULL * self.budget:
            return self._settled(self._long_queue())
        # How often each state is seen from when a prompt finds none waiting until none do.
        now = [0.0] * (self.parts * len(some) + 1)
        now[self.parts :: self.parts] = some
        seen, rest = [1.0], 1 - none
        for _ in range(_CHAIN_ROUNDS):
            add(seen, now)
            now = self._after(now, _LEAST_LIKELY * (1 - none))
            now[0] = 0.0
            rest = sum(now)
            if rest < _CYCLE_SETTLED * (1 - none):
                total = sum(seen)
                return [chance / total for chance in seen]
        return self._settled(self._long_queue())

    def _usual_arrivals(self) -> States:
        """About how often so many wait where each step takes all that came in the last."""
        units = 0
        for _ in range(_CHAIN_ROUNDS):
            found = min(round(self.rate * self.seconds(units) * self.parts), self.budget)
            if found == units:
                break
            units = found
        likely = self.arriving(units)
        states = [0.0] * (self.parts * len(likely))
        states[:: self.parts] = likely
        return states

    def _long_queue(self) -> States:
        """About how often so many wait where the queue is seldom empty: a geometric tail.

        It falls off by z from unit to unit, with z^budget the mean of z^units that arrive in
        a full step.
        """
        full = self.rate * self.seconds(self.budget)
        low, high = 0.0, math.log(1e6) / self.parts
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            grows = full * (math.exp(middle * self.parts) - 1) > self.budget * middle
            low, high = (low, middle) if grows else (middle, high)
        falls = math.exp(-high)
        number = min(math.ceil(math.log(_LEAST_LIKELY) / math.log(falls)), _MOST_STATES)
        busy = min(full * self.parts / self.budget, 0.99)
        # Steps without prompts are as many times shorter.
        quiet = (1 - busy) / self.seconds(0) * self.seconds(self.budget)
        tail = [falls**units for units in range(1, number)]
        scale = busy / sum(tail)
        return [quiet, *(chance * scale for chance in tail)]

    def _settled(self, guess: States) -> States:
        """The same by steps that begin at a guess."""
        total = sum(guess)
        now = [chance / total for chance in guess]
        left = _MOST_PRODUCTS
        for _ in range(_CHAIN_ROUNDS):
            left -= len(now) * len(self.arriving(min(len(now) - 1, self.budget)))
            if left < 0:
                break
            after = self._after(now)
            moved = sum(abs(a - b) for a, b in zip(now, after, strict=False))
            moved += sum(now[len(after) :]) + sum(after[len(now) :])
            now = after
            if moved < _CHAIN_SETTLED:
                break
        total = sum(now)
        return [chance / total for chance in now]


def _divided(prompt: float, room: float, units: int) -> tuple[int, int]:
    """The units of a prompt and of a step's budget, such that whole ones nearly fill it.

    A budget holds at least `units` of them, where a prompt takes no more than a few steps.
    """
    steps = math.ceil(prompt / room)
    least = max(1, min(math.ceil(units * prompt / room), max(_MOST_PARTS, steps)))
    best = (0.0, least, 1)
    for parts in range(least, least + _MORE_UNITS):
        budget = max(1, int(room * parts / prompt + 1e-9))
        filled = budget * prompt / parts / room
        if filled > best[0]:
            best = (filled, parts, budget)
        if filled >= _FILLED:
            break
    return best[1], best[2]


def add_arrivals(after: States, left: States, arriving: Sequence[float], parts: int) -> None:
    """Add to `after` what waits when so many prompts of `parts` have come to what was left."""
    for number, likely in enumerate(arriving):
        start = number * parts
        end = start + len(left)
        after[start:end] = [
            old + likely * chance for old, chance in zip(after[start:end], left, strict=False)
        ]


def add(sums: States, states: States) -> None:
    """Add states to sums of them."""
    sums += [0.0] * (len(states) - len(sums))
    sums[: len(states)] = map(operator.add, sums, states)


def poisson(mean: float) -> list[float]:
    """Probabilities of 0, 1, 2, … arrivals."""
    found = [math.exp(-mean)]
    total = found[0]
    while total < 1 - _LEAST_LIKELY and len(found) < _MOST_STATES:
        found.append(found[-1] * mean / len(found))
        total += found[-1]
    return found
