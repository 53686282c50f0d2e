"""Tails under a Poisson rate, by formula: what one request in twenty or a hundred sees.

The prompts that wait are a queue served in bulk, once a step (`prompts`): what a request
finds in it gives its time to first token (`first_tokens`), in steps that are longer the more
decode (`crowd`). Its time per token is that of its steps, spread by what stands behind it
and what arrives meanwhile (`lives`), which comes in clusters (`clusters`).

Checked against the simulation in tests/performance/test_arrivals.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from vllm_preflight.performance.arrivals.clusters import clusters
from vllm_preflight.performance.arrivals.crowd import Crowd, Turns, crowd_of
from vllm_preflight.performance.arrivals.first_tokens import FirstTokens, first_tokens
from vllm_preflight.performance.arrivals.lives import Life
from vllm_preflight.performance.arrivals.prompts import COARSE, PromptQueue, States
from vllm_preflight.performance.arrivals.quantiles import Pairs, Quantiles, gamma, of_weighted
from vllm_preflight.performance.steady import Replica

# Share of the most that is served up to which chance hardly fills a cache that bounds it:
# beyond, requests that are preempted and computed again may let the queue grow for good.
UNPREEMPTED = 0.8
_LEAST_PROBABILITY = 1e-6
# Midpoints of the rest of a step, where only the mean is wanted.
_FEW = 2
# Midpoints of a wait for a place, and of the number of requests that decode.
_GRID = 8
_NUMBERS = 5
# Prompts behind a request that are told apart: parts of the first, and how many in all.
_PARTS = 4
_MOST_BEHIND = 9
_STEP_ROUNDS = 3
_CLUSTER_ROUNDS = 2
# Shares of a distribution that each of its means stands for: the rarest are the finest.
_EDGES = (*(number * 0.09 for number in range(11)), 0.93, 0.96, 0.98, 0.993, 1.0)


@dataclass(frozen=True, slots=True)
class Tails:
    """Seconds requests see at a rate, their means, and how many are in flight."""

    ttft: Quantiles
    tpot: Quantiles
    latency: Quantiles
    mean_ttft: float
    mean_tpot: float
    concurrency: float

    def at_least(self, other: Tails) -> Tails:
        """The same, with no percentile below that of `other`."""
        pairs = (
            (self.ttft, other.ttft),
            (self.tpot, other.tpot),
            (self.latency, other.latency),
        )
        ttft, tpot, latency = (mine.at_least(theirs) for mine, theirs in pairs)
        return replace(self, ttft=ttft, tpot=tpot, latency=latency)


def tails(replica: Replica, rate: float) -> Tails | None:
    """What requests see that arrive at `rate` per second; None where the queue never ends."""
    crowd = crowd_of(replica, rate)
    if crowd is None:
        return None
    rough = PromptQueue(replica, rate, crowd.mean, COARSE)
    found = first_tokens(rough, crowd.empty, _FEW)
    life = _life(rough, crowd.turns, found, _about_settling(rough, found))
    # Slower tokens mean more that decode beside a prompt.
    later = replica.workload.gen_tokens > 1
    number = min(rate * life.mean, replica.most_running) if later else 0.0
    queue = PromptQueue(replica, rate, number)
    flight = number + rate * (found.mean - replica.request_seconds)
    found = first_tokens(queue, math.exp(-flight / math.sqrt(life.dispersion)))
    life = _life(queue, crowd.turns, found, queue.settling(found.begun, _later_steps(replica)))
    return _tails(queue, _admitted(_firsts(queue, found, life), crowd), life)


def _tails(queue: PromptQueue, firsts: Pairs, life: Life) -> Tails:
    """The percentiles of these times to first token, and of a request's decoding."""
    replica = queue.replica
    steps = _later_steps(replica)
    per_step = 1 / (steps * replica.tokens_per_step)
    later = max(replica.workload.gen_tokens - 1, 0)
    mean_first = sum(value * w for value, w in firsts) / sum(w for _, w in firsts)
    least = _alone(replica)
    # Without a later token there is no time between them: what a request alone would see.
    most = queue.seconds(queue.budget) * steps if later else least / per_step
    lasting = life.quantiles(least / per_step, most)

    def per_token(share: float) -> float:
        return lasting(share) * per_step

    # Who waited longer finds as many more behind; who waited less finds at least none.
    longer = life.share / (1 - life.share)
    drawn = [(later * per_token((low + high) / 2), high - low) for low, high in pairwise(_EDGES)]
    whole = [
        (
            first + max(least * later, rest + max(-life.settling, longer * (first - mean_first))),
            weight * share,
        )
        for first, weight in _thinned(firsts)
        for rest, share in drawn
    ]
    mean_token = life.mean * per_step if later else least
    return Tails(
        ttft=of_weighted(firsts),
        tpot=Quantiles(per_token(0.5), per_token(0.95), per_token(0.99)),
        latency=of_weighted(whole),
        mean_ttft=mean_first,
        mean_tpot=mean_token,
        concurrency=queue.rate * (mean_first + later * mean_token),
    )


