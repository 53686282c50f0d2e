"""What changes when the same launch moves to another release? The question and its answer."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.verdict import Verdict

Release = Annotated[str, Field(min_length=1, max_length=40)]


class DiffRequest(StartupRequest, frozen=True):
    """What changes for this launch between two releases of vLLM?"""

    from_version: Release = Field(description="Release that runs now, such as 0.18.0.")
    to_version: Release = Field(description="Release it shall move to, such as 0.33.0.")

    @model_validator(mode="after")
    def _names_two_releases(self) -> Self:
        if self.vllm_version is not None:
            raise ValueError("from_version and to_version name the releases, vllm_version none")
        return self


class EndedFlag(Report):
    """A flag of the launch that the new release does not take."""

    written: str = Field(description="As the launch writes it.")
    sentence: str = Field(description="Until or since when it exists, and what replaces it.")


class ChangedDefault(Report):
    """An argument that the launch leaves to vLLM, and that the releases set differently."""

    argument: str = Field(description="vLLM's name.")
    before: Any = Field(description="The old release's value.")
    after: Any = Field(description="The new release's value.")


class MovedTerm(Report):
    """A part of one GPU's memory that the releases size differently."""

    name: str = Field(description="What it is.")
    before_gib: float = Field(description="In the old release, per GPU.")
    after_gib: float = Field(description="In the new release, per GPU.")
    rule: str = Field(description="How it is computed, and how it was where that differs.")
    source: str = Field(description="Where the rule comes from.")


class Restoring(Report):
    """Settings of the new release that give back what the old one had, tried by the engine."""

    flags: str = Field(description="To add to the launch.")
    kv_cache_tokens: int = Field(description="'GPU KV cache size' with them.")
    start_probability: float | None = Field(default=None, description="As in verdict.")


class LaunchFigures(Report):
    """The launch in one release; memory per GPU."""

    vllm_version: str = Field(description="The release.")
    verdict: Verdict = Field(description="What becomes of the launch.")
    available_kv_cache_gib: float | None = Field(default=None, description="Per GPU.")
    kv_cache_tokens: int | None = Field(default=None, description="'GPU KV cache size'.")
    max_concurrency: float | None = Field(default=None, description="'Maximum concurrency'.")
    max_model_len: int | None = Field(default=None, description="Longest request, in tokens.")


class DiffReport(Report):
    """The launch in both releases, what differs, and what brings the old size back."""

    verdict: Verdict = Field(description="What becomes of the launch in the new release.")
    before: LaunchFigures = Field(description="In the old release.")
    after: LaunchFigures = Field(
        description="In the new release, with flags that ended written as it takes them."
    )
    ended: list[EndedFlag] = Field(
        default_factory=list[EndedFlag], description="Flags that the new release does not take."
    )
    defaults: list[ChangedDefault] = Field(
        default_factory=list[ChangedDefault], description="Defaults that differ."
    )
    moved: list[MovedTerm] = Field(
        default_factory=list[MovedTerm], description="Memory that differs, the largest first."
    )
    restore: list[Restoring] = Field(
        default_factory=list[Restoring],
        description="What gives back at least the old number of KV tokens, the least first.",
    )
    command: str | None = Field(
        default=None, description="The line for the new release; absent where it would not start."
    )
    warnings: list[str] = Field(default_factory=list[str], description="What to look out for.")
