"""How long requests wait for their first token, by what they find.

It is the rest of the step under way, the steps that are scheduled already, those in which
its turn comes, and the one that computes the end of its prompt, filled up with prompts that
have arrived since.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from vllm_preflight.performance.arrivals.prompts import (
    PromptQueue,
    States,
    add_arrivals,
    poisson,
)
from vllm_preflight.performance.arrivals.quantiles import Pairs

# Midpoints of the rest of a step.
GRID = 6
# Lengths of steps that are told apart.
_MOST_LENGTHS = 64
# Lengths of steps that fewer requests find, and their midpoints.
_SELDOM, _FEW_POINTS = 0.05, 2
_LEAST_LIKELY = 2e-6
# Where a step has room for more prompts than this, or comes after more steps, one more or
# less changes little.
_FEW_PROMPTS, _FEW_STEPS = 12, 8
# Times to first token this close, as a share of one's own step, are one.
_NEAR = 0.02


@dataclass(slots=True)
class _Steps:
    """Requests whose first token comes after about as long: weighted sums of what they see."""

    weight: float = 0.0
    seconds: float = 0.0
    quiet: float = 0.0
    busy: float = 0.0


@dataclass(slots=True)
class FirstTokens:
    """Times to first token of requests that are admitted at once.

    `alone` are those of requests that find nobody, `begun` how likely so many units of
    prompts wait when their decoding begins.
    """

    firsts: dict[int, _Steps] = field(default_factory=dict[int, _Steps])
    alone: Pairs = field(default_factory=Pairs)
    begun: States = field(default_factory=States)

    @property
    def mean(self) -> float:
        """Mean seconds to the first token."""
        found = self.spread(0.0, 0.0, [(0.0, 1.0)])
        return sum(value * w for value, w in found) / sum(w for _, w in found)

    def spread(self, quiet: float, busy: float, numbers: Pairs) -> Pairs:
        """Times to first token where so many more than usual decode, each in `numbers`.

        Each lengthens a step without prompts by `quiet` seconds and one with them by `busy`.
        """
        found = list(self.alone)
        for steps in self.firsts.values():
            weight = steps.weight
            each = (quiet * steps.quiet + busy * steps.busy) / weight
            found += [
                (max(0.0, steps.seconds / weight + more * each), weight * likely)
                for more, likely in numbers
            ]
        return found


def first_tokens(queue: PromptQueue, idle: float, grid: int = GRID) -> FirstTokens:
    """What requests find; in `idle` of the time nobody is there."""
    return _Finding(queue).found(idle, grid)


class _Finding:
    def __init__(self, queue: PromptQueue) -> None:
        self._queue = queue
        self._near = _NEAR * queue.seconds(queue.parts)
        self._found = FirstTokens()
        # Units that wait when the step begins that ends a prompt, its own among them.
        self._reached: dict[int, float] = {}

    def found(self, idle: float, grid: int) -> FirstTokens:
        queue = self._queue
        budget, parts, states = queue.budget, queue.parts, queue.states
        quiet = states[0] * queue.seconds(0) / queue.mean_step
        idle = min(idle, quiet)
        if idle:
            self._alone(idle)
        shorter = states[:budget]
        together = math.ceil(len(shorter) / _MOST_LENGTHS)
        classes = [
            (low + together // 2, [sum(shorter[low : low + together])])
            for low in range(1, len(shorter), together)
        ]
        for taken, left in [(0, [states[0]]), *classes, (budget, states[budget:])]:
            if not left:
                continue
            length = queue.seconds(taken)
            share = length / queue.mean_step
            points = grid if share * sum(left) > _SELDOM else min(grid, _FEW_POINTS)
            share /= points
            if not taken:
                share *= 1 - idle / quiet
            for part in range(points):
                passed = (part + 0.5) / points
                before = poisson(queue.rate * length * passed)
                ahead = [0.0] * (len(left) + parts * len(before))
                add_arrivals(ahead, left, before, parts)
                self._behind(ahead, share, length * (1 - passed), 1 - passed, busy=taken > 0)
        self._found.begun = self._begun()
        return self._found

    def _alone(self, weight: float) -> None:
        """A request that finds nobody."""
        queue = self._queue
        whole, last = divmod(queue.parts - 1, queue.budget)
        started = whole * queue.seconds(queue.budget, alone=True)
        for number, likely in enumerate(poisson(queue.rate * started)):
            reached = last + 1 + number * queue.parts
            value = started + queue.seconds(reached, alone=True) + queue.replica.request_seconds
            self._found.alone.append((value, weight * likely))
            self._reached[reached] = self._reached.get(reached, 0.0) + weight * likely

    def _behind(self, ahead: States, share: float, rest: float, part: float, *, busy: bool) -> None:
        """Requests with so many units before their own, `rest` seconds before a step begins."""
        queue, replica = self._queue, self._queue.replica
        budget, parts, full = queue.budget, queue.parts, queue.seconds(queue.budget)
        # Steps are scheduled ahead of those that decode.
        scheduled = replica.steps_ahead if queue.decoding else 0.0
        beside = scheduled * queue.seconds(0) + replica.request_seconds
        later: list[float] = []
        known = -1
        for units, chance in enumerate(ahead):
            weight = chance * share
            if weight < _LEAST_LIKELY:
                continue
            whole, last = divmod(units + parts - 1, budget)
            last += 1
            started = rest + whole * full
            if whole != known:
                later, known = poisson(queue.rate * started), whole
            steps = (scheduled + (0 if busy else part), whole + 1 + (part if busy else 0))
            waited = started + beside
            roomy = (budget - last) / parts > _FEW_PROMPTS
            if len(later) > _FEW_PROMPTS and (roomy or whole > _FEW_STEPS):
                # As many as on average have arrived since, to fill up its last step.
                reached = round(last + queue.rate * started * parts)
                self._add(waited + queue.seconds(reached), weight, steps)
                self._reached[reached] = self._reached.get(reached, 0.0) + weight
                continue
            others = 1.0
            for number, likely in enumerate(later):
                reached = last + number * parts
                self._reached[reached] = self._reached.get(reached, 0.0) + weight * likely
                if others > 0:
                    # A full step is as long however many more wait.
                    taken = others if reached >= budget else likely
                    self._add(waited + queue.seconds(reached), weight * taken, steps)
                    others -= taken

    def _add(self, value: float, weight: float, steps: tuple[float, float]) -> None:
        key = int(value / self._near)
        found = self._found.firsts.get(key)
        if found is None:
            found = self._found.firsts[key] = _Steps()
        found.weight += weight
        found.seconds += weight * value
        found.quiet += weight * steps[0]
        found.busy += weight * steps[1]

    def _begun(self) -> States:
        """How likely so many units wait when the step after a prompt's last begins."""
        queue = self._queue
        begun: dict[int, float] = {}
        for reached, weight in self._reached.items():
            taken = min(reached, queue.budget)
            state = reached - taken
            for likely in queue.arriving(taken):
                begun[state] = begun.get(state, 0.0) + weight * likely
                state += queue.parts
        total = sum(begun.values())
        return [begun.get(state, 0.0) / total for state in range(max(begun) + 1)]
