"""What compare_hardware answers, as the models behind tool and command."""

from __future__ import annotations

from pydantic import Field

from vllm_preflight.reports import Report


class OptionReport(Report):
    """One way to carry the workload."""

    gpu: str = Field(description="GPU, by its catalogue name.")
    gpus: int = Field(description="GPUs of all replicas.")
    layout: str = Field(description="TP × PP × DP sizes above 1; EP: expert parallel.")
    precision: str = Field(description="Weights; the checkpoint where it is another.")
    kv_cache_dtype: str = Field(description="auto or the dtype asked of vLLM.")
    requests: int = Field(description="Requests of the workload's length at once.")
    kv_cache_tokens: int = Field(description="KV cache of one replica, in tokens.")
    max_model_len: int = Field(description="Recommended max_model_len.")
    longest: int = Field(description="Longest max_model_len that starts.")
    settings: str | None = Field(default=None, description="Flags that make room, if any.")
    nodes: int | None = Field(default=None, description="Machines, when more than one.")
    output_tokens_per_s: float | None = Field(
        default=None, description="Estimated, all requests together, when known."
    )
    latency_ms: float | None = Field(
        default=None, description="Estimated, of a whole request, when known."
    )
    cost_per_hour: float | None = Field(default=None, description="When its price is given.")
    cost_per_million_tokens: float | None = Field(
        default=None,
        description="Of generated tokens at the workload's concurrency, when price and speed "
        "are known.",
    )
    risk: str | None = Field(default=None, description="What may still fail after start.")


class ExcludedReport(Report):
    """Why fewer GPUs, or any number, do not do."""

    gpu: str = Field(description="GPU, by its catalogue name.")
    gpus: int = Field(description="How many were tried at most.")
    reason: str = Field(description="What the engine, or a rule of vLLM's, says.")
    rule: str | None = Field(default=None, description="The rule's name, where one decides.")


class CompareReport(Report):
    """compare_hardware's answer."""

    summary: str = Field(description="The outcome in one or two sentences.")
    model: str = Field(description="The model as it was read.")
    optimise: str = Field(description="What decides.")
    best: OptionReport | None = Field(default=None, description="The best option, if any.")
    serve_command: str | None = Field(default=None, description="It, as vllm serve.")
    runner_up: str | None = Field(default=None, description="The next best, and why it lost.")
    options: list[OptionReport] = Field(description="The best option of each GPU, in order.")
    frontier: list[OptionReport] | None = Field(
        default=None, description="Options no other beats, cheapest first (detail=full)."
    )
    excluded: list[ExcludedReport] = Field(
        description="GPUs that do not do at all, then why fewer of a GPU do not."
    )
    has_more: list[str] = Field(
        default_factory=list[str], description="Lists cut by limit, with their length."
    )
    candidates: int = Field(description="Candidates judged.")
    warnings: list[str] = Field(default_factory=list[str], description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list[str], description="What to do next.")

    def concise(self) -> CompareReport:
        """The answer without the frontier, which lists further numbers of the same GPUs."""
        more = [text for text in self.has_more if not text.startswith("frontier")]
        return self.model_copy(update={"frontier": None, "has_more": more})
