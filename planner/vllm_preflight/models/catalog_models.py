"""A catalogue entry as a Model, with what an incomplete entry leaves open said or derived.

Some entries hold only the keys of a config.json that a source quoted, a copy another project
keeps, or a class's defaults. What such an entry is silent about is not taken for "none": its
`facts` say what settled the length and the storage of weights, and a fact that nothing settled
is an `Assumption` of the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.catalog.entries import CatalogEntry
from vllm_preflight.models.config_reader import read_architecture, states_key
from vllm_preflight.models.model import Assumption, Model
from vllm_preflight.models.overrides import merge_config
from vllm_preflight.models.parameters import count_parameters
from vllm_preflight.models.quantization import Quantization, read_quantization

_COMPLETENESS = {
    "full": "the published config.json",
    "preset": "a copy that another project keeps",
    "subset": "the keys that its source quotes",
    "transformers-default": "the defaults of its class, whose documentation names the checkpoint",
    "borrowed": "that of a model with the same dimensions and parameter total",
    "composed": "published dimensions in a config of their class, exact to the parameter total",
}
_TIED = "tie_word_embeddings"
# Settings besides that change how much is stored: a feed-forward width that is rounded, and
# prediction layers.
_SWITCHES: tuple[tuple[str, object], ...] = (
    ("block_auto_adjust_ff_dim", False),
    ("mtp_num_hidden_layers", 0),
    ("mtp_num_hidden_layers", 1),
    ("num_nextn_predict_layers", 1),
)
LENGTH, STORAGE, SHAPES = "max_position_embeddings", "quantization_config", "config.json"
# Published repositories spell their pooling module as all releases know it.
_EVERY_RELEASE = (0, 0, 0)
# The share by which counted and published parameters may differ.
_COUNTED_APART = 0.01
# What a tower or a prediction layer that is not known may add to the counted parameters, in a
# class's defaults the latter alone, and the little that they may be too many: beyond, other
# shapes than these are published.
_UNKNOWN_PART, _UNKNOWN_PART_OF_DEFAULTS, _TOO_MANY = 0.1, 0.03, 0.02
_SETTLE = "Ask where the Hugging Face Hub can be reached, or give the folder of its config.json."
# Names that suggest, and do not decide, that a checkpoint of a generating class embeds.
_EMBEDDER = re.compile(r"embed|rerank|retriev|(^|[/-])(e5|gte|bge)-", re.IGNORECASE)
# Bytes a parameter of 16-bit weights, with room for a stored total that is not exact.
_LEAST_UNQUANTIZED = 1.8
# Weights in 8 bit over those in 16.
_EIGHT_BIT = 0.5


def catalog_model(entry: CatalogEntry) -> Model:
    """The model of an entry of the embedded catalogue.

    Raises:
        UnsupportedArchitecture: the entry's config is not one that is understood.
    """
    bytes_by_dtype: dict[str, int] = {}
    if entry.stored_dtype and entry.total_bytes:
        bytes_by_dtype[entry.stored_dtype] = entry.total_bytes
    basis = _COMPLETENESS[entry.completeness]
    notes: list[str] = []
    if entry.completeness != "full":
        notes.append(f"For config.json the catalogue holds {basis}.")
    remarks = [f"Of the config: {entry.note}."] if entry.note else []
    if entry.params_note:
        remarks.append(f"Of the published parameters: {entry.params_note}.")
    if entry.completed:
        remarks.append(f"Of the config besides, by {entry.completed_by}: {_keys(entry.completed)}.")
        entry = replace(entry, config=merge_config(entry.config, entry.completed))
    config, architecture = entry.config, read_architecture(entry.config)
    if entry.completeness in ("subset", "preset"):
        config, architecture, found = _completed(entry, architecture)
        notes += found
    quantization = read_quantization(config)
    assumed = _assumed(entry, architecture, quantization)
    if any(one.fact == LENGTH for one in assumed):
        architecture = replace(architecture, max_position_known=False)
    notes += [f"{one.sentence} {one.settle}" for one in assumed]
    if entry.conflict and not assumed:
        notes.append(f"Sources disagree on {entry.id}: {entry.conflict}.")
    if entry.pools:
        architecture = replace(architecture, pools_since=_EVERY_RELEASE)
    elif architecture.task == "generate" and _EMBEDDER.search(entry.id):
        notes.append(
            "The catalogue does not say whether the repository has a modules.json of "
            "sentence-transformers; with one, vLLM embeds instead of generating: ask with "
            "--runner pooling."
        )
    return Model(
        id=entry.id,
        origin="catalog",
        provenance=f"embedded catalogue of {entry.date}: {basis} ({entry.source}){_settled(entry)}",
        config=config,
        architecture=architecture,
        quantization=quantization,
        params_published=entry.params_total,
        checkpoint_bytes=entry.total_bytes,
        bytes_by_dtype=bytes_by_dtype,
        gated=entry.gated,
        notes=tuple(notes),
        remarks=tuple(remarks),
        assumed=assumed,
    )


def _keys(config: Mapping[str, Any]) -> str:
    """The keys of a config, those of its sections in their place."""
    names: list[str] = []
    for key, value in config.items():
        section = isinstance(value, Mapping)
        names += cast(Mapping[str, Any], value) if section else [key]
    return ", ".join(names)


def _settled(entry: CatalogEntry) -> str:
    """Which facts come from elsewhere than the config, for the provenance."""
    said = [
        f"{what} by {entry.facts[fact]}"
        for fact, what in ((LENGTH, "longest length"), (STORAGE, "storage of weights"))
        if entry.facts.get(fact, "published") not in ("published", "quoted", "unknown")
    ]
    return f"; {', '.join(said)}" if said else ""


def _assumed(
    entry: CatalogEntry, architecture: Architecture, quantization: Quantization
) -> tuple[Assumption, ...]:
    """The facts of an entry that no published source settles."""
    found: list[Assumption] = []
    if entry.facts.get(LENGTH) == "unknown":
        found.append(
            Assumption(
                LENGTH,
                f"{architecture.max_position:,} tokens",
                f"The catalogue does not know the longest length of {entry.id}: "
                f"{architecture.max_position:,} tokens are assumed where none is asked for, and a "
                "longer one is not refused here, though vLLM may refuse it.",
                _SETTLE,
            )
        )
    stored = (entry.total_bytes or 0) / (entry.params_total or 1)
    smaller = quantization.method == "none" and 0 < stored < _LEAST_UNQUANTIZED
    if smaller:
        sentence = (
            f"The files of {entry.id} hold {stored:.2f} bytes a parameter, but the catalogue's "
            "config names no quantisation: the weights may be as small as "
            f"{bytes_to_gib(entry.total_bytes or 0):.1f} GiB."
        )
        found.append(Assumption(STORAGE, "16-bit weights", sentence, _SETTLE, stored / 2))
    elif entry.facts.get(STORAGE) == "unknown":
        whole = 2 * (entry.params_total or count_parameters(architecture).total)
        sentence = (
            f"The catalogue does not know whether {entry.id} is stored quantised: its weights are "
            f"{bytes_to_gib(whole):.1f} GiB in 16 bit, as assumed here, and about "
            f"{bytes_to_gib(whole // 2):.1f} GiB in FP8."
        )
        found.append(Assumption(STORAGE, "16-bit weights", sentence, _SETTLE, _EIGHT_BIT))
    shapes = _shapes(entry, architecture, quantization)
    return tuple([*found, shapes] if shapes else found)


def _shapes(
    entry: CatalogEntry, architecture: Architecture, quantization: Quantization
) -> Assumption | None:
    """What it means that a part or copy of a config counts other parameters than published."""
    published = entry.params_total
    # A quantised checkpoint's published number counts packed elements.
    if entry.completeness == "full" or not published or quantization.method != "none":
        return None
    counted = count_parameters(architecture).total
    # The Hub counts an output head that is stored beside the embedding it shares; one that a
    # class builds and a model that embeds does not store, it does not count.
    head = architecture.vocab_size * architecture.hidden_size
    copies = (0, -head if entry.pools and not architecture.tied_embeddings else head)
    apart = min((counted + copy - published for copy in copies), key=abs) / published
    if abs(apart) <= _COUNTED_APART:
        return None
    makes = (
        f"The catalogue's config of {entry.id} makes {counted / 1e9:.2f} billion parameters of "
        f"{published / 1e9:.2f} published"
    )
    defaults = entry.completeness == "transformers-default"
    part = _UNKNOWN_PART_OF_DEFAULTS if defaults else _UNKNOWN_PART
    if not -part <= apart <= _TOO_MANY:
        sentence = f"{makes}: its shapes are others, and its weights and KV cache are not known."
        return Assumption(SHAPES, "the catalogue's shapes", sentence, _SETTLE, refuted=True)
    sentence = (
        f"{makes}: a shape, a tower or a prediction layer is not known, "
        "and the weights are uncertain by that share."
    )
    return Assumption(SHAPES, "the catalogue's shapes", sentence, _SETTLE, published / counted)


def _completed(
    entry: CatalogEntry, architecture: Architecture
) -> tuple[Mapping[str, Any], Architecture, list[str]]:
    """Config and architecture of a part of a config.json, and what was made of the gaps.

    A switch that the part leaves out shows in the number of parameters: the setting that
    makes exactly the published total is taken.
    """
    config, total = entry.config, entry.params_total
    if not total or count_parameters(architecture).total == total:
        return config, architecture, []
    settings = ((_TIED, not architecture.tied_embeddings), *_SWITCHES)
    for key, value in settings:
        if states_key(config, key):
            continue
        other = _with_setting(config, key, value)
        alternative = read_architecture(other)
        if count_parameters(alternative).total == total:
            said = f"it is {json.dumps(value)}"
            if key == _TIED:
                shares = "shares" if value else "does not share"
                said = f"the output head {shares} the embedding"
            note = f"The entry has no {key}; the published parameter total says that {said}."
            return other, alternative, [note]
    return config, architecture, []


def _with_setting(config: Mapping[str, Any], key: str, value: object) -> Mapping[str, Any]:
    """The config with a key of its text model."""
    text = config.get("text_config")
    if key != _TIED and isinstance(text, Mapping):
        return {**config, "text_config": {**cast(Mapping[str, Any], text), key: value}}
    return {**config, key: value}
