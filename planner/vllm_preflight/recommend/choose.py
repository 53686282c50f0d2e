"""One chooser behind plan, compare, generate and remedies: which layout, which settings.

GPUs that are given are there to be used: every layout of them is judged by what it serves.
An open number means as few as needed, in numbers people can rent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import InvalidRequest, UnsupportedArchitecture
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.verdict import Outcome
from vllm_preflight.hardware.select import USUAL_NODE_SIZE, Hardware
from vllm_preflight.launch.further import Further, with_further
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.estimate import Performance, Speed
from vllm_preflight.performance.pooling import Pooling
from vllm_preflight.performance.replica import Missing
from vllm_preflight.recommend.demand import Demand, generates_nothing
from vllm_preflight.recommend.launches import Bench
from vllm_preflight.recommend.layouts import Layout, layouts
from vllm_preflight.recommend.objective import goodput
from vllm_preflight.recommend.outcome import outcome_of
from vllm_preflight.recommend.settings import Settings, settle
from vllm_preflight.recommend.speed import estimate_speed, estimate_texts

# Numbers of GPUs that machines are rented with, and then whole machines.
PRACTICAL_COUNTS = (1, 2, 4, 8, 16, 32)
# Values this near to each other are equal: the estimate is no finer.
NEAR = 0.05
# Of layouts that let requests wait, those with less than this share of the most that run at
# once are out: what memory holds is known, speed is estimated to a third at best.
_FEW = 0.5
# Requests in flight follow from a rate and the time each takes, which follows from them.
_LITTLE_ROUNDS = 4
# What nobody here can judge is better than what surely fails.
_TIERS: dict[Outcome, int] = {
    "carries": 4,
    "queues": 3,
    "starts": 3,
    "borderline": 2,
    "not_modelled": 1,
    "does_not_start": 0,
    "refused": -1,
}


@dataclass(frozen=True)
class Choice:
    """A layout with its settings, judged.

    Attributes:
        bench: the model, the GPUs, their number settled, and the request it was chosen for.
        demand: what it has to carry; where requests arrive at a rate, with the number of
            them that this layout has in flight.
        held: requests of the demand's length that run at once, over all replicas.
    """

    bench: Bench
    demand: Demand
    layout: Layout
    settings: Settings
    startup: Startup
    held: int

    @property
    def hardware(self) -> Hardware:
        """The GPUs it was chosen for."""
        return self.bench.hardware

    @property
    def further(self) -> Further:
        """What the request's further flags say."""
        return self.bench.further

    @cached_property
    def outcome(self) -> Outcome:
        """What becomes of it; a queue that grows without end outgrows any cache."""
        outcome = outcome_of(self.startup, self.held, self.demand.concurrency)
        return "queues" if outcome == "carries" and not self.keeps_up else outcome

    @cached_property
    def speed(self) -> Performance | Missing:
        """The estimate for the workload, or what is missing for one."""
        bench = self.bench
        return estimate_speed(bench.model, bench.hardware, bench.request, self.startup)

    @cached_property
    def texts(self) -> Pooling | Missing | None:
        """The same for a model that pools; None for one that generates."""
        bench = self.bench
        if not generates_nothing(bench.model) and not self.startup.launch.pooling:
            return None
        return estimate_texts(bench.model, bench.hardware, bench.request, self.startup)

    @property
    def load(self) -> Speed | Pooling | None:
        """What is in flight and whether it is answered in time; None where nobody can say."""
        if isinstance(self.speed, Performance):
            return self.speed.speed
        return self.texts if isinstance(self.texts, Pooling) else None

    @property
    def keeps_up(self) -> bool:
        """Whether requests are served as fast as they arrive; as far as anyone can say."""
        if self.bench.request.request_rate is None or self.load is None:
            return True
        return not self.load.saturated

    @property
    def gpus(self) -> int:
        """GPUs it uses."""
        return self.layout.gpus

    @property
    def machine_gpus(self) -> int:
        """GPUs that are there for it, used or not: what is paid for."""
        return max(self.hardware.gpus or 0, self.gpus)

    @property
    def reaches_target(self) -> bool:
        """Whether it keeps the target latency, where there is one."""
        request = self.bench.request
        wanted = (request.target_latency_ms, request.target_ttft_ms, request.target_tpot_ms)
        if wanted == (None, None, None):
            return True
        speed = self.speed
        return isinstance(speed, Missing) or speed.target is None or speed.target.reached

    @property
    def carries(self) -> bool:
        """Whether it starts for sure and holds every request at once."""
        return self.outcome == "carries"

    @property
    def serves(self) -> bool:
        """Whether it starts for sure, though requests may wait."""
        return self.outcome in ("carries", "queues")


