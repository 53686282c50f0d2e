"""What is worth more of two ways to serve, where times are wanted: the goodput.

Goodput is what is served with every wanted time kept: requests per second, by the mean or
by the percentile that was asked for. A layout that serves more while it misses the times
is worth nothing there.
"""

from __future__ import annotations

from vllm_preflight.performance.estimate import Performance


def goodput(speed: Performance) -> float | None:
    """Requests per second within the workload's wanted times; None where it has none.

    0 where even a request that is alone misses them.
    """
    target = speed.target
    if target is None:
        return None
    return target.max_requests_per_s or 0.0
