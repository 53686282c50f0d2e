"""The tensors one rank holds for a list of weights, with the part each belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Version
from vllm_preflight.memory.weights.division import Placed, Ranks, is_expert, placed_weights
from vllm_preflight.memory.weights.layouts import (
    expert_bias_layout,
    plain_layout,
    quantised_layout,
)
from vllm_preflight.models.architecture import Layer, Role, Split, Weight
from vllm_preflight.models.quantization import Quantization, WeightScheme

DTYPE_BYTES = {
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float8_e4m3fn": 1,
    "uint8": 1,
    "int32": 4,
    "int64": 8,
}
_QUANTISABLE = frozenset({Role.LINEAR, Role.EXPERT, Role.LM_HEAD})
# Copies of the key and value up-projections vLLM makes for latent attention.
_ABSORBED = ("W_UK_T", "W_UV")
# First release taken to keep them as views of an unquantised up-projection: copies were
# seen in 0.19 and views in 0.33.
_ABSORBED_AS_VIEWS: Version = (0, 20, 0)


@dataclass(frozen=True, slots=True)
class Tensor:
    """`count` equal tensors of `bytes` each. `parameter` ones can be offloaded."""

    part: str
    bytes: int
    count: int = 1
    parameter: bool = False


class TensorLayout:
    """How weights become tensors under one quantisation, division, dtype and GPU.

    Layers are laid out once per distinct layer, unless the quantisation names layers
    by number. `quantised_experts` says whether any routed expert so far is quantised.
    """

    def __init__(
        self,
        quantization: Quantization,
        ranks: Ranks,
        dtype: str,
        capability: ComputeCapability,
        version: Version,
    ) -> None:
        self._quantization = quantization
        self._ranks = ranks
        self._element_bytes = DTYPE_BYTES[dtype]
        self._capability = capability
        self._version = version
        self._placed: dict[int, tuple[Layer, list[Placed]]] = {}
        self.quantised_experts = False
        self._any_index: dict[int, tuple[WeightScheme | None, ...]] = {}
        self._layers: dict[tuple[int, tuple[WeightScheme | None, ...]], list[Tensor]] = {}

    def layer(self, layer: Layer, index: int) -> list[Tensor]:
        """The tensors of decoder layer `index`."""
        if id(layer) not in self._placed:
            # The layer is kept beside its parts, so that its id stays its own.
            self._placed[id(layer)] = (layer, placed_weights(layer.weights, self._ranks))
        placed = self._placed[id(layer)][1]
        schemes = self._layer_schemes(layer, placed, index)
        key = (id(layer), schemes)
        if key not in self._layers:
            tensors = list(self._laid_out(placed, schemes, ""))
            if layer.moe is not None and self._ranks.whole_experts:
                # Which rank has which expert, one int32 each.
                tensors.append(Tensor("experts", layer.moe.num_experts * 4))
            self._layers[key] = tensors
        return self._layers[key]

    def matrices(self, layer: Layer, index: int) -> Iterator[tuple[Placed, WeightScheme | None]]:
        """The parameters of decoder layer `index` as they are divided, with their schemes."""
        self.layer(layer, index)
        placed = self._placed[id(layer)][1]
        return zip(placed, self._layer_schemes(layer, placed, index), strict=True)

    def _layer_schemes(
        self, layer: Layer, placed: list[Placed], index: int
    ) -> tuple[WeightScheme | None, ...]:
        if self._quantization.depends_on_layer:
            return self._schemes(placed, f"model.layers.{index}.")
        if id(layer) not in self._any_index:
            self._any_index[id(layer)] = self._schemes(placed, "model.layers.0.")
        return self._any_index[id(layer)]

    def tensors(
        self, weights: Iterable[Weight], *, part: str = "", ranks: Ranks | None = None
    ) -> Iterator[Tensor]:
        """The tensors of weights outside the decoder layers, all under `part` if given."""
        placed = placed_weights(weights, ranks or self._ranks)
        return self._laid_out(placed, self._schemes(placed, ""), part)

    def _schemes(self, placed: list[Placed], prefix: str) -> tuple[WeightScheme | None, ...]:
        return tuple(self._scheme(item.weight, prefix) for item in placed)

    def _scheme(self, weight: Weight, prefix: str) -> WeightScheme | None:
        expert = is_expert(weight)
        if weight.role is Role.VISION:
            # An encoder that is not divided runs in transformers' layers, out of reach.
            whole = weight.split is Split.REPLICATED
            return None if whole else self._quantization.encoder_scheme
        if weight.role not in _QUANTISABLE and not expert:
            if not weight.name.endswith(_ABSORBED):
                return None
            return self._quantization.scheme(f"{prefix}{weight.name.rpartition('.')[0]}.kv_b_proj")
        joined = weight.fused not in {"", weight.name}
        return self._quantization.scheme(
            prefix + weight.name,
            fused=prefix + weight.fused if joined else "",
            expert=expert,
            head=weight.role is Role.LM_HEAD,
        )

    def _laid_out(
        self, placed: list[Placed], schemes: tuple[WeightScheme | None, ...], part: str
    ) -> Iterator[Tensor]:
        for item, scheme in zip(placed, schemes, strict=True):
            name = part or part_of(item.weight)
            self.quantised_experts |= scheme is not None and item.matrix.expert
            for number, size in enumerate(self.sizes(item, scheme)):
                scale = "quantisation scales" if number and not part else name
                yield Tensor(scale, size, item.tensors, item.weight.in_checkpoint)

    def sizes(self, item: Placed, scheme: WeightScheme | None) -> tuple[int, ...]:
        """Bytes of each tensor of a parameter: its numbers first, then its scales."""
        weight, matrix = item.weight, item.matrix
        width = self._width(weight.dtype)
        if weight.name.endswith(_ABSORBED):
            # Dequantised copies of a quantised up-projection, views of another.
            copied = scheme is not None or self._version < _ABSORBED_AS_VIEWS
            return (matrix.elements * width,) if copied else ()
        if matrix.expert and matrix.columns == 1:
            return expert_bias_layout(matrix, scheme, width, self._capability)
        if scheme is None:
            return plain_layout(matrix, width, self._capability)
        return quantised_layout(matrix, scheme, self._capability, self._version)

    def _width(self, dtype: str | None) -> int:
        if dtype is None or (dtype == "router" and self._capability[0] in {9, 10}):
            return self._element_bytes
        return DTYPE_BYTES["float32" if dtype == "router" else dtype]


def part_of(weight: Weight) -> str:
    """The part of the answer a weight is listed under."""
    if weight.role is Role.EMBEDDING:
        return "embeddings"
    if weight.role is Role.LM_HEAD:
        return "output head"
    name = weight.name
    if is_expert(weight):
        return "experts"
    if "shared_expert" in name:
        return "shared experts"
    if "norm" in name:
        return "norms"
    if any(piece in name for piece in ("mlp", "feed_forward", "moe")):
        return "feed-forward"
    if "attn" in name or "attention" in name:
        return "attention"
    if any(piece in name for piece in ("mamba", "mixer", "conv")):
        return "state layers"
    return "other"
