"""The checkpoints a model exists in: its own, the catalogue's, online FP8, those known by name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.models.architecture import Architecture
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
    same dimensions and another quantisation. A 16-bit checkpoint can also be quantised to
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
    """Checkpoints with less precise weights that exist, and FP8 made while loading.

    Of those the catalogue has not, the ones that are known by name are read as their names
    say (`models/derived.py`), one for each number of bits that the catalogue has none of.
    """
    found = [item for item in checkpoints(model) if item.altered]
    stored = [item for item in found if item.quantization == "auto"]
    named = list(_known_by_name(model, {_bits(item.model) for item in stored}))
    eight = any(_bits(item.model) == 8 for item in (*stored, *named))
    online = [item for item in found if item.quantization != "auto" and not eight]
    return (*stored, *named, *online)


def _known_by_name(model: Model, bits: set[int]) -> Iterator[Checkpoint]:
    for identifier in _named_checkpoints().get(model.id, ()):
        try:
            derived = derived_model(identifier)
        except PreflightError:
            continue
        if derived is None or _bits(derived) in bits or not _is_coarser(derived, model):
            continue
        bits.add(_bits(derived))
        yield Checkpoint(derived, altered=True)


@cache
def _named_checkpoints() -> Mapping[str, Sequence[str]]:
    """Quantised checkpoints on the Hub by the catalogued model they are of."""
    path = Path(__file__).with_name("checkpoint_ids.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    return {base: [item["id"] for item in items] for base, items in table["models"].items()}


def variants(model: Model) -> list[Model]:
    """The catalogue's other checkpoints of a model: same name and dimensions."""
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
    return found


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
