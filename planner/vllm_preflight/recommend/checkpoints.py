"""The checkpoints a model exists in: its own, the catalogue's, those known by name, online FP8."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.catalog.checkpoints import checkpoints_of
from vllm_preflight.models.catalog.entries import catalog_ids
from vllm_preflight.models.derived import derived_model
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization_requests import requested
from vllm_preflight.models.sources import load_model
from vllm_preflight.models.weight_scheme import Quantization

# Words of a checkpoint's name that say how its weights are stored, and nothing else.
_STORAGE_WORDS = frozenset(
    (
        *("fp8", "fp4", "nvfp4", "mxfp4", "mxfp8", "awq", "gptq", "int4", "int8", "w4a16", "w8a8"),
        *("w8a16", "bf16", "fp16", "bnb", "4bit", "8bit", "quantized", "dynamic", "static"),
        *("pertensor", "block"),
    )
)


_FP8_BITS = 8


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint and what vLLM is asked to make of its weights.

    `altered` says that the weights are less precise than those of the model asked for.
    """

    model: Model
    quantization: str = "auto"
    altered: bool = False

    @property
    def effective(self) -> Quantization:
        """The quantisation in effect."""
        return requested(self.model.quantization, self.quantization)

    @property
    def label(self) -> str:
        """The precision for people: "16 bit", "AWQ INT4 group 128"."""
        found = self.effective
        return "16 bit" if found.method == "none" else found.label


def checkpoints(model: Model, quantization: str = "auto") -> tuple[Checkpoint, ...]:
    """The precisions to choose from, the model's own first.

    With a `quantization` other than "auto" there is no choice. Variants are models of
    the catalogue with the same name, but for words that say how weights are stored, the
    same dimensions and another quantisation; and checkpoints known by name alone, which are
    the model with the scheme their name says. A 16-bit checkpoint can also be quantised to
    FP8 by vLLM itself.
    """
    if quantization != "auto":
        return (Checkpoint(model, quantization),)
    own = model.quantization
    found = [Checkpoint(model)]
    seen = {own.label if own.method != "none" else "none"}
    for variant in variants(model):
        label = variant.quantization.label if variant.quantization.method != "none" else "none"
        if label not in seen:
            seen.add(label)
            found.append(Checkpoint(variant, altered=_is_coarser(variant, model)))
    if own.method == "none":
        found.append(Checkpoint(model, "fp8", altered=True))
    return tuple(found)


def coarser_checkpoints(model: Model) -> tuple[Checkpoint, ...]:
    """Checkpoints with less precise weights that exist, one for each number of bits.

    Those of the catalogue go before those known by name alone, and FP8 made while loading is
    for models of which none is stored in 8 bits.
    """
    found: dict[int, Checkpoint] = {}
    coarser = [item for item in checkpoints(model) if item.altered]
    for item in sorted(coarser, key=lambda item: (item.quantization != "auto", _is_assumed(item))):
        bits = _bits(item.model) if item.quantization == "auto" else _FP8_BITS
        found.setdefault(bits, item)
    return tuple(found.values())


def _is_assumed(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint.model.assumed)


@lru_cache(maxsize=64)
def variants(model: Model) -> tuple[Model, ...]:
    """Other checkpoints of a model that exist: same name and dimensions, the catalogue's first."""
    name = model.id.rstrip("/").rpartition("/")[2]
    words = _words(name) - _STORAGE_WORDS
    found: list[Model] = []
    for identifier in catalog_ids():
        other = _words(identifier.rpartition("/")[2])
        if identifier == model.id or not words <= other or other - words - _STORAGE_WORDS:
            continue
        try:
            variant = load_model(identifier, source="catalog")
        except PreflightError:
            # One the engine does not understand is no choice.
            continue
        if _dimensions(variant.architecture) == _dimensions(model.architecture):
            found.append(variant)
    named = (derived_model(identifier) for identifier in checkpoints_of(model.id))
    return (*found, *(variant for variant in named if variant is not None))


def storage_free_name(identifier: str) -> str:
    """A model's name without the words that only say how its weights are stored."""
    words = re.split(r"[-_/ ]+", identifier.rpartition("/")[2].lower())
    return "-".join(word for word in words if word and word not in _STORAGE_WORDS)


def _words(name: str) -> frozenset[str]:
    return frozenset(word for word in re.split(r"[-_/ ]+", name.lower()) if word)


def _dimensions(architecture: Architecture) -> tuple[object, ...]:
    moe = architecture.moe
    return (
        architecture.architecture,
        architecture.hidden_size,
        architecture.num_attention_heads,
        len(architecture.layers),
        architecture.vocab_size,
        moe and (moe.num_experts, moe.experts_per_token),
    )


def _is_coarser(variant: Model, model: Model) -> bool:
    return _bits(variant) < _bits(model)


def _bits(model: Model) -> int:
    scheme = model.quantization.default
    return 16 if scheme is None else scheme.bits
