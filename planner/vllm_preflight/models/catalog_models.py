"""A catalogue entry as a Model, with what an incomplete entry leaves open said or derived.

Some entries hold only the keys of a config.json that a source quoted. Where such an entry
is silent about the length or about sharing the embedding with the output head, the
config's class default would be a guess that looks like a fact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.catalog.entries import CatalogEntry
from vllm_preflight.models.config_reader import read_architecture, states_key, states_length
from vllm_preflight.models.model import Model
from vllm_preflight.models.parameters import count_parameters
from vllm_preflight.models.quantization import read_quantization

_COMPLETENESS = {
    "full": "the published config.json",
    "subset": "the keys of config.json that its source quotes",
    "transformers-default": "the defaults of the class that documents this checkpoint",
    "borrowed": "the config of a model with the same dimensions and parameter total",
}
_TIED = "tie_word_embeddings"
# Names that suggest, and do not decide, that a checkpoint of a generating class embeds.
_EMBEDDER = re.compile(r"embed|rerank|retriev|(^|[/-])(e5|gte|bge)-", re.IGNORECASE)
# Bytes a parameter of 16-bit weights, with room for a stored total that is not exact.
_LEAST_UNQUANTIZED = 1.8


def catalog_model(entry: CatalogEntry) -> Model:
    """The model of an entry of the embedded catalogue.

    Raises:
        UnsupportedArchitecture: the entry's config is not one that is understood.
    """
    bytes_by_dtype: dict[str, int] = {}
    if entry.stored_dtype and entry.total_bytes:
        bytes_by_dtype[entry.stored_dtype] = entry.total_bytes
    basis = _COMPLETENESS[entry.completeness]
    notes = [f"Of the config: {entry.note}."] if entry.note else []
    if entry.params_note:
        notes.append(f"Of the published parameters: {entry.params_note}.")
    if entry.completeness != "full":
        notes.insert(0, f"The catalogue holds {basis}, not the whole config.json.")
    config, architecture = entry.config, read_architecture(entry.config)
    if entry.completeness == "subset":
        config, architecture, found = _completed(entry, architecture)
        notes += found
    if architecture.task == "generate" and _EMBEDDER.search(entry.id):
        notes.append(
            "The catalogue does not say whether the repository has a modules.json of "
            "sentence-transformers; with one, vLLM embeds instead of generating: ask with "
            "--runner pooling."
        )
    quantization = read_quantization(config)
    stored = (entry.total_bytes or 0) / (entry.params_total or 1)
    if quantization.method == "none" and 0 < stored < _LEAST_UNQUANTIZED:
        notes.append(
            f"The checkpoint stores {stored:.2f} bytes a parameter, but the catalogue's config "
            "names no quantisation: the weights are smaller than said here."
        )
    return Model(
        id=entry.id,
        origin="catalog",
        provenance=f"embedded catalogue of {entry.date}: {basis} ({entry.source})",
        config=config,
        architecture=architecture,
        quantization=quantization,
        params_published=entry.params_total,
        checkpoint_bytes=entry.total_bytes,
        bytes_by_dtype=bytes_by_dtype,
        gated=entry.gated,
        notes=tuple(notes),
    )


def _completed(
    entry: CatalogEntry, architecture: Architecture
) -> tuple[Mapping[str, Any], Architecture, list[str]]:
    """Config and architecture of a part of a config.json, and what was made of the gaps."""
    config, notes = entry.config, list[str]()
    other = {**config, _TIED: not architecture.tied_embeddings}
    if entry.params_total and not states_key(config, _TIED):
        alternative = read_architecture(other)
        counted = count_parameters(architecture).total
        if counted != entry.params_total == count_parameters(alternative).total:
            config, architecture = other, alternative
            shares = "shares" if alternative.tied_embeddings else "does not share"
            notes.append(
                f"The entry has no {_TIED}; the published parameter total says that the output "
                f"head {shares} the embedding."
            )
    if not states_length(config):
        architecture = replace(architecture, max_position_known=False)
        notes.append(
            "The entry does not say the model's longest length: "
            f"{architecture.max_position:,} tokens are assumed where none is asked for, and a "
            "longer one is not refused here, though vLLM may refuse it."
        )
    return config, architecture, notes
