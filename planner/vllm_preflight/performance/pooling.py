"""How many texts a model that pools reads: steps full of prompts, and nothing after them.

A step takes as many whole texts as its token budget has room for; a text is answered when its
step ends. No measured run pools: the steps are those that generating models read prompts in.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.coefficients import Coefficients, load_coefficients
from vllm_preflight.performance.replica import Missing, facts_of, replica_of
from vllm_preflight.performance.steady import Replica
from vllm_preflight.performance.workload import Workload

_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Pooling:
    """What readers of texts see, all replicas together.

    Attributes:
        concurrency: texts in flight, the waiting ones included.
        texts_per_s: texts that are answered per second.
        latency_ms: milliseconds from a text to its answer.
        interval: the factors between which a measured time lies in 80 % of cases.
        saturated: whether more texts arrive than are answered.
    """

    prompt_tokens: int
    concurrency: float
    texts_per_s: float
    latency_ms: float
    interval: tuple[float, float]
    saturated: bool

    @property
    def latency_interval(self) -> tuple[float, float]:
        """Milliseconds of a text in 80 % of cases."""
        low, high = self.interval
        return self.latency_ms * low, self.latency_ms * high

    @property
    def texts_interval(self) -> tuple[float, float]:
        """Texts per second in 80 % of cases: as many fewer as each takes longer."""
        low, high = self.interval
        return self.texts_per_s / high, self.texts_per_s / low


def estimate_pooling(
    model: Model,
    startup: Startup,
    workload: Workload,
    *,
    interconnect: str = "unknown",
    node_size: int | None = None,
    coefficients: Coefficients | None = None,
) -> Pooling | Missing:
    """How many texts of the workload's prompts the launch of `startup` answers.

    Arguments are those of `estimate_performance`.
    """
    facts = facts_of(model, startup, workload, interconnect=interconnect, node_size=node_size)
    if isinstance(facts, Missing):
        return facts
    if facts.borrowed.foreign:
        return Missing(
            f"No speed is estimated: no measured run shows how fast {startup.gpu.name} pools."
        )
    coefficients = coefficients or load_coefficients()
    replicas = facts.launch.data_parallel_size
    replica = replica_of(facts, coefficients)
    each = workload.concurrency / replicas
    most = _most_per_s(replica)
    saturated = False
    if workload.request_rate is not None:
        rate = workload.request_rate / replicas
        saturated = rate >= most
        each = _in_flight(replica, min(rate, most))
    found = _per_second(replica, max(each, 1.0))
    # Less than one in flight is one that is there at times.
    texts = found * min(each, 1.0)
    latency = max(each, 1.0) / found
    spread = coefficients.spreads["ttft_ms"]
    low, high = spread.bounds(latency * 1e3, facts.machine.gpu_class)
    return Pooling(
        prompt_tokens=workload.prompt_tokens,
        concurrency=each * replicas,
        texts_per_s=texts * replicas,
        latency_ms=latency * 1e3,
        interval=(low / (latency * 1e3), high / (latency * 1e3)),
        saturated=saturated,
    )


def _full(replica: Replica) -> float:
    """Texts of a full step."""
    limits, prompt = replica.limits, replica.workload.computed_tokens
    return max(1.0, min(limits.token_budget / prompt, limits.sequences, limits.cached_requests))


def _step(replica: Replica, texts: float) -> float:
    """Seconds of a step of so many texts, and of the server that takes them in one by one."""
    tokens = min(texts * replica.workload.computed_tokens, replica.limits.token_budget)
    # A text longer than the budget takes several steps.
    parts = max(1.0, replica.workload.computed_tokens / replica.limits.token_budget)
    return replica.times.seconds(0, tokens) * parts * replica.stages + (
        texts * replica.server_seconds
    )


def _per_second(replica: Replica, flight: float) -> float:
    """Texts per second of one replica with so many in flight."""
    texts = min(flight, _full(replica))
    step = _step(replica, texts)
    return min(texts / step * replica.stages, flight / (step + replica.request_seconds))


def _most_per_s(replica: Replica) -> float:
    full = _full(replica)
    return full / _step(replica, full) * replica.stages


def _in_flight(replica: Replica, rate: float) -> float:
    """Texts in flight at a rate that is answered, by Little's law."""
    alone = _per_second(replica, 1.0)
    if rate <= alone:
        return rate / alone
    low, high = 1.0, 1.0
    while _per_second(replica, high) < rate and high < 2**20:
        low, high = high, high * 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _per_second(replica, middle) < rate:
            low = middle
        else:
            high = middle
    return high
