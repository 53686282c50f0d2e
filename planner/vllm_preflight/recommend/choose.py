"""One chooser behind plan, compare, generate and remedies: which layout, which settings.

GPUs that are given are there to be used: every layout of them is judged by what it serves.
An open number means as few as needed, in numbers people can rent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.verdict import Outcome
from vllm_preflight.hardware.select import USUAL_NODE_SIZE, Hardware
from vllm_preflight.launch.further import Further, with_further
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.performance.estimate import Performance
from vllm_preflight.performance.replica import Missing
from vllm_preflight.recommend.demand import Demand
from vllm_preflight.recommend.launches import Bench
from vllm_preflight.recommend.layouts import Layout, layouts
from vllm_preflight.recommend.outcome import outcome_of
from vllm_preflight.recommend.settings import Settings, Settled, settle
from vllm_preflight.recommend.speed import estimate_speed

# Numbers of GPUs that machines are rented with, and then whole machines.
PRACTICAL_COUNTS = (1, 2, 4, 8, 16, 32)
# Values this near to each other are equal: the estimate is no finer.
NEAR = 0.05
_TIERS: dict[Outcome, int] = {
    "carries": 3,
    "queues": 2,
    "starts": 2,
    "borderline": 1,
    "does_not_start": 0,
    "refused": -1,
    "not_modelled": -2,
}


@dataclass(frozen=True)
class Choice:
    """A layout with its settings, judged.

    Attributes:
        bench: the model, the GPUs, their number settled, and the request it was chosen for.
        held: requests of the demand's length that run at once, over all replicas.
    """

    bench: Bench
    demand: Demand
    layout: Layout
    settings: Settings
    startup: Startup
    held: int
    outcome: Outcome

    @property
    def hardware(self) -> Hardware:
        """The GPUs it was chosen for."""
        return self.bench.hardware

    @property
    def further(self) -> Further:
        """What the request's further flags say."""
        return self.bench.further

    @cached_property
    def speed(self) -> Performance | Missing:
        """The estimate for the workload, or what is missing for one."""
        bench = self.bench
        return estimate_speed(bench.model, bench.hardware, bench.request, self.startup)

    @property
    def gpus(self) -> int:
        """GPUs it uses."""
        return self.layout.gpus

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
        if found.carries and (found.reaches_target or request.target_latency_ms is None):
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
        judged += _judge_all(bench, demand, staged)
    if not judged:
        raise InvalidRequest(
            f"{model.id} cannot be laid out over {hardware.gpus} GPUs as asked.",
            "Leave tensor_parallel_size, pipeline_parallel_size or data_parallel_size open.",
        )
    return best_of(judged, request)


def best_of(choices: Sequence[Choice], request: PlanRequest) -> Choice:
    """The choice that serves most; of near equals the one with fewer ranks to keep in step."""
    tier = max(_TIERS[choice.outcome] for choice in choices)
    equals = [choice for choice in choices if _TIERS[choice.outcome] == tier]
    if len(equals) == 1:
        return equals[0]
    reaching = [choice for choice in equals if choice.reaches_target] or equals
    values = [_value(choice, request) for choice in reaching]
    top = max(values)
    near = [
        choice
        for choice, value in zip(reaching, values, strict=True)
        if value >= top - abs(top) * NEAR
    ]
    return min(near, key=lambda choice: (choice.layout.replica_gpus, choice.layout))


def with_gpus(hardware: Hardware, count: int) -> Hardware:
    """The hardware with `count` GPUs, in as few machines as hold them."""
    nodes = max(hardware.nodes, -(-count // USUAL_NODE_SIZE))
    return replace(hardware, gpus=count, nodes=nodes)


def _judge_all(bench: Bench, demand: Demand, found: Iterable[Layout]) -> Iterator[Choice]:
    for layout in found:
        check_stop()
        yield judge(bench, demand, settle(bench, layout, demand))


def judge(bench: Bench, demand: Demand, settled: Settled) -> Choice:
    """`settled` with its outcome."""
    startup = settled.startup
    return Choice(
        bench=bench,
        demand=demand,
        layout=settled.layout,
        settings=settled.settings,
        startup=startup,
        held=settled.held,
        outcome=outcome_of(startup, settled.held, demand.concurrency),
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
    if isinstance(choice.speed, Missing):
        # Replicas answer more users, tensor ranks answer one sooner.
        spread = choice.layout.replicas if choice.demand.concurrency > 1 else choice.layout.tensor
        return float(min(choice.held, choice.demand.concurrency) * spread)
    speed = choice.speed.speed
    if request.batching_mode == "latency":
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
    return found.held > best.held or found.outcome in ("does_not_start", "borderline")