def choose(model: Model, hardware: Hardware, request: PlanRequest, demand: Demand) -> Choice:
    """The layout and the settings that serve the demand best on the GPUs there are.

    Raises:
        InvalidRequest: no layout of the GPUs has the sizes that were asked for.
    """
    if hardware.gpus is not None:
        return choose_on(model, hardware, request, demand)
    best: Choice | None = None
    for count in _counts(request):
        check_stop()
        sized = with_gpus(hardware, count)
        found = choose_on(model, sized, request, demand)
        if best is None or _betters(found, best):
            best = found
        if found.carries and found.reaches_target:
            break
        if found.outcome in ("refused", "not_modelled"):
            break
    assert best is not None
    return best


def choose_on(model: Model, hardware: Hardware, request: PlanRequest, demand: Demand) -> Choice:
    """The best use of a given number of GPUs; fewer where more would serve nothing better.

    Raises:
        InvalidRequest: no layout of the GPUs has the sizes that were asked for.
    """
    assert hardware.gpus is not None
    request, further = with_further(request, model.id)
    bench = Bench(model, hardware, request, further)
    flat, staged = layouts(model.architecture, hardware.gpus, hardware.gpus_per_node, request)
    judged = list(_judge_all(bench, demand, flat))
    # Stages and shared caches cost speed: only where nothing else does.
    if not any(choice.carries for choice in judged):
        judged += _judge_all(bench, demand, _sharing_contexts(model, request, flat))
    if not any(choice.serves for choice in judged):
        judged += _staged(bench, demand, staged, alone=not judged)
    if not judged:
        raise InvalidRequest(
            f"{model.id} cannot be laid out over {hardware.gpus} GPUs as asked.",
            "Leave tensor_parallel_size, pipeline_parallel_size or data_parallel_size open.",
        )
    return best_of(judged, request)


def _staged(bench: Bench, demand: Demand, staged: Iterable[Layout], *, alone: bool) -> list[Choice]:
    """Layouts of several stages; where a release's are not described, none beside others."""
    try:
        return list(_judge_all(bench, demand, staged))
    except UnsupportedArchitecture:
        if alone:
            raise
        return []


def best_of(choices: Sequence[Choice], request: PlanRequest) -> Choice:
    """The choice that serves most; of near equals the one with fewer ranks to keep in step."""
    tier = max(_TIERS[choice.outcome] for choice in choices)
    equals = [choice for choice in choices if _TIERS[choice.outcome] == tier]
    if len(equals) == 1:
        return equals[0]
    reaching = [choice for choice in equals if choice.reaches_target] or equals
    if tier == _TIERS["queues"]:
        reaching = _waiting_least(reaching, request)
    values = [_value(choice, request) for choice in reaching]
    top = max(values)
    near = [
        choice
        for choice, value in zip(reaching, values, strict=True)
        if value >= top - abs(top) * NEAR
    ]
    return min(near, key=lambda choice: (choice.layout.replica_gpus, choice.layout))


def _waiting_least(choices: Sequence[Choice], request: PlanRequest) -> list[Choice]:
    """Of layouts that let requests wait, those worth comparing by speed.

    With a rate those that keep up with it, else those that run most requests at once.
    """
    if request.request_rate is not None:
        return [choice for choice in choices if choice.keeps_up] or list(choices)
    running = [min(choice.held, choice.demand.concurrency) for choice in choices]
    most = max(running)
    return [choice for choice, held in zip(choices, running, strict=True) if held >= most * _FEW]


