"""Bytes of weights on each GPU: what vLLM prints as "Model loading took".

The tensors of each pipeline stage are listed as vLLM holds them on the fullest
tensor-parallel rank (rank 0), then counted twice: exactly, and as PyTorch's allocator
counts them (vLLM 0.33 v1/worker/gpu/model_runner.py, load_model).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Launch, Lora, Version
from vllm_preflight.memory.weights.allocator import allocated_bytes
from vllm_preflight.memory.weights.division import Ranks
from vllm_preflight.memory.weights.lora import lora_buffers
from vllm_preflight.memory.weights.pipeline import Stage, model_stages
from vllm_preflight.memory.weights.startup_buffers import sized_by_batch, startup_buffers
from vllm_preflight.memory.weights.tensors import DTYPE_BYTES, Tensor, TensorLayout
from vllm_preflight.memory.weights.unlisted import unlisted_tensors
from vllm_preflight.models.architecture import Encoder, Layer, Role, Weight
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import unsupported
from vllm_preflight.models.quantization_requests import requested

# First release whose multimodal ropes may keep no more positions than the text's.
_ONE_LENGTH_ROPES: Version = (0, 32, 0)
# What the answer calls the weights of a draft model or head.
DRAFT_PART = "draft model"


@dataclass(frozen=True, slots=True)
class Part:
    """A named share of a stage's weights, in bytes as the allocator counts them."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class StageWeights:
    """Weights of one pipeline stage on its fullest rank, in bytes.

    `exact` sums the tensors, `allocated` what the allocator counts for them; `parts`
    split the latter. `offloaded` bytes live in CPU memory (`--cpu-offload-gb`) and are
    in neither.
    """

    exact: int
    allocated: int
    parts: tuple[Part, ...]
    offloaded: int = 0


