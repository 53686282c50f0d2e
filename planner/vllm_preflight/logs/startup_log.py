"""What a vLLM start-up log says, as frozen facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["started", "started_then_failed", "failed", "unknown"]
# The kinds a prediction knows, and two that only a log can show: memory that ran out at a
# point the log does not tell, and failures that have nothing to do with memory.
FailureKind = Literal[
    "free_memory_below_request",
    "weights_do_not_fit",
    "no_kv_cache_memory",
    "kv_cache_too_small",
    "mamba_blocks_too_few",
    "out_of_memory_after_sizing",
    "out_of_memory",
    "invalid_arguments",
    "unsupported",
    "other",
]


@dataclass(slots=True)
class RankMemory:
    """Memory of one worker in GiB, as printed; None where its line is missing.

    `non_kv_gib` is vLLM's own sum of weights, activation peak and non-torch memory.
    `consumed_gib` replaces weights and non-torch memory in the summary of 0.27 and later.
    """

    rank: str
    weights_gib: float | None = None
    activation_peak_gib: float | None = None
    non_torch_gib: float | None = None
    consumed_gib: float | None = None
    non_kv_gib: float | None = None
    cuda_graph_gib: float | None = None
    cuda_graph_estimated_gib: float | None = None
    available_kv_gib: float | None = None
    total_gib: float | None = None
    free_gib_at_start: float | None = None
    requested_gib: float | None = None


@dataclass(frozen=True, slots=True)
class LogFailure:
    """Why a start-up failed: the kind, vLLM's sentence (shortened, secrets removed), figures.

    Attributes:
        kind: what failed.
        message: the decisive line; empty when the log has none.
        phase: where it happened, when stack frames or neighbours tell: "loading",
            "profiling", "after sizing", "serving", or "".
        figures: numbers of the sentence by name (`kv_needed_gib`, `available_kv_gib`,
            `max_model_len`, `estimated_max_model_len`, `free_gib`, `total_gib`,
            `requested_gib`, `utilization`, `mamba_blocks`, `max_num_seqs`,
            `kv_cache_tokens`, `tried_gib`).
        certain: false where the log lacks the stack that would prove the kind, and the
            likeliest is given.
        cause: which row of the catalogue of causes it is, "" for none.
    """

    kind: FailureKind
    message: str
    phase: str = ""
    figures: Mapping[str, float] = field(default_factory=dict[str, float])
    certain: bool = True
    cause: str = ""


@dataclass(frozen=True)
class StartupLog:
    """One start-up as its log shows it. Nothing here is inferred from anything but the text.

    Attributes:
        outcome: started (the server or engine said so), started_then_failed (it served and
            died later), failed (a fatal line is there), or unknown: the log shows neither, so
            nothing is claimed.
        evidence: the kind of line that decided the outcome.
        engine_ready: the engine finished its warm-up, whatever came later.
        version: vLLM's version as printed; `engine` is "V0" or "V1".
        arguments: the arguments given, by vLLM's names, secrets removed.
        config: the engine's resolved settings, as printed in its configuration line.
        ranks: memory by worker, in order of appearance.
        kv_cache_tokens, num_gpu_blocks: the smallest printed; `max_concurrency` is for
            requests of `max_concurrency_at` tokens.
        cuda_graph_charged: whether the estimate was taken off the KV memory, when printed.
        given_share: gpu_memory_utilization as the line on graphs repeats it; `graph_share`
            what of it the graphs' estimate is.
        attempts: how many start-ups the text holds; the last with an outcome is told.
        complete: the text shows how the start-up ended.
        clipped: the text was too long and its middle was left out.
        symptoms: rows of the catalogue of causes that a server survives, in order.
        consequence: the row of a line that only says that something above it went wrong.
    """

    outcome: Outcome
    evidence: str = ""
    engine_ready: bool = False
    version: str | None = None
    engine: Literal["V0", "V1"] | None = None
    model: str | None = None
    architecture: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    config: Mapping[str, str] = field(default_factory=dict[str, str])
    ranks: tuple[RankMemory, ...] = ()
    kv_cache_tokens: int | None = None
    num_gpu_blocks: int | None = None
    max_concurrency: float | None = None
    max_concurrency_at: int | None = None
    max_model_len: int | None = None
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    block_size: int | None = None
    attention_backend: str | None = None
    cuda_graph_charged: bool | None = None
    given_share: float | None = None
    graph_share: float | None = None
    gpu_name: str | None = None
    gpu_count: int | None = None
    failure: LogFailure | None = None
    attempts: int = 1
    clipped: bool = False
    symptoms: tuple[str, ...] = ()
    consequence: str = ""

    @property
    def complete(self) -> bool:
        """Whether the log shows how the start-up ended."""
        return self.outcome != "unknown"

    @property
    def weights_gib(self) -> float | None:
        """GiB of weights on the fullest rank."""
        return _largest(rank.weights_gib for rank in self.ranks)

    @property
    def activation_peak_gib(self) -> float | None:
        """GiB of activation peak on the rank with the highest."""
        return _largest(rank.activation_peak_gib for rank in self.ranks)

    @property
    def non_torch_gib(self) -> float | None:
        """GiB of non-torch memory on the rank with most."""
        return _largest(rank.non_torch_gib for rank in self.ranks)

    @property
    def cuda_graph_gib(self) -> float | None:
        """GiB that captured graphs took on the rank with most."""
        return _largest(rank.cuda_graph_gib for rank in self.ranks)

    @property
    def cuda_graph_estimated_gib(self) -> float | None:
        """GiB estimated for graphs before sizing, on the rank with most."""
        return _largest(rank.cuda_graph_estimated_gib for rank in self.ranks)

    @property
    def available_kv_gib(self) -> float | None:
        """GiB for the KV cache on the emptiest rank, which sizes the cache of all."""
        return min(
            (r.available_kv_gib for r in self.ranks if r.available_kv_gib is not None), default=None
        )

    @property
    def advised_total_gib(self) -> float | None:
        """GiB of the GPU by the graphs' estimate over its share, to some per cent."""
        estimate, share = self.cuda_graph_estimated_gib, self.graph_share
        return None if not estimate or not share or share <= 0 else estimate / share

    @property
    def total_gib(self) -> float | None:
        """GiB of memory CUDA showed, of the smallest GPU."""
        return min((r.total_gib for r in self.ranks if r.total_gib is not None), default=None)

    @property
    def free_gib_at_start(self) -> float | None:
        """GiB free when the worker started, of the fullest GPU."""
        return min(
            (r.free_gib_at_start for r in self.ranks if r.free_gib_at_start is not None),
            default=None,
        )


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
