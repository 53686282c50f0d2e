"""How long a request decodes: its own steps, and the prompts computed in between.

A life is a delay busy period: it begins with the request's own steps and the prompts that
stand behind it, and each request that arrives while it lasts lengthens it twice: by its
prompt, and by decoding beside it for half of it on average. So does each that was there when
it began, whose number varies as much: those are the arrivals of the life before. With Poisson
arrivals the number in a life has a generalised Poisson (Borel–Tanner) distribution: few for a
short life, when the median is one without any; a gamma variable of the same mean and
variance says that only of a long one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from vllm_preflight.performance.arrivals.quantiles import gamma

# So many prompts in a life, or more, are as good as a gamma variable.
_MANY = 25.0
_LEAST_PROBABILITY = 1e-5
_MOST_COUNTED = 500
# What arrives lets no more than this arrive again, where a queue nearly never ends.
_MOST_AGAIN = 0.95


@dataclass(frozen=True, slots=True)
class Life:
    """A request's decoding, in seconds.

    `own` are its steps, `behind` the mean number of prompts that stand behind it when it
    begins, `prompt` what each takes and `uneven` the share of that which varies with their
    number, `share` the share of the time that all prompts take,
    `rate` how many arrive per second. `beside` is how much longer all its steps take with
    one more request that decodes beside it.
    """

    own: float
    behind: float
    prompt: float
    uneven: float
    share: float
    rate: float
    beside: float

    @property
    def number(self) -> float:
        """Mean number of prompts in it."""
        return (self.rate * self.own + self.behind) / (1 - self.share)

    @property
    def mean(self) -> float:
        """Mean seconds."""
        return self.own + self.prompt * self.number

    @property
    def variance(self) -> float:
        """Variance in seconds squared."""
        return self.each**2 * self.dispersion * self.number

    @property
    def dispersion(self) -> float:
        """Variance of the number in a life over its mean.

        Each lengthens the life it arrives in, which lets more arrive; those of the life
        before do the same from its beginning.
        """
        again = min(self.rate * (self.uneven * self.prompt + self.beside / 2), _MOST_AGAIN)
        return 1 / ((1 - again) ** 2 * (1 - self._carried**2))

    @property
    def each(self) -> float:
        """Seconds that go with each prompt in it: with more of them, more were there before."""
        arriving, before = self.uneven * self.prompt + self.beside / 2, self.beside / 2
        return math.sqrt(arriving**2 + before**2 + 2 * arriving * before * self._carried)

    @property
    def _carried(self) -> float:
        """How many more are in a life for each more in the life before."""
        again = min(self.rate * (self.uneven * self.prompt + self.beside / 2), _MOST_AGAIN)
        return min(self.rate * self.beside / 2 / (1 - again), _MOST_AGAIN)

    def quantiles(self, least: float) -> Callable[[float], float]:
        """The quantile function; no life is shorter than `least`."""
        if self.number >= _MANY:
            return lambda share: gamma(min(least, self.mean), self.mean, self.variance, share)
        none = self.mean - self.each * self.number
        # Several fall a little earlier or later; none, or one, is as long as it is.
        values = [
            (max(least, none + (count + part * (count > 1)) * self.each), chance / 3)
            for count, chance in enumerate(self._chances())
            for part in (-1 / 3, 0.0, 1 / 3)
        ]
        return lambda share: _quantile(values, share)

    def _chances(self) -> list[float]:
        """Probabilities of 0, 1, 2, … prompts."""
        again = 1 - 1 / math.sqrt(self.dispersion)
        first = self.number * (1 - again)
        if first <= 0:
            return [1.0]
        found: list[float] = []
        total = 0.0
        while total < 1 - _LEAST_PROBABILITY and len(found) < _MOST_COUNTED:
            count = len(found)
            reached = first + count * again
            logarithm = math.log(first) + (count - 1) * math.log(reached) - reached
            found.append(math.exp(logarithm - math.lgamma(count + 1)))
            total += found[-1]
        return found


def _quantile(values: list[tuple[float, float]], share: float) -> float:
    """The value that `share` of the weight lies below."""
    wanted = share * sum(weight for _, weight in values)
    reached = 0.0
    for value, weight in values:
        reached += weight
        if reached >= wanted:
            return value
    return values[-1][0]