@dataclass(frozen=True, slots=True)
class RankWeights:
    """Weights per GPU for each pipeline stage."""

    stages: tuple[StageWeights, ...]

    @property
    def fullest(self) -> StageWeights:
        """The stage with the most bytes."""
        return max(self.stages, key=lambda stage: stage.allocated)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What of a launch bears on its weights."""

    version: Version
    capability: ComputeCapability
    dtype: str
    ranks: Ranks
    pipeline: int
    quantization: str | None
    offload: int
    lora: Lora | None
    predictors: bool
    batched_tokens: int
    sequences: int
    towers: frozenset[str]
    whole_towers: bool
    pooling: bool


def weights_per_rank(model: Model, launch: Launch, capability: ComputeCapability) -> RankWeights:
    """Bytes of weights on the fullest GPU of each pipeline stage.

    Raises:
        InvalidRequest: the launch asks for a quantisation the checkpoint excludes.
        UnsupportedArchitecture: a scheme's layout is not modelled.
    """
    facts = _facts(model, launch, capability)
    weights = _weights(model, facts)
    weights = weights if model.weight_scale == 1 else _scaled(weights, model.weight_scale)
    draft = _draft_weights(launch, capability)
    return weights if draft is None else _beside_draft(weights, draft)


def _facts(model: Model, launch: Launch, capability: ComputeCapability) -> _Facts:
    # Limits that decide nothing are left out, so that launches share what is reckoned.
    batched = sized_by_batch(model)
    return _Facts(
        version=launch.version,
        capability=capability,
        dtype=launch.dtype,
        ranks=Ranks(
            launch.tensor_parallel_size,
            launch.tensor_parallel_size * launch.data_parallel_size,
            launch.enable_expert_parallel,
        ),
        pipeline=launch.pipeline_parallel_size,
        quantization=launch.quantization,
        offload=launch.cpu_offload_bytes,
        lora=launch.lora,
        predictors=launch.speculation is not None and launch.speculation.own_layers,
        batched_tokens=launch.max_num_batched_tokens if batched else 0,
        sequences=launch.max_num_seqs if batched else 0,
        towers=_towers(launch),
        whole_towers=launch.mm_encoder_tp_mode == "data",
        pooling=launch.pooling,
    )


def _draft_weights(launch: Launch, capability: ComputeCapability) -> StageWeights | None:
    """The draft's weights on one rank, None without a draft.

    All of it stays on the last pipeline stage, divided over the target's tensor-parallel
    ranks. It uses the target's embedding where that is on the same stage (vLLM 0.33
    v1/worker/gpu/spec_decode/eagle/utils.py).
    """
    speculation = launch.speculation
    if speculation is None or speculation.drafter is None:
        return None
    draft = speculation.drafter
    if speculation.shares_embedding and launch.pipeline_parallel_size == 1:
        draft = _without_embedding(draft)
    alone = replace(
        launch,
        pipeline_parallel_size=1,
        quantization=speculation.quantization,
        cpu_offload_bytes=0,
        lora=None,
        speculation=None,
        pooling=False,
    )
    return _weights(draft, _facts(draft, alone, capability)).fullest


@lru_cache(maxsize=64)
def _without_embedding(draft: Model) -> Model:
    # Kept, because a model is equal only to itself and keys caches.
    return replace(draft, architecture=replace(draft.architecture, embeddings=()))


def _beside_draft(weights: RankWeights, draft: StageWeights) -> RankWeights:
    *before, last = weights.stages
    joined = StageWeights(
        last.exact + draft.exact,
        last.allocated + draft.allocated,
        (*last.parts, Part(DRAFT_PART, draft.allocated)),
        last.offloaded,
    )
    return RankWeights((*before, joined))


def _scaled(weights: RankWeights, factor: float) -> RankWeights:
    return RankWeights(
        tuple(
            StageWeights(
                exact=round(stage.exact * factor),
                allocated=round(stage.allocated * factor),
                parts=tuple(Part(part.name, round(part.bytes * factor)) for part in stage.parts),
                offloaded=stage.offloaded,
            )
            for stage in weights.stages
        )
    )


def _towers(launch: Launch) -> frozenset[str]:
    """The kinds of encoders vLLM loads: none whose every modality is limited to 0."""
    limits = launch.limit_mm_per_prompt
    kinds = {"vision": ("image", "video"), "audio": ("audio",)}
    return frozenset(
        kind
        for kind, modalities in kinds.items()
        if any(limits.get(modality, 1) for modality in modalities)
    )


@lru_cache(maxsize=4096)
def _weights(model: Model, facts: _Facts) -> RankWeights:
    stages = model_stages(model.architecture, facts.pipeline)
    quantization = requested(model.quantization, facts.quantization)
    layout = TensorLayout(
        quantization,
        facts.ranks,
        facts.dtype,
        facts.capability,
        facts.version,
    )
    last = len(stages) - 1
    weights = RankWeights(
        tuple(
            _stage(model, facts, layout, stage, first=number == 0, last=number == last)
            for number, stage in enumerate(stages)
        )
    )
    if quantization.names_experts and model.architecture.moe and not layout.quantised_experts:
        raise unsupported("checkpoint's naming of quantised experts", "quantized_layers")
    return weights


def _stage(
    model: Model, facts: _Facts, layout: TensorLayout, stage: Stage, *, first: bool, last: bool
) -> StageWeights:
    tensors: Counter[tuple[str, int]] = Counter()
    for alike, layers in _layer_tensors(model, layout, stage.layers):
        for tensor in alike:
            tensors[tensor.part, tensor.bytes] += tensor.count * layers
    moved, offloaded = _moved(model, layout, stage.layers, facts.offload)
    tensors.subtract(moved)
    for tensor in _other_tensors(model, facts, layout, stage, first=first, last=last):
        tensors[tensor.part, tensor.bytes] += tensor.count
    parts: Counter[str] = Counter()
    exact = 0
    for (part, size), count in tensors.items():
        exact += size * count
        parts[part] += allocated_bytes(size, facts.version) * count
    return StageWeights(
        exact,
        sum(parts.values()),
        tuple(Part(name, size) for name, size in parts.items() if size),
        offloaded,
    )


@lru_cache(maxsize=256)
def _shared_layers(model: Model) -> tuple[Layer, ...]:
    """The model's layers, equal ones as the same object, so that each is laid out once."""
    first: dict[Layer, Layer] = {}
    return tuple(first.setdefault(layer, layer) for layer in model.architecture.layers)


