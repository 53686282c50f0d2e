"""The matrices of a pipeline stage as one rank multiplies them, by kernel.

Matrices of one kernel are summed: a p-norm of sums in one proportion is the sum of
p-norms, so nothing is lost but the launches, which are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Launch, Version
from vllm_preflight.memory.weights.division import Placed, Ranks
from vllm_preflight.memory.weights.tensors import TensorLayout
from vllm_preflight.models.architecture import Layer, Role, Split, Weight
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import WeightScheme
from vllm_preflight.models.quantization_requests import requested
from vllm_preflight.performance.kernels.facts import Format
from vllm_preflight.performance.kernels.formats import activation_bytes, kernel_format

# Narrower than this a weight is no matrix product: norms, convolutions, states.
_NARROWEST = 64
_ROUTED = ("experts", "mlp", "feed_forward", "moe", "ffn")


@dataclass(frozen=True, slots=True)
class Matrices:
    """Dense matrices of one kernel on one rank.

    Attributes:
        kind: the kernel's number format; `expanded` where it expands weights to 16 bit.
        count: matrices, each a launch.
        bytes: all of them.
        elements: all of them; a token costs twice as many FLOPs.
        token_bytes: activations in and out, per token.
    """

    kind: Format
    expanded: bool
    count: float
    bytes: float
    elements: float
    token_bytes: float


@dataclass(frozen=True, slots=True)
class Experts:
    """Routed experts of equal layers on one rank.

    Attributes:
        kind, expanded: as of `Matrices`.
        layers: how many layers have them.
        number: experts of a layer on the rank, whole or sliced.
        share: experts a token visits / all experts.
        bytes: one expert on the rank.
        flops: of one token over the rank's part of the experts it visits, one layer.
        token_bytes: activations of one token, one layer.
    """

    kind: Format
    expanded: bool
    layers: float
    number: float
    share: float
    bytes: float
    flops: float
    token_bytes: float


@dataclass(frozen=True, slots=True)
class StageMatrices:
    """What the decoder layers of a mean stage multiply.

    `blocks` are mixers and feed-forward blocks, `reduces` those whose results are summed
    over the ranks.
    """

    dense: tuple[Matrices, ...]
    experts: tuple[Experts, ...]
    blocks: float
    reduces: float


@dataclass(frozen=True, slots=True)
class Division:
    """What of a launch bears on its matrices; hashable, so that they are reckoned once."""

    ranks: Ranks
    stages: int
    dtype: str
    quantization: str | None
    version: Version
    capability: ComputeCapability
    amd: bool

    @classmethod
    def of(cls, launch: Launch, capability: ComputeCapability, *, amd: bool) -> Division:
        """The division of a launch on GPUs of a capability."""
        tensor = launch.tensor_parallel_size
        ranks = Ranks(tensor, tensor * launch.data_parallel_size, launch.enable_expert_parallel)
        return cls(
            ranks,
            launch.pipeline_parallel_size,
            launch.dtype,
            launch.quantization,
            launch.version,
            capability,
            amd,
        )


def stage_matrices(model: Model, division: Division) -> StageMatrices:
    """The matrices of a mean pipeline stage: of all layers, divided by the stages."""
    layout = TensorLayout(
        requested(model.quantization, division.quantization),
        division.ranks,
        division.dtype,
        division.capability,
        division.version,
    )
    layers = model.architecture.layers
    counted: Counter[tuple[int, tuple[WeightScheme | None, ...]]] = Counter()
    seen: dict[tuple[int, tuple[WeightScheme | None, ...]], _Laid] = {}
    shared: dict[Layer, Layer] = {}
    for index, layer in enumerate(layers):
        same = shared.setdefault(layer, layer)
        laid = tuple(layout.matrices(same, index))
        key = (id(same), tuple(scheme for _, scheme in laid))
        counted[key] += 1
        seen.setdefault(key, (same, laid))
    adder = _Adder(layout, division, model.weight_scale)
    for key, count in counted.items():
        layer, laid = seen[key]
        adder.add(layer, laid, count / division.stages)
    return adder.stage()


_Laid = tuple[Layer, tuple[tuple[Placed, WeightScheme | None], ...]]


class _Adder:
    """Sums layers' matrices by kernel."""

    def __init__(self, layout: TensorLayout, division: Division, scale: float) -> None:
        self._layout, self._division, self._scale = layout, division, scale
        self._dense: dict[tuple[Format, bool], list[float]] = {}
        self._experts: list[Experts] = []
        self._blocks = self._reduces = 0.0

    def add(
        self, layer: Layer, laid: Iterable[tuple[Placed, WeightScheme | None]], count: float
    ) -> None:
        """Add `count` layers laid out as `laid`."""
        routed: list[tuple[Placed, WeightScheme | None]] = []
        for placed, scheme in laid:
            if not _multiplied(placed.weight):
                continue
            if placed.matrix.expert and layer.moe is not None:
                routed.append((placed, scheme))
            else:
                self._add_dense(placed, scheme, count)
        if routed and layer.moe is not None:
            share = layer.moe.experts_per_token / layer.moe.num_experts
            self._add_experts(routed, share, layer.moe.num_experts, count)
        mixers, forwards = _blocks(layer)
        self._blocks += count * (bool(mixers) + bool(forwards))
        split = [any(weight.split is Split.ROW for weight in block) for block in (mixers, forwards)]
        self._reduces += count * sum(split)

    def stage(self) -> StageMatrices:
        """What was added."""
        dense = tuple(Matrices(*key, *sums) for key, sums in self._dense.items())
        return StageMatrices(dense, tuple(self._experts), self._blocks, self._reduces)

    def _kind(self, scheme: WeightScheme | None, *, expert: bool) -> tuple[Format, bool]:
        of = self._division
        return kernel_format(
            scheme, expert=expert, capability=of.capability, amd=of.amd, version=of.version
        )

    def _add_dense(self, placed: Placed, scheme: WeightScheme | None, count: float) -> None:
        kind, expanded = self._kind(scheme, expert=False)
        matrix, times = placed.matrix, count * placed.tensors
        sums = self._dense.setdefault((kind, expanded), [0.0] * 4)
        size = sum(self._layout.sizes(placed, scheme)) * self._scale
        width = matrix.columns * activation_bytes(kind) + matrix.rows * 2.0
        for number, value in enumerate((1.0, size, matrix.elements * self._scale, width)):
            sums[number] += value * times

    def _add_experts(
        self,
        routed: list[tuple[Placed, WeightScheme | None]],
        share: float,
        experts: int,
        count: float,
    ) -> None:
        largest = max(routed, key=lambda item: item[0].matrix.elements)
        kind, expanded = self._kind(largest[1], expert=True)
        number = largest[0].matrix.copies
        visited = share * number
        elements = sum(placed.matrix.elements for placed, _ in routed) / number
        size = sum(sum(self._layout.sizes(placed, scheme)) for placed, scheme in routed)
        hidden = min(largest[0].matrix.columns, largest[0].matrix.rows)
        hidden = next((p.matrix.rows for p, _ in routed if p.matrix.second), hidden)
        self._experts.append(
            Experts(
                kind,
                expanded,
                layers=count,
                number=float(number),
                share=share,
                bytes=size / number * self._scale,
                flops=2.0 * elements * visited * self._scale,
                token_bytes=visited * hidden * (activation_bytes(kind) + 2.0),
            )
        )


def _multiplied(weight: Weight) -> bool:
    """Whether a step multiplies a weight: not norms, states, nor copies of a projection."""
    if not weight.in_checkpoint or weight.role is Role.VISION:
        return False
    return min(weight.rows, weight.columns) >= _NARROWEST or weight.role is Role.EXPERT


def _blocks(layer: Layer) -> tuple[list[Weight], list[Weight]]:
    """The weights of a layer's mixer and of its feed-forward block; either may be empty."""
    mixers: list[Weight] = []
    forwards: list[Weight] = []
    for weight in layer.weights:
        if _multiplied(weight):
            forward = weight.role is Role.EXPERT or any(name in weight.name for name in _ROUTED)
            (forwards if forward else mixers).append(weight)
    return mixers, forwards
