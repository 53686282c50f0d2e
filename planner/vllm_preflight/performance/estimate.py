"""An estimate of speed: one state, its bounds, a curve over concurrency, and the target."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.arrivals.simulation import Simulated, simulate
from vllm_preflight.performance.arrivals.tails import UNPREEMPTED, Tails, tails
from vllm_preflight.performance.coefficients import (
    METRICS,
    Coefficients,
    Metric,
    load_coefficients,
)
from vllm_preflight.performance.harness import Printed, printed
from vllm_preflight.performance.replica import (
    Facts,
    Missing,
    acceptance_of,
    facts_of,
    replica_of,
)
from vllm_preflight.performance.steady import Replica, State
from vllm_preflight.performance.step.times import StepParts
from vllm_preflight.performance.targets import Target, target_of
from vllm_preflight.performance.workload import Workload

# Concurrencies of the curve: powers of two up to this many points past the limit.
_BEYOND = 1
_LINKS = {"pcie": "PCIe alone", "network": "a network"}

# Requests of a simulation, and shares of the most that is served at which tails are shown.
SIMULATED_REQUESTS = 2000
# Harnesses draw lengths from 80 to 100 %: equal ones would keep the requests that started
# together in step for good, as no real load does.
_SIMULATED_SPREAD = 0.1
BEYOND_ALL = 2.0**20
# How much wider the interval is, as a factor on its logarithm, where no run of a class shows it.
_UNMEASURED_WIDTH = 2.0
_OFFERED = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9)

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Offered:
    """A load as it is offered: requests and generated tokens per second, over all replicas.

    `gpu_hours` are what a million generated tokens take of the GPUs, idle or not.
    """

    requests_per_s: float
    output_tokens_per_s: float
    seen: Tails
    gpu_hours: float


@dataclass(frozen=True, slots=True)
class Speed:
    """What a state means for users: milliseconds and tokens per second, all replicas.

    `output_tokens_per_s` counts generated tokens of all requests, `total_tokens_per_s`
    prompts too; `output_tokens_per_s_per_request` is what one reader sees after the first
    token. `itl_ms` is the time between the pieces of a stream: as `tpot_ms`, but for the
    several tokens a step of accepted drafts yields. `latency_ms` is a whole request.
    """

    concurrency: float
    running: float
    ttft_ms: float
    tpot_ms: float
    itl_ms: float
    latency_ms: float
    requests_per_s: float
    output_tokens_per_s: float
    total_tokens_per_s: float
    output_tokens_per_s_per_request: float
    saturated: bool


@dataclass(frozen=True)
class Performance:
    """How fast a launch serves a workload.

    Attributes:
        facts: what the estimate rests on, coefficients apart.
        workload: what is served.
        speed: at its concurrency or rate.
        state: the same of one replica.
        tails: what single requests see, where a rate is given that is served.
        replica: the model behind it, for other concurrencies.
        replicas: data-parallel replicas.
        warnings: what to look out for.
    """

    facts: Facts
    workload: Workload
    speed: Speed
    state: State
    tails: Tails | None
    replica: Replica
    replicas: int
    coefficients: Coefficients
    warnings: tuple[str, ...]

    def at(self, concurrency: float) -> Speed:
        """The speed with `concurrency` requests in flight over all replicas."""
        state = self.replica.at_concurrency(concurrency / self.replicas)
        return _speed(state, self.replica, self.replicas)

    @property
    def decode(self) -> StepParts:
        """What takes the time of a step that only decodes, on one pipeline stage."""
        return self.replica.decode_parts(max(self.speed.running / self.replicas, 1.0))

    @property
    def acceptance(self) -> float | None:
        """The acceptance of drafted tokens that is reckoned with, None without speculation."""
        speculation = self.facts.launch.speculation
        return acceptance_of(speculation, self.workload) if speculation else None

    @property
    def most_running(self) -> float:
        """Requests that run at once over all replicas, however many wait."""
        return self.replica.most_running * self.replicas

    def curve(self, points: int | None = None) -> tuple[Speed, ...]:
        """The speed over concurrency, from 1 to beyond what runs at once.

        Powers of two without `points`, else that many, evenly spread on a log scale.
        """
        end = max(2.0, self.most_running, self.speed.concurrency)
        if points is None:
            powers = range(math.ceil(math.log2(end)) + _BEYOND)
            return tuple(self.at(float(2**power)) for power in powers)
        step = math.log(end) / max(points - 1, 1)
        return tuple(self.at(math.exp(number * step)) for number in range(points))

    @cached_property
    def target(self) -> Target | None:
        """How the workload's wanted times are met; None where it has none."""
        return target_of(self.replica, self.workload, self.replicas, self.state)

    @cached_property
    def printed(self) -> Printed | None:
        """What a benchmark of the workload's waves prints; None where it is none."""
        if self.workload.waves is None:
            return None
        return printed(self.replica, self.state, self.workload.waves)

    def simulated(self, seed: int, requests: int = SIMULATED_REQUESTS) -> Simulated:
        """What `requests` simulated requests of one replica see.

        They arrive at the workload's rate, or are its concurrency's in flight.
        """
        rate, load = self.workload.request_rate, self.workload
        if rate is not None:
            return simulate(self.replica, requests=requests, seed=seed, rate=rate / self.replicas)
        flight = max(1, round(load.concurrency / self.replicas))
        sent = requests if load.waves is None else max(1, round(flight * load.waves))
        return simulate(
            self.replica,
            requests=sent,
            seed=seed,
            concurrency=flight,
            spread=_SIMULATED_SPREAD if flight > 1 else 0.0,
            warm_up=None if load.waves is None else 0.0,
        )

    def load(self) -> tuple[Offered, ...]:
        """What requests see, and what a token takes, over the rate at which they arrive.

        None sees less at a higher rate: what formulas fall short by from one rate to the
        next is left out.
        """
        found: list[Offered] = []
        for rate in self.offered_rates:
            seen = tails(self.replica, rate / self.replicas)
            if seen is not None:
                tokens = rate * self.workload.gen_tokens
                seen = seen.at_least(found[-1].seen) if found else seen
                found.append(Offered(rate, tokens, seen, self.gpu_hours(rate)))
        return tuple(found)

    @property
    def offered_rates(self) -> tuple[float, ...]:
        """Requests per second at which a load is shown: shares of the most that is served.

        Where the KV cache bounds it, those at which requests are hardly ever preempted.
        """
        most = UNPREEMPTED if self.replica.cache_bound else 1.0
        return tuple(self.most_requests_per_s * share for share in _OFFERED if share <= most)

    @property
    def most_requests_per_s(self) -> float:
        """Requests per second that are served where more than enough arrive."""
        return self.replica.at_concurrency(BEYOND_ALL).requests_per_s * self.replicas

    def gpu_hours(self, rate: float) -> float:
        """GPU hours that a million generated tokens take where `rate` requests arrive a second.

        All GPUs of the deployment count, idle or not.
        """
        gpus = self.facts.launch.world_size * self.replicas
        return gpus / (rate * self.workload.gen_tokens * 3600) * 1e6

    def interval(self, metric: Metric) -> Bounds:
        """Between which two values the measured figure lies in 80 % of cases."""
        value: float = getattr(self.speed, metric)
        spread, kind = self.coefficients.spreads[metric], self.facts.machine.gpu_class
        # What is lent by another vendor's card, and was measured on no card of its own class.
        lent = self.facts.borrowed.foreign and kind not in spread.classes
        return spread.bounds(value, kind, _UNMEASURED_WIDTH if lent else 1.0)

    @property
    def intervals(self) -> dict[Metric, Bounds]:
        """The intervals of all metrics that have one."""
        return {metric: self.interval(metric) for metric in METRICS}


