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
    reached: bool = Field(description="At the workload's concurrency or rate.")
    max_concurrency: int | None = Field(
        default=None, description="Most requests in flight within it; absent: not even one."
    )
    fastest_ms: float = Field(description="A request that is alone.")


class Goodput(Report):
    """What is served within all wanted times together."""

    percentile: int | None = Field(
        default=None, description="Of requests that must be within; absent: the mean."
    )
    reached: bool = Field(description="At the workload's concurrency or rate.")
    missed: list[str] = Field(default_factory=list, description="Targets that are not reached.")
    max_concurrency: int | None = Field(
        default=None, description="Most requests in flight within them; absent: not even one."
    )
    max_requests_per_s: float | None = Field(default=None, description="What is then served.")


class Percentiles(Report):
    """What single requests see, in milliseconds."""

    p50: float = Field(description="The median.")
    p95: float = Field(description="Of 20 requests one sees more.")
    p99: float = Field(description="Of 100 requests one sees more.")


class Tails(Report):
    """Percentiles of what requests see."""

    ttft_ms: Percentiles = Field(description="Time to first token.")
    tpot_ms: Percentiles = Field(description="Mean time between later tokens of a request.")
    latency_ms: Percentiles = Field(description="A whole request.")


class Benchmark(Report):
    """What a benchmark harness prints for a run that starts all at once and ends."""

    waves: float = Field(description="Requests sent / requests in flight.")
    ttft_ms: float = Field(description="Mean time to first token, the first wave's too.")
    tpot_ms: float = Field(description="Mean time between later tokens.")
    output_tokens_per_s: float = Field(description="Generated tokens of all requests.")


class Simulation(Report):
    """What simulated requests saw of one replica."""

    seed: int = Field(description="The same seed gives the same figures.")
    requests: int = Field(description="Requests that finished.")
    tails: Tails = Field(description="What they saw.")
    ttft_ms: float = Field(description="Mean time to first token.")
    tpot_ms: float = Field(description="Mean time between later tokens.")
    requests_per_s: float = Field(description="Requests finished per second.")
    preemptions: int = Field(description="Times a request lost its cache and was computed again.")


class LoadPoint(Report):
    """What a rate of arrivals comes to, on all GPUs of the deployment."""

    requests_per_s: float = Field(description="Requests that arrive.")
    output_tokens_per_s: float = Field(description="Generated tokens.")
    ttft_p95_ms: float = Field(description="Time to first token of one request in 20.")
    tpot_p95_ms: float = Field(description="Time per later token of one request in 20.")
    latency_p95_ms: float = Field(description="A whole request of one in 20.")
    gpu_hours_per_million_tokens: float = Field(
        description="GPU hours, idle ones too; times an hour's price: the cost."
    )


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
    target: LatencyTarget | None = Field(
        default=None, description="How target_latency_ms is met, together with other targets."
    )
    goodput: Goodput | None = Field(
        default=None, description="With targets of tokens or percentiles: what is served in time."
    )
    tails: Tails | None = Field(
        default=None, description="At request_rate: what single requests see."
    )
    benchmark: Benchmark | None = Field(default=None, description="What the run asked for prints.")
    simulation: Simulation | None = Field(default=None, description="As simulated.")
    load: list[LoadPoint] | None = Field(
        default=None, description="With request_rate: over rates of arrival (detail=full)."
    )
    curve: list[SpeedPoint] | None = Field(
        default=None, description="Speed over concurrency (detail=full)."
    )
    terms: list[TermReport] | None = Field(default=None, description="Numbers (detail=full).")
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")

    def concise(self) -> Self:
        """The answer without the terms and the curves."""
        return super().concise().model_copy(update={"curve": None, "load": None})


class PoolingEstimate(Report):
    """How many texts a model that pools reads, estimated from prompts of generating models."""

    prompt_tokens: int = Field(description="Tokens of each text it is for.")
    concurrency: float = Field(description="Texts in flight.")
    texts_per_s: float = Field(description="Texts answered, on all GPUs of the deployment.")
    prompt_tokens_per_s: float = Field(description="Their tokens.")
    latency_ms: float = Field(description="From a text to its answer, waiting included.")
    interval: dict[str, tuple[float, float]] = Field(
        description="80 % intervals by field, of prompts that generating models read."
    )
    warnings: list[str] = Field(default_factory=list, description="What to look out for.")