def with_gpus(hardware: Hardware, count: int) -> Hardware:
    """The hardware with `count` GPUs, in as few machines as hold them."""
    in_one = hardware.gpu.node_size or USUAL_NODE_SIZE
    nodes = max(hardware.nodes, -(-count // in_one))
    return replace(hardware, gpus=count, nodes=nodes)


def _judge_all(bench: Bench, demand: Demand, found: Iterable[Layout]) -> Iterator[Choice]:
    for layout in found:
        check_stop()
        yield judge(bench, layout, demand)


def judge(bench: Bench, layout: Layout, demand: Demand) -> Choice:
    """`layout` with its settings and its outcome, for what it has in flight itself."""
    if demand.rate is None:
        return _settled(bench, layout, demand)
    choice = _settled(bench, layout, replace(demand, concurrency=1))
    for _ in range(_LITTLE_ROUNDS):
        flight = _in_flight(choice)
        if flight == choice.demand.concurrency:
            return choice
        if _is_limited(choice):
            # vLLM's own limit is in the way: more sequences may keep up.
            flight *= 2
        choice = _settled(bench, layout, replace(demand, concurrency=flight))
    return replace(choice, demand=replace(demand, concurrency=_in_flight(choice)))


def _in_flight(choice: Choice) -> int:
    """Requests in flight at the demand's rate, by Little's law."""
    if not choice.serves or choice.load is None:
        return choice.demand.concurrency
    return max(1, math.ceil(choice.load.concurrency))


def _is_limited(choice: Choice) -> bool:
    """Whether it falls behind for the number of sequences that it may run at once."""
    if choice.keeps_up or isinstance(choice.speed, Missing):
        return False
    return choice.speed.replica.most_running >= choice.startup.launch.max_num_seqs


def _settled(bench: Bench, layout: Layout, demand: Demand) -> Choice:
    settled = settle(bench, layout, demand)
    return Choice(
        bench=bench,
        demand=demand,
        layout=settled.layout,
        settings=settled.settings,
        startup=settled.startup,
        held=settled.held,
    )


def _sharing_contexts(
    model: Model, request: PlanRequest, flat: Iterable[Layout]
) -> Iterator[Layout]:
    """Layouts whose tensor ranks share a latent cache, which each would keep whole."""
    asked = request.decode_context_parallel_size is not None
    if asked or not model.architecture.uses_latent_attention:
        return
    for layout in flat:
        if layout.tensor > 1:
            yield layout._replace(decode_context=layout.tensor)


def _value(choice: Choice, request: PlanRequest) -> float:
    """What is worth more of two choices of one outcome: the larger is better."""
    if not choice.serves:
        return choice.startup.start_probability + choice.startup.available_bytes / 2**60
    if isinstance(choice.texts, Pooling):
        by_rate = request.request_rate is not None and choice.keeps_up
        return 1e3 / choice.texts.latency_ms if by_rate else choice.texts.texts_per_s
    if isinstance(choice.speed, Missing):
        # Replicas answer more users, tensor ranks answer one sooner.
        spread = choice.layout.replicas if choice.demand.concurrency > 1 else choice.layout.tensor
        return float(min(choice.held, choice.demand.concurrency) * spread)
    speed = choice.speed.speed
    within_targets = goodput(choice.speed)
    if within_targets is not None and request.batching_mode != "latency":
        return within_targets
    # All that keep up with a rate serve the same number of requests.
    by_rate = request.request_rate is not None and choice.keeps_up
    if request.batching_mode == "latency" or by_rate:
        return 1e3 / speed.latency_ms
    return speed.requests_per_s


def _counts(request: PlanRequest) -> tuple[int, ...]:
    """Practical numbers of GPUs from the fewest that the given sizes need."""
    least = 1
    for size in (
        request.tensor_parallel_size,
        request.pipeline_parallel_size,
        request.data_parallel_size,
    ):
        least *= size or 1
    nodes = request.nodes or 1
    if None not in (request.tensor_parallel_size, request.pipeline_parallel_size):
        return (least,)
    counts = tuple(count for count in PRACTICAL_COUNTS if count >= least and count % nodes == 0)
    return counts or (least,)


def _betters(found: Choice, best: Choice) -> bool:
    """Whether more GPUs are worth it though they do not carry everything either."""
    if _TIERS[found.outcome] != _TIERS[best.outcome]:
        return _TIERS[found.outcome] > _TIERS[best.outcome]
    if found.carries:
        return found.reaches_target and not best.reaches_target
    if found.gpus > USUAL_NODE_SIZE:
        return False
    if found.keeps_up != best.keeps_up:
        return found.keeps_up
    return found.held > best.held or found.outcome in ("does_not_start", "borderline")
