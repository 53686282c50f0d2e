"""What is noted while a launch is resolved: where values come from, doubts, refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from vllm_preflight.launch.defaults import default_for
from vllm_preflight.launch.launch import LaunchProblem, Version

ValueT = TypeVar("ValueT")

GIVEN = "given"


@dataclass
class Notes:
    """Collects, argument by argument, what the finished `Launch` reports about itself."""

    version: Version
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    defaulted: set[str] = field(default_factory=set[str])
    problems: list[LaunchProblem] = field(default_factory=list[LaunchProblem])
    warnings: list[str] = field(default_factory=list[str])

    def given(self, name: str) -> None:
        """The user gave this argument."""
        self.reasons[name] = GIVEN

    def default(self, name: str, reason: str) -> None:
        """The user did not give this argument; `reason` is what decides its value."""
        self.reasons[name] = reason
        self.defaulted.add(name)

    def choose(self, name: str, given: ValueT | None, default: ValueT, reason: str) -> ValueT:
        """The user's value where there is one, else the default, with its reason noted."""
        if given is None:
            self.default(name, reason)
            return default
        self.given(name)
        return given

    def versioned(self, name: str) -> Any:
        """The version's default of a table entry."""
        return default_for(name, self.version).value

    def refuse(self, message: str, *remedies: str) -> None:
        """VLLM refuses to start: its reason, and arguments that it would accept."""
        self.problems.append(LaunchProblem(message, remedies))

    def warn(self, message: str) -> None:
        """Something a reader of the answer should know."""
        if message not in self.warnings:
            self.warnings.append(message)