def _layer_tensors(
    model: Model, layout: TensorLayout, layers: range
) -> Iterator[tuple[list[Tensor], int]]:
    """Tensors of each kind of layer in the order they come first, and how many layers have them."""
    shared = _shared_layers(model)
    found: dict[int, tuple[list[Tensor], int]] = {}
    for index in layers:
        tensors = layout.layer(shared[index], index)
        _, count = found.get(id(tensors), (tensors, 0))
        found[id(tensors)] = (tensors, count + 1)
    yield from found.values()


def _moved(
    model: Model, layout: TensorLayout, layers: range, budget: int
) -> tuple[Counter[tuple[str, int]], int]:
    """What lives in CPU memory, and its bytes: whole parameters until the budget is reached."""
    moved: Counter[tuple[str, int]] = Counter()
    offloaded = 0
    shared = _shared_layers(model) if budget else ()
    for index in layers:
        if offloaded >= budget:
            break
        for tensor in layout.layer(shared[index], index):
            if offloaded < budget and tensor.parameter:
                offloaded += tensor.bytes * tensor.count
                moved[tensor.part, tensor.bytes] += tensor.count
    return moved, offloaded


def _other_tensors(
    model: Model, facts: _Facts, layout: TensorLayout, stage: Stage, *, first: bool, last: bool
) -> Iterator[Tensor]:
    """Everything of a stage that is not a decoder layer."""
    architecture = model.architecture
    if stage.embedding:
        yield from layout.tensors(architecture.embeddings)
    # A pooling model has no logits, so vLLM drops its output head.
    heads = [w for w in architecture.head if _is_head(w) and not facts.pooling]
    if stage.final_norm:
        yield from layout.tensors(w for w in architecture.head if not _is_head(w))
    if stage.head:
        yield from layout.tensors(heads)
    for encoder in architecture.encoders:
        if encoder.kind in facts.towers:
            yield from _encoder_tensors(encoder, facts, layout)
    if first:
        yield from unlisted_tensors(model, facts.version, DTYPE_BYTES[facts.dtype], facts.towers)
    for rope in architecture.ropes:
        width = DTYPE_BYTES[rope.dtype or facts.dtype]
        fold = 4 if rope.once_fourfold and facts.version < _ONE_LENGTH_ROPES else 1
        yield Tensor("rotary tables", fold * rope.positions * rope.dim * width)
    layers = [architecture.layers[index] for index in stage.layers]
    if last and facts.predictors:
        for layer in architecture.predictor_layers:
            yield from _predictor_tensors(layer, layout, len(architecture.layers))
            layers.append(layer)
    yield from startup_buffers(
        model,
        layers,
        batched_tokens=facts.batched_tokens,
        sequences=facts.sequences,
        dtype_bytes=DTYPE_BYTES[facts.dtype],
        first=first,
    )
    if facts.lora is not None:
        head = heads if stage.head else []
        yield from lora_buffers(layers, head, facts.lora, facts.ranks, DTYPE_BYTES[facts.dtype])


def _is_head(weight: Weight) -> bool:
    return weight.name.startswith("lm_head")


def _encoder_tensors(encoder: Encoder, facts: _Facts, layout: TensorLayout) -> Iterable[Tensor]:
    """An encoder, divided over the ranks unless asked otherwise or by heads that cannot be."""
    whole: list[Weight] = []
    divided: list[Weight] = []
    for weight in encoder.weights:
        uneven = weight.units > 1 and weight.units % facts.ranks.tensor
        (whole if facts.whole_towers or uneven else divided).append(weight)
    yield from layout.tensors(whole, part=encoder.kind, ranks=Ranks())
    yield from layout.tensors(divided, part=encoder.kind, ranks=facts.ranks)


def _predictor_tensors(layer: Layer, layout: TensorLayout, index: int) -> Iterator[Tensor]:
    """A prediction layer; embedding and head are shared with the model."""
    own = tuple(
        weight for weight in layer.weights if weight.role not in {Role.EMBEDDING, Role.LM_HEAD}
    )
    for tensor in layout.layer(Layer(layer.caches, own, layer.moe), index):
        yield Tensor("prediction layers", tensor.bytes, tensor.count)
