"""How unevenly requests come and go in steps, though they arrive evenly in time.

A prompt lengthens the step that computes it, and a request that decodes lengthens each of
its own: longer steps let more requests arrive, which is a Hawkes process in steps. Over a
window as long as a life its counts, and the seconds those steps take, are spread more than
those of independent arrivals. With a self-exciting process the spectrum of arrivals is
m / |1 − φ(ω)|², of which the window keeps sinc².
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from functools import cache

# Frequencies, as half the phase over a window, at which the spectrum is added up.
_POINTS = 64
_STEP = math.pi / 8
_END = _POINTS * _STEP
# A process that excites itself more nearly never comes to an end.
_MOST_AGAIN = 0.95


@dataclass(frozen=True, slots=True)
class Clusters:
    """Counts of a window of steps and the seconds they take: variance over the mean count."""

    count: float
    seconds: float


@cache
def _window() -> tuple[tuple[float, float, complex], ...]:
    """Half the phase, the window's weight, and the mean phase over a window."""
    points = ((number + 0.5) * _STEP for number in range(_POINTS))
    return tuple(
        (x, (math.sin(x) / x) ** 2 * 2 / math.pi * _STEP, cmath.exp(-1j * x) * math.sin(x) / x)
        for x in points
    )


def clusters(rate: float, prompt: float, beside: float, lag: float) -> Clusters:
    """The clusters of requests that arrive at `rate` per second.

    Each takes `prompt` seconds of a step about `lag` windows after it arrives, and `beside`
    seconds of the window that follows.
    """
    both = rate * (prompt + beside)
    calmer = min(1.0, _MOST_AGAIN / both) if both else 1.0
    count = seconds = 0.0
    for x, weight, mean in _window():
        longer = prompt * cmath.exp(-2j * x * lag) + beside * mean
        found = weight / abs(1 - rate * calmer * longer) ** 2
        count += found
        seconds += found * abs(longer) ** 2
    # Beyond, prompts alone, at all phases.
    rest = 1 / math.pi / _END / (1 - (rate * calmer * prompt) ** 2)
    return Clusters(count + rest, seconds + rest * prompt**2)
