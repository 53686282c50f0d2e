"""A model as it was found: its architecture, its precision and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.quantization import Quantization

Origin = Literal["local", "cache", "catalog", "hub"]


@dataclass(frozen=True)
class Assumption:
    """A fact no published source states, and what is taken for it.

    Attributes:
        fact: the config key ("max_position_embeddings", "quantization_config").
        taken: what the answer takes it to be.
        sentence: what is not known and what that touches, as a full sentence.
        settle: the one thing to do that settles it, as a full sentence.
        other_weights: the weights' bytes by the other reading, over those taken.
        refuted: whether what is published contradicts what is taken: nothing is predicted of it.
    """

    fact: str
    taken: str
    sentence: str
    settle: str
    other_weights: float = 1.0
    refuted: bool = False


@dataclass(frozen=True, eq=False)
class Model:
    """What the engine knows of one model. Equal only to itself, so it can key caches.

    Attributes:
        id: the id or folder, in the source's own spelling.
        origin: where it was read: a local folder, the Hub's local cache, the embedded
            catalogue, or the Hub.
        provenance: the source of the facts and how complete they are, as a sentence.
        config: the raw config.json (merged with hf_quant_config.json).
        architecture: shapes of layers, caches and weights.
        quantization: how the checkpoint stores its weights.
        revision: the commit on the Hub, when known.
        params_published: stored parameters as published, when known.
        checkpoint_bytes: bytes of all tensors, when known.
        bytes_by_dtype: bytes of tensors by safetensors dtype ("BF16"), empty when unknown.
        gated: whether the Hub asks for a licence to be accepted; None when not known.
        supposed: whether it is another quantisation of the model that nobody named: it can be
            sized, but not served.
        weight_scale: factor on the weights' bytes, 1 unless a user gave the parameters.
        notes: what a reader of every answer should know about the facts: an answer may be
            wrong for it, or the reader can act on it.
        remarks: how the source's facts were written down; for a reader of the facts alone.
        assumed: facts no published source states; an answer that hangs on one is no more
            certain than it.
        speculator: the draft by whose name the model was asked for (speculators format):
            vLLM then serves its verifier, drafting with it.
    """

    id: str
    origin: Origin
    provenance: str
    config: Mapping[str, Any]
    architecture: Architecture
    quantization: Quantization
    revision: str | None = None
    params_published: int | None = None
    checkpoint_bytes: int | None = None
    bytes_by_dtype: Mapping[str, int] = field(default_factory=dict[str, int])
    gated: bool | None = None
    weight_scale: float = 1.0
    supposed: bool = False
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    assumed: tuple[Assumption, ...] = ()
    speculator: Model | None = None
