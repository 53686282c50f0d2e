"""One launch with some arguments varied: the question and a row for each."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.request import JsonText
from vllm_preflight.contract.verdict import Outcome


class VariedRequest(StartupRequest, frozen=True):
    """What will vLLM do with exactly these arguments, and with some of them varied?"""

    vary: JsonText | None = Field(
        default=None,
        description='At most 32 rows: {"vllm_version": ["0.19.0", "0.33.0"]}.',
    )


class VariedLaunch(Report):
    """The launch with one set of values; memory per GPU."""

    values: dict[str, Any] = Field(description="What was varied, and to what.")
    outcome: Outcome = Field(description="As in verdict.")
    start_probability: float | None = Field(default=None, description="As in verdict.")
    because: str | None = Field(default=None, description="Why it does not start.")
    available_kv_cache_gib: float | None = Field(default=None, description="Per GPU.")
    kv_cache_tokens: int | None = Field(default=None, description="'GPU KV cache size'.")
    max_concurrency: float | None = Field(default=None, description="'Maximum concurrency'.")
    max_model_len: int | None = Field(default=None, description="Longest request, in tokens.")
    moved: list[str] = Field(
        default_factory=list[str],
        description="Memory that differs most from the first row, with the rule behind it.",
    )


class ManifestRow(Report):
    """One server of a manifest."""

    name: str = Field(description="Object, role or container.")
    line: int = Field(description="The line that decides, or where it begins.")
    outcome: Outcome | None = Field(default=None, description="As in verdict.")
    told: str = Field(description="The verdict, or what keeps it from one.")
    findings: list[str] = Field(default_factory=list[str], description="What to look at.")


class VariedResponse(StartupResponse):
    """predict_startup's answer, with a row for each set of values or server of a manifest."""

    launches: list[VariedLaunch] | None = Field(
        default=None, description="One row a launch, where vary is given."
    )
    servers: list[ManifestRow] | None = Field(
        default=None, description="One row a server, where manifest is given; the worst is above."
    )
