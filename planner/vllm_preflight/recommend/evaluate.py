"""Every candidate judged by the engine: what starts, and how much of the workload it holds.

Nothing is left out by rule of thumb. Work is shared where the engine itself says that it
is the same: arguments and runtime memory within a class of GPUs, weights within a layout,
and a length that does not start stands for every longer one, which needs no less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.base.units import bytes_to_gib, ceil_div
from vllm_preflight.hardware.gpu import ComputeCapability, Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.launch.speculation.drafting import find_drafting
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.memory.kv.cache import KvPlan
from vllm_preflight.memory.kv.launch import request_shape
from vllm_preflight.memory.runtime.runtime import RuntimeMemory, runtime_memory
from vllm_preflight.memory.startup import judge_startup
from vllm_preflight.memory.weights.startup_buffers import sized_by_batch
from vllm_preflight.memory.weights.weights import RankWeights, weights_per_rank
from vllm_preflight.recommend.candidates import (
    ROOM,
    Batch,
    Layout,
    Space,
    Workload,
    gpu_classes,
)
from vllm_preflight.recommend.constraints import (
    broken_by_division,
    broken_by_gpu,
    broken_by_kv_cache,
)
from vllm_preflight.recommend.options import Attempt, Choice, Found, Option, startup_request_of
from vllm_preflight.recommend.variants import Precision

Progress = Callable[[str], None]

# Closer than any failure for want of memory is none of what is refused outright.
_REFUSED = -(2**62)


@dataclass
class _Prepared:
    """What all GPUs of a class share for one layout, KV dtype and batch.

    `launches` by utilisation (None: the first of the space), and the same at the model's
    own maximum length once somebody asked.
    """

    launches: dict[float | None, Launch]
    weights: RankWeights
    runtime: RuntimeMemory
    longer: _Prepared | None = None

    @property
    def limits(self) -> tuple[int, int]:
        """The resolved batch limits."""
        launch = self.launches[None]
        return launch.max_num_seqs, launch.max_num_batched_tokens

    def launch(self, utilization: float | None) -> Launch:
        """The launch with a utilisation."""
        found = self.launches.get(utilization)
        if found is None:
            assert utilization is not None
            found = replace(self.launches[None], gpu_memory_utilization=utilization)
            self.launches[utilization] = found
        return found


def evaluate(space: Space, workload: Workload, progress: Progress | None = None) -> Found:
    """Judge every candidate of `space`; raises Stopped when the question was given up.

    Raises:
        UnsupportedArchitecture: the model asked for is not understood.
        InvalidRequest: a pinned value is none.
    """
    found = Found(workload)
    version = parse_version(space.pinned.get("vllm_version"))
    classes = gpu_classes(space.gpus, version)
    for precision in space.precisions:
        if progress is not None:
            progress(f"judging {precision.label} of {precision.model.id}")
        try:
            for gpus in classes:
                _Judge(space, workload, precision, gpus, found).run()
        except UnsupportedArchitecture as error:
            if precision is space.precisions[0]:
                raise
            found.notes.append(f"{precision.model.id} is left out: {error.message}")
    return found


class _Judge:
    """All candidates of one precision on one class of GPUs."""

    def __init__(
        self,
        space: Space,
        workload: Workload,
        precision: Precision,
        gpus: Sequence[Gpu],
        found: Found,
    ) -> None:
        self.space, self.workload = space, workload
        self.precision, self.gpus, self.found = precision, gpus, found
        self.model = precision.model
        self.first = gpus[0]
        self.capability: ComputeCapability = self.first.compute_capability or (0, 0)
        # Replicas of a dense model share nothing: as many as needed hold as much each.
        self.scales = self.model.architecture.moe is None
        self.settled: set[tuple[str, int, int, bool, str]] = set()
        settings = len(space.utilizations) * len(space.batches)
        self.per_layout = len(space.kv_cache_dtypes) * len(space.lengths) * settings * len(gpus)

    def run(self) -> None:
        """Judge layout by layout, small ones first."""
        rule = broken_by_gpu(self.precision.effective, self.capability)
        kinds = self.gpus
        for layout in self.space.layouts(self.model.architecture):
            check_stop()
            self.found.candidates += self.per_layout
            total = layout.replica_gpus * layout.replicas
            ample = self.found.ample
            self.gpus = [gpu for gpu in kinds if ample.get(gpu.name, total) >= total]
            if not self.gpus:
                continue
            if rule is not None:
                self.refuse(layout, f"{rule.says}", rule.id)
            else:
                self.layout(layout)

    def layout(self, layout: Layout) -> None:
        """Every setting of one layout, the mildest first."""
        first = self.resolve(layout, self.space.kv_cache_dtypes[0], 0, self.space.batches[0])
        if first.problems:
            message = " ".join(problem.message for problem in first.problems)
            self.refuse(layout, message, "vllm_arguments")
            return
        rule = broken_by_division(
            self.model,
            self.precision.quantization,
            first.version,
            layout.tensor,
            layout.tensor * layout.replicas,
            layout.expert_parallel,
        )
        if rule is not None:
            self.refuse(layout, rule.says, rule.id)
            return
        gpus = self.loadable(layout, first)
        if gpus:
            for dtype in self.dtypes(layout, first):
                self.settings(layout, dtype, gpus)

    def loadable(self, layout: Layout, launch: Launch) -> list[Gpu]:
        """The GPUs that can load the weights, whatever the other settings.

        Buffers that grow with the batch limits are taken at their smallest.
        """
        if sized_by_batch(self.model):
            launch = replace(launch, max_num_seqs=1, max_num_batched_tokens=1)
        loaded = weights_per_rank(self.model, launch, self.capability).fullest.allocated
        for gpu in self.gpus:
            if loaded > gpu.visible_bytes:
                reason = (
                    f"weights do not fit: {bytes_to_gib(loaded)} GiB on a GPU that has "
                    f"{bytes_to_gib(gpu.visible_bytes)} GiB"
                )
                self.missed(self.choice(gpu, layout), 0, gpu.visible_bytes - loaded, reason)
        return [gpu for gpu in self.gpus if loaded <= gpu.visible_bytes]

    def dtypes(self, layout: Layout, first: Launch) -> list[str]:
        """The KV cache dtypes that differ in effect and that vLLM accepts."""
        resolved: set[str] = set()
        accepted: list[str] = []
        for number, dtype in enumerate(self.space.kv_cache_dtypes):
            launch = first
            if number:
                launch = self.resolve(layout, dtype, 0, self.space.batches[0])
            effect = launch.kv_cache_dtype
            if effect in resolved or launch.problems:
                continue
            if broken_by_kv_cache(effect, self.capability) is None:
                resolved.add(effect)
                accepted.append(dtype)
        return accepted

    def settings(self, layout: Layout, dtype: str, gpus: Sequence[Gpu]) -> None:
        """Utilisations and batch limits, until a GPU carries the workload with one replica.

        Stronger settings would then change nothing that is ranked; an exhaustive space
        tries them all the same.
        """
        prepared: dict[Batch, _Prepared | None] = {}
        waiting = [gpu for gpu in gpus if not self.is_settled(gpu, layout, dtype)]
        for utilization in self.space.utilizations:
            limits: set[tuple[int, int]] = set()
            for batch in self.space.batches:
                if not waiting:
                    return
                if batch not in prepared:
                    prepared[batch] = self.prepare(layout, dtype, batch)
                ready = prepared[batch]
                # Sized limits that are vLLM's own are no further candidate.
                if ready is None or ready.limits in limits:
                    continue
                limits.add(ready.limits)
                for gpu in waiting:
                    choice = self.choice(gpu, layout)._replace(
                        kv_cache_dtype=dtype, gpu_memory_utilization=utilization, batch=batch
                    )
                    option = self.option(choice, ready)
                    if option is None:
                        continue
                    self.found.options.append(option)
                    self.note_ample(option)
                    if not self.space.exhaustive:
                        self.settle(option, layout, dtype)
                waiting = [gpu for gpu in waiting if not self.is_settled(gpu, layout, dtype)]

    def note_ample(self, option: Option) -> None:
        """Note an option that more GPUs of its kind cannot beat but in speed.

        It has the precision asked for, the model's longest context, and room for as many
        more requests as count in the comparison (`frontier.pareto`).
        """
        choice = option.choice
        wanted = ROOM * self.workload.concurrency
        whole = option.longest >= self.space.lengths[-1] and option.requests >= wanted
        if whole and not choice.altered and not self.space.dominated:
            fewest = self.found.ample.get(choice.gpu.name, choice.gpus)
            self.found.ample[choice.gpu.name] = min(fewest, choice.gpus)

    def is_settled(self, gpu: Gpu, layout: Layout, dtype: str) -> bool:
        """Whether fewer or as many replicas of the same split carry the workload already."""
        split = (layout.tensor, layout.pipeline, layout.expert_parallel)
        return (gpu.name, *split, dtype) in self.settled

    def settle(self, option: Option, layout: Layout, dtype: str) -> None:
        """Note that nothing stronger has to be tried."""
        if self.scales and option.choice.layout.replicas > 1:
            return
        split = (layout.tensor, layout.pipeline, layout.expert_parallel)
        self.settled.add((option.choice.gpu.name, *split, dtype))

    def prepare(self, layout: Layout, dtype: str, batch: Batch) -> _Prepared | None:
        """What the GPUs of the class share for one batch; None where vLLM refuses it."""
        launch = self.resolve(layout, dtype, 0, batch)
        if launch.problems:
            return None
        return _Prepared(
            {None: launch},
            weights_per_rank(self.model, launch, self.capability),
            runtime_memory(self.model, launch, self.first),
        )

    def option(self, choice: Choice, ready: _Prepared) -> Option | None:
        """The option that a candidate makes, or None with the reason noted."""
        launch = ready.launch(choice.gpu_memory_utilization)
        self.found.judged += 1
        verdict = judge_startup(
            self.model, choice.gpu, self.capability, launch, ready.weights, ready.runtime
        )
        emptiest = min(verdict.available)
        if verdict.failure is not None:
            self.missed(choice, 0, emptiest - verdict.kv.needed_bytes, verdict.failure.message)
            return None
        wanted, layout, kv = self.workload.concurrency, choice.layout, verdict.kv
        each = launch.max_num_seqs
        if kv.max_concurrency is not None:
            each = min(each, int(kv.max_concurrency))
        replicas = ceil_div(wanted, max(1, each)) if self.scales else layout.replicas
        if self.scales and self.space.exhaustive:
            replicas = self.space.max_gpus // layout.replica_gpus
        enough = layout.replica_gpus * replicas <= self.space.max_gpus
        if not enough or each * replicas < wanted or (replicas > 1 and self.scales):
            each_replica = "each replica " if self.scales and layout.replica_gpus > 0 else ""
            reason = (
                f"starts, but {each_replica}holds {each * layout.replicas:,} of the {wanted:,} "
                f"requests of {self.workload.context:,} tokens at once"
            )
            self.missed(choice, each * layout.replicas, emptiest, reason)
        if not enough or each * replicas < wanted:
            return None
        choice = choice._replace(layout=layout._replace(replicas=replicas))
        option = Option(choice, each * replicas, choice.max_model_len, kv.tokens or 0)
        return self.stretched(option, ready) if len(self.space.lengths) > 1 else option

    def stretched(self, option: Option, ready: _Prepared) -> Option:
        """The option at the model's own longest length, where that starts in a bad case too."""
        choice = option.choice
        if ready.longer is None:
            layout = choice.layout if not self.scales else choice.layout._replace(replicas=1)
            longer = self.resolve(layout, choice.kv_cache_dtype, -1, choice.batch)
            ready.longer = _Prepared(
                {None: longer}, ready.weights, runtime_memory(self.model, longer, self.first)
            )
        launch = ready.longer.launch(choice.gpu_memory_utilization)
        self.found.judged += 1
        verdict = judge_startup(
            self.model,
            choice.gpu,
            self.capability,
            launch,
            ready.weights,
            ready.longer.runtime,
        )
        kv = verdict.kv
        longest = max(option.longest, kv.estimated_max_model_len)
        if verdict.failure is not None:
            return option._replace(longest=longest)
        sure = min(verdict.available) + ready.longer.runtime.low_bytes >= kv.admission_bytes
        held = self.requests(launch, kv) * choice.layout.replicas
        if not sure or held < self.workload.concurrency:
            return option._replace(longest=longest)
        choice = choice._replace(max_model_len=launch.max_model_len)
        return Option(choice, held, longest, kv.tokens or 0)

    def requests(self, launch: Launch, kv: KvPlan) -> int:
        """Requests of the workload's context that one replica serves at once."""
        shape = request_shape(launch, self.model.architecture)
        blocks = kv.pool.blocks_per_request(replace(shape, max_model_len=self.workload.context))
        held = kv.num_blocks // blocks if blocks else launch.max_num_seqs
        return min(launch.max_num_seqs, held)

    def choice(self, gpu: Gpu, layout: Layout) -> Choice:
        """The mildest candidate of a layout."""
        space = self.space
        return Choice(
            gpu,
            self.precision,
            layout,
            space.kv_cache_dtypes[0],
            space.lengths[0],
            space.utilizations[0],
            space.batches[0],
        )

    def resolve(self, layout: Layout, dtype: str, length: int, batch: Batch) -> Launch:
        """The launch with the first utilisation; `length` is an index of the space's."""
        choice = self.choice(self.first, layout)._replace(
            kv_cache_dtype=dtype, max_model_len=self.space.lengths[length], batch=batch
        )
        request = startup_request_of(choice, self.space)
        return resolve_launch(
            request,
            self.model.architecture,
            self.first,
            config=self.model.config,
            checkpoint_kv_cache_dtype=self.model.quantization.kv_cache_dtype,
            drafting=find_drafting(self.model, request.speculative_config),
        )

    def missed(self, choice: Choice, held: int, closeness: int, reason: str) -> None:
        """Note what a candidate lacks."""
        self.found.attempt(Attempt(choice, held, closeness, reason, None, self.scales))

    def refuse(self, layout: Layout, reason: str, rule: str) -> None:
        """Note that a rule excludes a layout on every GPU of the class."""
        for gpu in self.gpus:
            choice = self.choice(gpu, layout)
            self.found.attempt(Attempt(choice, 0, _REFUSED, reason, rule, self.scales))
