"""The parallel layouts that a number of GPUs allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from vllm_preflight.contract.inputs import HardwareInput
from vllm_preflight.launch.refusals import divides_model
from vllm_preflight.models.architecture import Architecture


class Layout(NamedTuple):
    """How a model is spread: `replicas` of tensor × pipeline ranks.

    `decode_context` tensor ranks share one request's latent cache (MLA).
    """

    tensor: int = 1
    pipeline: int = 1
    replicas: int = 1
    expert_parallel: bool = False
    decode_context: int = 1

    @property
    def replica_gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor * self.pipeline

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.replica_gpus * self.replicas

    @property
    def text(self) -> str:
        """Such as "TP4 DP2 EP"; "one GPU" where nothing is split."""
        sizes = {
            "TP": self.tensor,
            "PP": self.pipeline,
            "DP": self.replicas,
            "DCP": self.decode_context,
        }
        words = [f"{name}{size}" for name, size in sizes.items() if size > 1]
        return " ".join([*words, *(["EP"] if self.expert_parallel else [])]) or "one GPU"


def tensor_parallel_sizes(architecture: Architecture, largest: int) -> list[int]:
    """The sizes up to `largest` that vLLM accepts for the model, ascending."""
    return [tp for tp in range(1, largest + 1) if divides_model(architecture, tp)]


def recommend_tensor_parallel(sizes: Iterable[int], fits: Callable[[int], bool]) -> int:
    """The smallest of `sizes` that fits, or the largest when none does."""
    best = 1
    for best in sizes:
        if fits(best):
            return best
    return best


def layouts(
    architecture: Architecture, gpus: int, gpus_per_node: int, pinned: HardwareInput
) -> tuple[list[Layout], list[Layout]]:
    """Layouts of at most `gpus` GPUs: those without pipeline stages, then those with.

    Tensor parallelism stays within a machine, a replica within one or over whole ones, and
    as many replicas as the GPUs give are made. Sizes that `pinned` gives are kept. Replicas
    of a mixture of experts share its experts (expert parallelism).
    """
    flat: list[Layout] = []
    staged: list[Layout] = []
    for tensor in _tensor_sizes(architecture, gpus, gpus_per_node, pinned):
        for pipeline in _pipeline_sizes(architecture, gpus // tensor, pinned):
            each = tensor * pipeline
            if each > gpus_per_node and each % gpus_per_node and not _is_pinned(pinned):
                continue
            replicas = pinned.data_parallel_size or gpus // each
            if each * replicas > gpus or not replicas:
                continue
            shares = architecture.moe is not None and replicas > 1
            expert = (
                shares if pinned.enable_expert_parallel is None else (pinned.enable_expert_parallel)
            )
            layout = Layout(tensor, pipeline, replicas, expert)
            (staged if pipeline > 1 and pinned.pipeline_parallel_size is None else flat).append(
                layout
            )
    return flat, sorted(staged, key=lambda layout: (layout.pipeline, layout))


def _is_pinned(pinned: HardwareInput) -> bool:
    return pinned.tensor_parallel_size is not None or pinned.pipeline_parallel_size is not None


def _tensor_sizes(
    architecture: Architecture, gpus: int, gpus_per_node: int, pinned: HardwareInput
) -> Iterator[int]:
    if pinned.tensor_parallel_size is not None:
        yield pinned.tensor_parallel_size
        return
    for size in tensor_parallel_sizes(architecture, min(gpus, gpus_per_node)):
        # Other sizes than powers of two only where they use every GPU.
        if size & (size - 1) == 0 or gpus % size == 0:
            yield size


def _pipeline_sizes(architecture: Architecture, most: int, pinned: HardwareInput) -> Iterator[int]:
    if pinned.pipeline_parallel_size is not None:
        yield pinned.pipeline_parallel_size
        return
    # A number of stages that leaves GPUs over is no better than a divisor.
    for stages in range(1, min(most, len(architecture.layers)) + 1):
        if most % stages == 0:
            yield stages
