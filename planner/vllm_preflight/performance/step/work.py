"""What one step has to read and compute on one GPU: bytes and FLOPs, no times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.weights.weights import DRAFT_PART, StageWeights
from vllm_preflight.models.architecture import Split
from vllm_preflight.models.model import Model
from vllm_preflight.performance.step.attention import INDEX_TOPK, Attention, stage_attention
from vllm_preflight.performance.step.matrices import Division, StageMatrices, stage_matrices

_DRAFTS = ("prediction layers", DRAFT_PART)
_HEAD = "output head"
_EMBEDDINGS = "embeddings"
_ACTIVATION = 2.0


@dataclass(frozen=True)
class Work:
    """One pipeline stage's work on one GPU: the mean of the stages.

    Attributes:
        matrices: dense matrices and routed experts, by kernel.
        attention: attention and states, by kind.
        layers: decoder layers of the stage.
        head_bytes, head_flops: the output head, for tokens that are sampled; divided among
            all stages, which adds up over them.
        shared_norms: norms over all heads, which the ranks sum up in a small all-reduce.
        reduced_bytes: activations one all-reduce sums, per token.
        draft_bytes: prediction layers, read once for each drafted token.
        offloaded_bytes: weights fetched from CPU memory every step.
        replicas: data-parallel replicas whose tokens share the experts.
    """

    matrices: StageMatrices
    attention: tuple[Attention, ...]
    layers: float
    head_bytes: float
    head_flops: float
    shared_norms: float
    reduced_bytes: float
    draft_bytes: float
    offloaded_bytes: float
    replicas: int

    @property
    def expert_layers(self) -> float:
        """Layers with routed experts."""
        return sum(experts.layers for experts in self.matrices.experts)

    @property
    def dense_bytes(self) -> float:
        """Weights every token passes, without the output head."""
        return sum(matrices.bytes for matrices in self.matrices.dense)


def stage_work(
    model: Model,
    launch: Launch,
    capability: ComputeCapability,
    weights: StageWeights,
    *,
    amd: bool,
) -> Work:
    """The work of a mean pipeline stage; `weights` are the fullest one's, per GPU."""
    architecture = model.architecture
    stages = launch.pipeline_parallel_size
    parts = {part.name: float(part.bytes) for part in weights.parts}
    # Tied embeddings are the head; without either on this stage, 16 bit of all tokens.
    ranks = launch.tensor_parallel_size
    elements = architecture.vocab_size * architecture.hidden_size / ranks
    tied = parts.get(_EMBEDDINGS) if architecture.tied_embeddings else None
    head = parts.get(_HEAD) or tied or elements * _ACTIVATION
    return Work(
        matrices=_matrices(model, Division.of(launch, capability, amd=amd)),
        attention=stage_attention(architecture, launch, capability, _index_topk(model)),
        layers=len(architecture.layers) / stages,
        head_bytes=head / stages,
        head_flops=2.0 * elements / stages,
        shared_norms=_shared_norms(model) / stages,
        reduced_bytes=_ACTIVATION * architecture.hidden_size,
        draft_bytes=sum(parts.get(name, 0.0) for name in _DRAFTS),
        offloaded_bytes=float(weights.offloaded),
        replicas=launch.data_parallel_size,
    )


@lru_cache(maxsize=1024)
def _matrices(model: Model, division: Division) -> StageMatrices:
    return stage_matrices(model, division)


@lru_cache(maxsize=256)
def _shared_norms(model: Model) -> int:
    """Layers whose query and key norms run over all heads, and so over all ranks.

    Source: vLLM 0.18 model_executor/layers/mamba/linear_attn.py (MiniMaxText01RMSNormTP).
    """
    return sum(
        count
        for layer, count in model.architecture.layer_counts.items()
        if any("norm" in weight.name and weight.split is Split.COLUMN for weight in layer.weights)
    )


def _index_topk(model: Model) -> int:
    value = model.config.get("index_topk")
    return value if isinstance(value, int) else INDEX_TOPK
