"""What does this running server hold, beside what was to be expected? The answer."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.check import StartupReport
from vllm_preflight.contract.explain import TermComparison


class RunningReport(Report):
    """A running vLLM server beside its prediction."""

    url: str = Field(description="The server that was asked.")
    explanation: str = Field(description="What it holds and carries, and what to change.")
    vllm_version: str | None = Field(default=None, description="As /version says.")
    model: str | None = Field(default=None, description="The model it serves.")
    max_model_len: int | None = Field(default=None, description="As /v1/models says.")
    engines: int = Field(default=1, description="Data-parallel engines behind the address.")
    cache: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="vLLM's cache configuration."
    )
    requests_running: int | None = Field(default=None, description="Requests in a batch now.")
    requests_waiting: int | None = Field(default=None, description="Requests in the queue now.")
    preemptions: int | None = Field(default=None, description="Preemptions since the start.")
    kv_cache_usage: float | None = Field(
        default=None, description="Share of the cache in use, of the fullest engine."
    )
    prefix_hit_rate: float | None = Field(
        default=None, description="Share of prompt tokens found cached since the start."
    )
    gpu: str | None = Field(default=None, description="The GPU compared with.")
    comparison: list[TermComparison] = Field(
        default_factory=list[TermComparison], description="The server's figures and predicted ones."
    )
    prediction: StartupReport | None = Field(default=None, description="The whole prediction.")
    warnings: list[str] = Field(default_factory=list[str], description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list[str], description="What to do next.")
