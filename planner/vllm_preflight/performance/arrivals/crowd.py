"""The requests that decode: how many there are, and how long a step takes beside them.

Their number is a birth and death process whose service takes longer the more there are.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from vllm_preflight.performance.arrivals.prompts import poisson
from vllm_preflight.performance.steady import Replica

_LEAST_PROBABILITY = 1e-6
_SETTLED = 1e-5
# Numbers of requests at which a turn is reckoned, and rounds of its fixed point.
_POINTS_A_DOUBLING = 1.5
_TURN_ROUNDS = 30
_LARGEST = 1e100


@dataclass(frozen=True, slots=True)
class Crowd:
    """The requests that decode: how many on average, and how often none.

    Requests that find all places taken (`queued` of them) wait `queue_seconds`.
    """

    mean: float
    empty: float
    queued: float
    queue_seconds: float
    turns: Turns


def crowd_of(replica: Replica, rate: float) -> Crowd | None:
    """The stationary number of decoding requests; None where more arrive than are served."""
    most = math.floor(replica.most_running)
    steps = max(replica.steps - 1, 1e-9)
    turn_of = Turns(replica, rate)
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
    # What the cache holds is no whole number: a request more for part of the time.
    places = replica.most_running if full else float(number)
    load = rate * turn_of(places) * steps / places
    if full and load >= 1:
        return None
    # Those beyond what runs at once wait: a geometric tail, at half the wait of random
    # service times, since these are alike.
    beyond = weights[-1] * load / (1 - load) if full else 0.0
    total += beyond
    mean = (sum(n * weight for n, weight in enumerate(weights)) + number * beyond) / total
    if turn_of.full(mean):
        return None
    return Crowd(
        mean=mean,
        empty=weights[0] / total,
        queued=(beyond + (weights[-1] if full else 0.0)) / total,
        queue_seconds=turn_of(places) * steps / places / (1 - load) / 2 if full else 0.0,
        turns=turn_of,
    )


class Turns:
    """Seconds from step to step with so many that decode, prompts of others included.

    Reckoned at a few numbers, and between them in proportion.
    """

    def __init__(self, replica: Replica, rate: float) -> None:
        self._replica, self._rate = replica, rate
        self.most = replica.most_running
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

    def full(self, running: float) -> bool:
        """Whether prompts arrive faster than full steps compute them."""
        room = self._room(running)
        step = self._step(running, room)
        return self._rate * step * self._replica.workload.computed_tokens >= room

    def unevenness(self, running: float) -> float:
        """How much prompts vary the time beside as many alike: below 1 where steps share them.

        The first prompt of a step makes it a step with prompts, which costs most; those that
        come with it add less, so that more prompts spread the time less than in proportion.
        """
        replica = self._replica
        prompt, room = replica.workload.computed_tokens, self._room(running)
        quiet = self._step(running, 0.0)
        likely = poisson(self._rate * self(running))
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