def _later_steps(replica: Replica) -> float:
    """Steps of a request after the one that ends its prompt; one where there is none."""
    return max(replica.steps - 1, 1.0)


def _alone(replica: Replica) -> float:
    """Seconds per token of a request that is alone."""
    step = replica.times.seconds(1 / replica.stages) * replica.stages + replica.draft_seconds
    return step / replica.tokens_per_step


def _firsts(queue: PromptQueue, found: FirstTokens, life: Life) -> Pairs:
    """Times to first token, with the spread of the number that decodes."""
    mean = queue.decoding
    around = _spread(mean, life.dispersion * mean)
    numbers = [(number - mean, 1 / _NUMBERS) for number in around]
    return found.spread(_slope(queue.quiet, around), _slope(queue.busy, around), numbers)


def _about_settling(queue: PromptQueue, found: FirstTokens) -> float:
    """`PromptQueue.settling` of a long life, by how many more wait than usual."""
    usually, begun = _mean_units(queue.states), _mean_units(found.begun)
    share = queue.share
    more = max(0.0, begun - usually) / queue.parts * share / queue.rate / (1 - share)
    full = queue.seconds(queue.budget) - queue.mean_step
    return min(more, _later_steps(queue.replica) * full)


def _life(queue: PromptQueue, turns: Turns, found: FirstTokens, settling: float) -> Life:
    """A request's decoding, with the prompts that stand behind it when it begins."""
    rate, share = queue.rate, queue.share
    steps = _later_steps(queue.replica)
    usual = queue.turn(queue.decoding)

    def mean_step(number: float) -> float:
        return queue.mean_step + (queue.turn(min(number, turns.most)) - usual) / (1 - share)

    # Steps are shorter where few decode: the mean step has fewer than the mean second.
    number = queue.decoding
    for _ in range(_STEP_ROUNDS):
        number = min(rate * steps * mean_step(number), turns.most)
    prompt = turns.unevenness(queue.decoding + 1) * share / rate
    lag = (1 + _mean_units(found.begun) / queue.budget) / steps
    around = clusters(rate, prompt, 0.0, lag)
    for _ in range(_CLUSTER_ROUNDS):
        beside = _slope(queue.turn, _spread(number, around.count * number)) * steps
        around = clusters(rate, prompt, beside, lag)
    # Each request sees its own steps, of which there are more where many decode.
    seen = number + around.count
    own = sum(map(mean_step, _spread(seen, around.count * seen))) / _NUMBERS * (1 - share)
    return Life(
        own=own * steps,
        settling=settling,
        behind=_behind(found.begun, queue.parts),
        prompt=share / rate,
        share=share,
        rate=rate,
        clusters=around,
    )


def _mean_units(states: States) -> float:
    return sum(units * chance for units, chance in enumerate(states))


def _behind(states: States, parts: int) -> Pairs:
    """How likely so many prompts are behind a request: parts of one, then whole ones."""
    sums: dict[int, tuple[float, float]] = {}
    for units, chance in enumerate(states):
        if not chance:
            continue
        prompts = units / parts
        key = round(prompts * _PARTS) if prompts < 1 else _PARTS - 1 + round(prompts)
        value, weight = sums.get(key := min(key, _MOST_BEHIND), (0.0, 0.0))
        sums[key] = value + chance * prompts, weight + chance
    return [(value / chance, chance) for value, chance in sums.values()]


def _slope(seconds: Callable[[float], float], numbers: list[float]) -> float:
    """How much longer a step is with one more, on average over so many."""
    mean = sum(numbers) / len(numbers)
    square = sum((number - mean) ** 2 for number in numbers)
    if max(numbers) - min(numbers) < 1:
        return max(0.0, seconds(mean + 1) - seconds(mean))
    return max(0.0, sum((number - mean) * seconds(number) for number in numbers) / square)


def _spread(mean: float, variance: float) -> list[float]:
    """Numbers of requests that stand for all, in equal shares."""
    shares = ((part + 0.5) / _NUMBERS for part in range(_NUMBERS))
    return [gamma(0.0, mean, variance, share) for share in shares]


def _admitted(firsts: Pairs, crowd: Crowd) -> Pairs:
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


def _thinned(pairs: Pairs) -> Pairs:
    """The means of shares of a distribution, the rarest the finest."""
    ordered = sorted(pairs)
    total = sum(weight for _, weight in ordered)
    found: Pairs = []
    edges = iter(_EDGES[1:])
    edge = next(edges) * total
    below = reached = weighted = 0.0
    for value, weight in ordered:
        below += weight
        reached += weight
        weighted += value * weight
        if below >= edge:
            found.append((weighted / reached, reached))
            reached = weighted = 0.0
            while below >= edge:
                edge = next(edges, math.inf) * total
    if reached:
        found.append((weighted / reached, reached))
    return found
