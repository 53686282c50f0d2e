"""What becomes of a simulated launch: the outcome that every answer shows."""

from __future__ import annotations

from vllm_preflight.contract.verdict import HOPELESS, SURE, Outcome
from vllm_preflight.memory.startup import Startup

# Failures that no amount of memory changes: vLLM stops before it loads anything.
_REFUSALS = frozenset({"invalid_arguments", "unsupported"})


def start_outcome(startup: Startup) -> Outcome:
    """Whether it starts, may start, does not or is refused; nothing about a workload."""
    failure = startup.failure
    if failure is not None and failure.kind in _REFUSALS:
        return "refused"
    if failure is not None and failure.kind == "not_modelled":
        return "not_modelled"
    if failure is None and startup.start_probability >= SURE:
        return "starts"
    return "does_not_start" if startup.start_probability < HOPELESS else "borderline"


def outcome_of(startup: Startup, held: int, concurrency: int) -> Outcome:
    """The outcome for a workload of which `held` of `concurrency` requests run at once."""
    outcome = start_outcome(startup)
    if outcome != "starts":
        return outcome
    if held >= concurrency:
        return "carries"
    # A cache that holds no request of that length serves nobody.
    return "queues" if held >= 1 else "does_not_start"
