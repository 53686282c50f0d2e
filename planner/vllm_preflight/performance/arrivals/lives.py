"""How long a request decodes: its own steps, and the prompts computed in between.

A life is a delay busy period: it begins with the request's own steps and the prompts that
stand behind it, and each request that arrives while it lasts lengthens it by its prompt, and
by decoding beside it. With Poisson arrivals the number in a life has a generalised Poisson
(Borel–Tanner) distribution: few for a short life, when the median is one without any; a gamma
variable of the same mean and variance says that only of a long one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from vllm_preflight.performance.arrivals.clusters import Clusters
from vllm_preflight.performance.arrivals.quantiles import Pairs, gamma, quantile_function

# So many prompts in a life, or more, are as good as a gamma variable.
_MANY = 25.0
_LEAST_PROBABILITY = 1e-4
_MOST_COUNTED = 500
_SCALINGS, _SCALED = 8, 0.005
# Parts of a prompt by which one of several is computed earlier or later.
_EARLIER_OR_LATER = (-1 / 3, 0.0, 1 / 3)


@dataclass(frozen=True, slots=True)
class Life:
    """A request's decoding, in seconds.

    `own` are its steps, `settling` the seconds by which what it finds when it begins makes
    them longer than the mean, `behind` how likely so many prompts stand behind it then.
    `prompt` is what each takes, `share` the share of the time that all prompts take, `rate`
    how many arrive per second, `clusters` how unevenly they come.
    """

    own: float
    settling: float
    behind: Pairs
    prompt: float
    share: float
    rate: float
    clusters: Clusters

    @property
    def number(self) -> float:
        """Mean number of prompts in it."""
        if not self.prompt:
            return self.rate * self.own
        return max(0.0, self.rate * self.own / (1 - self.share) + self.settling / self.prompt)

    @property
    def mean(self) -> float:
        """Mean seconds."""
        return self.own + self.prompt * self.number

    @property
    def variance(self) -> float:
        """Variance in seconds squared."""
        return self.clusters.seconds * self.number

    @property
    def dispersion(self) -> float:
        """Variance of the number in a life over its mean."""
        return max(1.0, self.clusters.count)

    @property
    def each(self) -> float:
        """Seconds that go with each prompt in it: with more of them, more decode beside."""
        return math.sqrt(self.clusters.seconds / self.clusters.count)

    def quantiles(self, least: float, most: float) -> Callable[[float], float]:
        """The quantile function; no life is shorter than `least` or longer than `most`."""
        if self.number >= _MANY:
            low, mean, variance = min(least, self.mean), self.mean, self.variance
            return lambda share: min(most, gamma(low, mean, variance, share))
        return quantile_function(self._scaled(self._values(least), least, most))

    def _scaled(self, values: Pairs, least: float, most: float) -> Pairs:
        """The values within the bounds, such that their mean is that of the life.

        Of long prompts that stand behind a request some are not computed before it ends.
        """
        wanted, total = self.mean - least, sum(weight for _, weight in values)
        scale = 1.0
        for _ in range(_SCALINGS):
            bounded = (min((value - least) * scale, most - least) * w for value, w in values)
            mean = sum(bounded) / total
            if wanted <= 0 or mean <= 0 or abs(mean - wanted) < _SCALED * wanted:
                break
            scale *= wanted / mean
        return [(least + min((value - least) * scale, most - least), w) for value, w in values]

    def _values(self, least: float) -> Pairs:
        """Seconds of lives with 0, 1, 2, … prompts beside those behind, and how likely."""
        none, each = self.mean - self.each * self.number, self.each
        usual = sum(behind * chance for behind, chance in self.behind)
        values: Pairs = []
        for behind, chance in self.behind:
            more = (behind - usual) / (1 - self.share)
            for count, likely in enumerate(self._chances(max(0.0, self.number + more - behind))):
                # Several fall a little earlier or later; none, or one, is as long as it is.
                parts = _EARLIER_OR_LATER if behind + count > 1 else (0.0,)
                values += [
                    (
                        max(least, none + (behind + count + part) * each),
                        chance * likely / len(parts),
                    )
                    for part in parts
                ]
        return values

    def _chances(self, number: float) -> list[float]:
        """Probabilities of 0, 1, 2, … prompts, where there are `number` on average."""
        again = 1 - 1 / math.sqrt(self.dispersion)
        first = number * (1 - again)
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
