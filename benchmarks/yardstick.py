"""How slow this machine is at the moment, so that limits of CPU time judge the code alone."""

from __future__ import annotations

import time

# CPU seconds of `_work` on the machine whose figures the documentation shows, idle.
_NOMINAL_S = 0.0085
_RUNS = 5


def slowness() -> float:
    """By how much a fixed piece of work takes longer than on the reference machine; at least 1.

    A processor shared with other work gives each process slower CPU seconds: caches, clock and
    memory are shared too. Limits are multiplied by it.
    """
    return max(1.0, min(_work() for _ in range(_RUNS)) / _NOMINAL_S)


def _work() -> float:
    began = time.process_time()
    sums: dict[int, int] = {}
    for number in range(100_000):
        sums[number % 100] = sums.get(number % 100, 0) + number
    return time.process_time() - began