def estimate_performance(
    model: Model,
    startup: Startup,
    workload: Workload,
    *,
    interconnect: str = "unknown",
    node_size: int | None = None,
    coefficients: Coefficients | None = None,
) -> Performance | Missing:
    """How fast the launch and GPU of `startup` serve `workload`, or what is missing for that.

    `interconnect` links the GPUs of a group ("nvlink", "pcie"; "unknown": NVLink where
    the card has it), `node_size` of which are in one machine (None: all). `coefficients`
    replace the fitted ones, for grading a fit on runs it has not seen.
    """
    if startup.launch.pooling or model.architecture.task == "embed":
        return Missing("A model that pools generates nothing.")
    facts = facts_of(model, startup, workload, interconnect=interconnect, node_size=node_size)
    if isinstance(facts, Missing):
        return facts
    return performance_of(facts, coefficients or load_coefficients())


def performance_of(facts: Facts, coefficients: Coefficients) -> Performance:
    """The speed that `facts` and `coefficients` give."""
    workload, launch = facts.workload, facts.launch
    replica = replica_of(facts, coefficients)
    replicas = launch.data_parallel_size
    seen: Tails | None = None
    if workload.request_rate is None:
        state = replica.at_concurrency(workload.concurrency / replicas)
    else:
        rate = workload.request_rate / replicas
        state = replica.at_rate(rate)
        seen = None if state.saturated else tails(replica, rate)
        if seen is None:
            state = replace(state, saturated=True)
        else:
            # Requests that arrive by chance see more than the mean state of as many.
            state = replace(
                state,
                concurrency=seen.concurrency,
                running=min(seen.concurrency, replica.most_running),
                ttft=seen.mean_ttft,
                tpot=seen.mean_tpot,
            )
    return Performance(
        facts=facts,
        workload=workload,
        speed=_speed(state, replica, replicas),
        state=state,
        tails=seen,
        replica=replica,
        replicas=replicas,
        coefficients=coefficients,
        warnings=(
            *_warnings(state, replica, replicas),
            *_preempted(state, replica),
            *_unmeasured(facts, coefficients),
            *_unmodelled(facts),
            *_not_reused(facts),
        ),
    )


