"""What a search chooses from: GPUs, layouts, precisions and vLLM's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vllm_preflight.base.units import ceil_div
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.select import USUAL_NODE_SIZE
from vllm_preflight.launch.defaults import batch_default
from vllm_preflight.launch.launch import Version
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.recommend.variants import Precision

# vLLM's own share is tried first; this one only where that is not enough.
RAISED_UTILIZATION = 0.95
# A step of few tokens frees activation memory.
_SMALL_STEP_TOKENS = 2048
_FEWEST_SEQUENCES = 16
# A burst of twice the workload is worth planning for; more room is not.
ROOM = 2


@dataclass(frozen=True)
class Workload:
    """What has to be carried: `concurrency` requests at once, of these lengths in tokens.

    Each is reckoned as long as `max_model_len` where that is given, else as prompt and
    output together.
    """

    prompt_tokens: int
    gen_tokens: int
    concurrency: int
    max_model_len: int | None = None

    @property
    def context(self) -> int:
        """Tokens of KV cache each request is given."""
        return self.max_model_len or self.prompt_tokens + self.gen_tokens


class Layout(NamedTuple):
    """How a model is spread: `replicas` of tensor × pipeline ranks.

    `replicas` is 1 where they share nothing, and then computed from what one holds.
    """

    tensor: int
    pipeline: int
    replicas: int = 1
    expert_parallel: bool = False

    @property
    def replica_gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor * self.pipeline


class Batch(NamedTuple):
    """vLLM's batch limits; None takes its default for the GPU."""

    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None


@dataclass(frozen=True)
class Space:
    """Everything that is enumerated; None as a setting takes vLLM's default.

    `max_gpus` counts all replicas; tensor parallelism stays within `gpus_per_node`.
    `exhaustive`: stronger settings and more replicas are tried though milder ones do;
    `dominated`: so are more GPUs of a kind of which fewer are as good in all but speed.
    `pinned` are further fields of a StartupRequest, the same for all candidates.
    """

    gpus: tuple[Gpu, ...]
    precisions: tuple[Precision, ...]
    max_gpus: int
    lengths: tuple[int, ...]
    batches: tuple[Batch, ...]
    kv_cache_dtypes: tuple[str, ...] = ("auto", "fp8")
    utilizations: tuple[float | None, ...] = (None, RAISED_UTILIZATION)
    gpus_per_node: int = USUAL_NODE_SIZE
    exhaustive: bool = False
    dominated: bool = False
    pinned: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def layouts(self, architecture: Architecture) -> Iterator[Layout]:
        """Every layout of at most `max_gpus`, small ones first.

        Replicas of a dense model share nothing, so one stands for all numbers of them.
        Those of a mixture share its experts: numbers that are powers of two.
        """
        found: list[Layout] = []
        for tensor in range(1, min(self.max_gpus, self.gpus_per_node) + 1):
            for pipeline in range(1, self.max_gpus // tensor + 1):
                if not self.is_placeable(tensor * pipeline):
                    continue
                if architecture.moe is None:
                    found.append(Layout(tensor, pipeline))
                    continue
                replicas = 1
                while tensor * pipeline * replicas <= self.max_gpus:
                    found.append(Layout(tensor, pipeline, replicas))
                    if tensor * replicas > 1:
                        found.append(Layout(tensor, pipeline, replicas, True))
                    replicas *= 2
        return iter(sorted(found, key=lambda item: (item.replica_gpus * item.replicas, item)))

    def is_placeable(self, replica_gpus: int) -> bool:
        """Whether a replica lies within one machine, or fills all that it spans."""
        return replica_gpus <= self.gpus_per_node or replica_gpus % self.gpus_per_node == 0


def batches(workload: Workload) -> tuple[Batch, ...]:
    """The defaults of vLLM, then limits sized for the workload, then small steps as well."""
    wanted = max(_FEWEST_SEQUENCES, workload.concurrency)
    sized = 1 << (wanted - 1).bit_length()
    return (Batch(), Batch(sized), Batch(sized, max(sized, _SMALL_STEP_TOKENS)))


def lengths(workload: Workload, architecture: Architecture) -> tuple[int, ...]:
    """max_model_len to try: as given, else what the workload needs and the model's maximum."""
    longest = architecture.max_position
    if workload.max_model_len is not None:
        return (workload.max_model_len,)
    return (workload.context, longest) if longest > workload.context else (workload.context,)


def gpu_classes(gpus: Sequence[Gpu], version: Version) -> list[list[Gpu]]:
    """The GPUs in groups that differ for vLLM in nothing but their memory.

    Arguments resolve alike and the runtime memory is the same within a group: by vendor,
    compute capability, NVLink and vLLM's batch defaults.
    """
    classes: dict[tuple[object, ...], list[Gpu]] = {}
    for gpu in gpus:
        default = batch_default(version, gpu)
        key = (
            gpu.vendor,
            gpu.compute_capability,
            gpu.nvlink_gb_s is None,
            default.max_num_batched_tokens,
            default.max_num_seqs,
            default.bracketed,
        )
        classes.setdefault(key, []).append(gpu)
    return list(classes.values())


def nodes_for(gpus: int, gpus_per_node: int) -> int:
    """Machines that hold `gpus`."""
    return ceil_div(gpus, gpus_per_node)
