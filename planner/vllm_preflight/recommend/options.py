"""What a search weighs and keeps: candidates, options that do, and attempts that do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.recommend.candidates import Batch, Layout, Space, Workload
from vllm_preflight.recommend.variants import Precision

_DEFAULTS = {name: info.default for name, info in StartupRequest.model_fields.items()}


class Choice(NamedTuple):
    """One candidate: what would be started, on which GPUs. None takes vLLM's default."""

    gpu: Gpu
    precision: Precision
    layout: Layout
    kv_cache_dtype: str
    max_model_len: int
    gpu_memory_utilization: float | None
    batch: Batch

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.layout.replica_gpus * self.layout.replicas

    @property
    def altered(self) -> int:
        """How many precisions are lower than asked for: weights, KV cache."""
        return self.precision.altered + (self.kv_cache_dtype != "auto")

    @property
    def settings(self) -> int:
        """How much vLLM's defaults are changed to make room; memory's share weighs most."""
        batch = sum(limit is not None for limit in self.batch)
        return 3 * (self.gpu_memory_utilization is not None) + batch


class Option(NamedTuple):
    """A candidate that carries the workload.

    `requests` of the workload's context fit at once, over all replicas; `longest` is the
    longest max_model_len that starts; `kv_tokens` is the KV cache of one replica.
    """

    choice: Choice
    requests: int
    longest: int
    kv_tokens: int


class Attempt(NamedTuple):
    """The best that one number of GPUs did without carrying the workload, and why not.

    `held` requests fit at once (0 where it does not start). `rule` names the constraint
    that excludes it, if one does. With `scales`, more replicas hold as many each.
    """

    choice: Choice
    held: int
    closeness: int
    reason: str
    rule: str | None = None
    scales: bool = True


@dataclass
class Found:
    """What a search has found so far, in the order of enumeration.

    Of the `candidates`, `judged` went through the start-up checks one by one; a rule, the
    weights or a milder candidate decides the others.
    """

    workload: Workload
    candidates: int = 0
    judged: int = 0
    options: list[Option] = field(default_factory=list[Option])
    attempts: dict[tuple[str, int], Attempt] = field(default_factory=dict[tuple[str, int], Attempt])
    notes: list[str] = field(default_factory=list[str])
    # By GPU: the fewest that leave nothing to gain but speed.
    ample: dict[str, int] = field(default_factory=dict[str, int])

    def attempt(self, attempt: Attempt) -> None:
        """Keep `attempt` where it is the best of its GPU and number of GPUs."""
        key = (attempt.choice.gpu.name, attempt.choice.gpus)
        kept = self.attempts.get(key)
        if kept is None or (attempt.held, attempt.closeness) > (kept.held, kept.closeness):
            self.attempts[key] = attempt


def startup_request_of(choice: Choice, pinned: Space | None = None) -> StartupRequest:
    """The choice as predict_startup would be asked for it."""
    layout = choice.layout
    fields: dict[str, Any] = {
        **_DEFAULTS,
        **(pinned.pinned if pinned else {}),
        "model": choice.precision.model.id,
        "gpu": choice.gpu.name,
        "quantization": choice.precision.quantization,
        "kv_cache_dtype": choice.kv_cache_dtype,
        "max_model_len": choice.max_model_len,
        "gpu_memory_utilization": choice.gpu_memory_utilization,
        "max_num_seqs": choice.batch.max_num_seqs,
        "max_num_batched_tokens": choice.batch.max_num_batched_tokens,
        "tensor_parallel_size": layout.tensor,
        "pipeline_parallel_size": layout.pipeline,
        "data_parallel_size": layout.replicas,
        "enable_expert_parallel": layout.expert_parallel or None,
    }
    return StartupRequest.model_construct(**fields)
