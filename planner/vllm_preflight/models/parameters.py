"""How many parameters a model has, by what they are for, and how many a token uses.

Counted from the shapes of the checkpoint's weights, so that the total is what the Hub
publishes (`safetensors.total`): prediction layers and stored buffers included, what
vLLM merely allocates left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vllm_preflight.models.architecture import Architecture, Role, Weight

Part = Literal[
    "embeddings",
    "attention",
    "mlp",
    "experts",
    "norms",
    "head",
    "vision",
    "audio",
    "predictor",
]
_WHOLE: Mapping[str, Part] = {"vision": "vision", "audio": "audio", "predictor": "predictor"}
# Names that open the feed-forward half of a layer, in the families' spellings.
_FEED_FORWARD = ("mlp", "moe", "block_sparse_moe", "feed_forward", "router", "shared", "experts")


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Parameters of a model, in elements of stored tensors.

    Attributes:
        total: everything the checkpoint stores, as the config describes it.
        active: what one text token visits: the layers with only the experts it is
            routed to, the embedding and the output head (once when they are tied);
            no towers and no prediction layers.
        embeddings: input embeddings, learned positions and projections beside them.
        attention: attention and other sequence mixing (Mamba, delta rules).
        mlp: dense feed-forward blocks, routers and shared experts.
        experts: routed experts.
        norms: normalisations of the decoder.
        head: the output head of an untied model, pooling and classification heads.
        vision: vision towers with their projectors.
        audio: audio towers with their projectors.
        predictor: multi-token-prediction layers, copies below included.
        tied_head: elements of the output head a tied model does not need to store.
            Some checkpoints store the copy; no config key says so.
        predictor_copies: embeddings and heads repeated in prediction layers. Some
            checkpoints leave them out; no config key says so.
    """

    total: int
    active: int
    embeddings: int = 0
    attention: int = 0
    mlp: int = 0
    experts: int = 0
    norms: int = 0
    head: int = 0
    vision: int = 0
    audio: int = 0
    predictor: int = 0
    tied_head: int = 0
    predictor_copies: int = 0

    @property
    def published(self) -> tuple[int, ...]:
        """The totals a checkpoint of this config can have, the plainest first."""
        with_head = self.total + self.tied_head
        without_copies = self.total - self.predictor_copies
        return tuple(dict.fromkeys((self.total, with_head, without_copies)))


@lru_cache(maxsize=256)
def count_parameters(architecture: Architecture) -> ParameterCount:
    """The parameters of a model by part, from the shapes of its stored weights."""
    parts: Counter[Part] = Counter()
    copies = 0
    for where, weight, count in architecture.all_weights():
        if not weight.in_checkpoint:
            continue
        parts[_part(where, weight)] += weight.elements * count
        if where == "predictor" and weight.role in (Role.EMBEDDING, Role.LM_HEAD):
            copies += weight.elements * count
    for weight in architecture.unloaded:
        parts[_part("layers", weight)] += weight.elements
    for encoder in architecture.encoders:
        parts[encoder.kind] += sum(weight.elements for weight in encoder.unloaded)
    tied = (
        architecture.vocab_size * architecture.hidden_size
        if architecture.tied_embeddings and architecture.task == "generate"
        else 0
    )
    return ParameterCount(
        total=parts.total(),
        active=_active(architecture),
        **parts,
        tied_head=tied,
        predictor_copies=copies,
    )


def _part(where: str, weight: Weight) -> Part:
    """What a weight is for."""
    if where in _WHOLE:
        return _WHOLE[where]
    name = weight.name
    if weight.role is Role.LM_HEAD or name.startswith(("lm_head", "pooler", "classifier")):
        return "head"
    if weight.role is Role.EXPERT or ("experts." in name and "shared" not in name):
        return "experts"
    if "norm" in name.rpartition(".")[2] or name.endswith("norm.bias"):
        return "norms"
    if where in ("embeddings", "head"):
        return "embeddings"
    return "mlp" if name.startswith(_FEED_FORWARD) else "attention"


def _active(architecture: Architecture) -> int:
    total = sum(
        weight.elements
        for weight in (*architecture.embeddings, *architecture.head)
        if weight.in_checkpoint
    )
    for layer, count in architecture.layer_counts.items():
        moe = layer.moe
        for weight in layer.weights:
            if not weight.in_checkpoint:
                continue
            visited = weight.elements
            if moe is not None and weight.copies == moe.num_experts:
                visited = visited * moe.experts_per_token // moe.num_experts
            total += visited * count
    return total
