"""The one verdict that every answer starts with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vllm_preflight.contract.answer import Report

Outcome = Literal[
    "carries", "queues", "starts", "borderline", "does_not_start", "refused", "not_modelled"
]
OomRisk = Literal["low", "medium", "high"]

# A launch is recommended, and said to start, from this probability on.
SURE = 0.95
# Below this it is said not to start.
HOPELESS = 0.05
_MEDIUM_RISK = 0.5


class Verdict(Report):
    """What becomes of a launch, in one word, one sentence and one reason."""

    outcome: Outcome = Field(
        description="carries: starts and holds every request at once; queues: starts, some wait; "
        "starts: no workload was given; borderline: may or may not start; refused: vLLM stops "
        "before loading; not_modelled: not understood here."
    )
    sentence: str = Field(description="The outcome in words.")
    start_probability: float | None = Field(
        default=None, description="Absent where not every cause is modelled."
    )
    because: str | None = Field(default=None, description="The figures that decide, of one GPU.")

    @property
    def good(self) -> bool:
        """Whether it may be started: carries, queues or starts."""
        return self.outcome in ("carries", "queues", "starts")


def oom_risk(start_probability: float | None) -> OomRisk:
    """The start probability as a word; what nobody can say is no low risk."""
    if start_probability is None or start_probability < _MEDIUM_RISK:
        return "high"
    return "low" if start_probability >= SURE else "medium"
