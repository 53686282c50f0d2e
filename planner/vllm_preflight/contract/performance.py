"""How fast it serves, as every answer shows it."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from vllm_preflight.contract.answer import Report, TermReport


class SpeedPoint(Report):
    """Speed with so many requests in flight."""

    concurrency: float = Field(description="Requests in flight.")
    ttft_ms: float = Field(description="Mean time to the first token.")
    tpot_ms: float = Field(description="Mean time between later tokens.")
    output_tokens_per_s: float = Field(description="Generated tokens of all requests.")
    latency_ms: float = Field(description="A whole request.")


class LatencyTarget(Report):
    """How target_latency_ms is met."""

    latency_ms: float = Field(description="As asked.")
    reached: bool = Field(description="At the workload's concurrency.")
    max_concurrency: int | None = Field(
        default=None, description="Most requests in flight within it; absent: not even one."
    )
    fastest_ms: float = Field(description="A request that is alone.")


class PerfEstimate(Report):
    """How fast it serves the workload, estimated; times are means."""

    prompt_tokens: int = Field(description="Prompt tokens of each request it is for.")
    gen_tokens: int = Field(description="Generated tokens of each.")
    concurrency: float = Field(description="Requests in flight.")
    running: float = Field(description="Requests that run at once; the others wait.")
    ttft_ms: float = Field(description="Time to first token, waiting included.")
    tpot_ms: float = Field(description="Time per output token after the first.")
    itl_ms: float = Field(description="Time between pieces of a stream.")
    latency_ms: float = Field(description="A whole request.")
    output_tokens_per_s: float = Field(description="Generated tokens of all requests.")
    total_tokens_per_s: float = Field(description="The same with prompts.")
    requests_per_s: float = Field(description="Requests finished.")
    output_tokens_per_s_per_request: float = Field(description="What one reader sees.")
    interval: dict[str, tuple[float, float]] = Field(
        description="80 % intervals by field, from the residuals of runs the fit has not seen."
    )
    target: LatencyTarget | None = Field(default=None, description="How the target is met.")
    curve: list[SpeedPoint] | None = Field(
        default=None, description="Speed over concurrency (detail=full)."
    )
    terms: list[TermReport] | None = Field(default=None, description="Numbers (detail=full).")
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")

    def concise(self) -> Self:
        """The answer without the terms and the curve."""
        return super().concise().model_copy(update={"curve": None})