def _not_reused(facts: Facts) -> tuple[str, ...]:
    """Prompts that repeat themselves and find nothing, since nothing is kept."""
    load = facts.workload
    if facts.launch.enable_prefix_caching or not (load.system_prompt_tokens or load.turns > 1):
        return ()
    return ("Prefix caching is off, so repeated prompts are computed again.",)


def _speed(state: State, replica: Replica, replicas: int) -> Speed:
    workload = replica.workload
    rate = state.requests_per_s * replicas
    return Speed(
        concurrency=state.concurrency * replicas,
        running=state.running * replicas,
        ttft_ms=state.ttft * 1e3,
        tpot_ms=state.tpot * 1e3,
        itl_ms=state.tpot * replica.tokens_per_step * 1e3,
        latency_ms=state.latency(workload.gen_tokens) * 1e3,
        requests_per_s=rate,
        output_tokens_per_s=rate * workload.gen_tokens,
        total_tokens_per_s=rate * (workload.prompt_tokens + workload.gen_tokens),
        output_tokens_per_s_per_request=1 / state.tpot,
        saturated=state.saturated,
    )


def _unmeasured(facts: Facts, coefficients: Coefficients) -> tuple[str, ...]:
    """What of the launch no run is like, so that the interval is narrower than it should be."""
    found: list[str] = []
    kind = facts.machine.gpu_class
    if kind not in coefficients.measured_classes:
        found.append(f"GPUs of this class ({kind})")
    if facts.machine.link.kind in ("pcie", "network"):
        found.append(f"GPUs linked by {_LINKS[facts.machine.link.kind]}")
    if not found:
        return ()
    return (f"No measured run has {' or '.join(found)}; the estimate is less certain there.",)


def _preempted(state: State, replica: Replica) -> tuple[str, ...]:
    """That percentiles leave preemption out, near the most that a full cache serves."""
    if replica.workload.request_rate is None or state.saturated or not replica.cache_bound:
        return ()
    if state.requests_per_s <= UNPREEMPTED * replica.at_concurrency(BEYOND_ALL).requests_per_s:
        return ()
    return (
        f"This is more than {UNPREEMPTED:.0%} of what the KV cache lets be served: requests that "
        "arrive together may be preempted and computed again, and the queue grow. The "
        "percentiles leave that out; a simulation shows it.",
    )


def _unmodelled(facts: Facts) -> tuple[str, ...]:
    """That neither the kernels nor the memory of another vendor's platform are known."""
    if not facts.borrowed.foreign:
        return ()
    return (
        f"No kernel of this GPU is measured: the speed is that of the "
        f"{facts.borrowed.kernels.card}'s kernels times factors fitted on runs of the MI300X, "
        "with as large a KV cache as CUDA's rules would leave.",
    )


def _warnings(state: State, replica: Replica, replicas: int) -> tuple[str, ...]:
    if not state.saturated:
        return ()
    most = math.floor(replica.most_running * replicas)
    limits = replica.limits
    if most >= limits.sequences * replicas:
        cause = "max_num_seqs"
    elif limits.cached_requests <= replica.most_running:
        cause = "the KV cache; more would be preempted and computed again"
    else:
        cause = "max_num_batched_tokens, which prompts fill before more requests run"
    if replica.workload.request_rate is not None:
        return (
            f"More requests arrive than are served ({state.requests_per_s * replicas:.3g} per "
            f"second): the queue grows without end. The limit is {cause}.",
        )
    return (f"About {most:,} requests run at once and the others wait. The limit is {cause}.",)
