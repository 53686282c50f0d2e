"""A checkpoint nobody here has a config of, answered from the model its name says it is.

`X-FP8`, `X-AWQ` and copies of X by another publisher are X with the scheme the name implies.
That is an assumption, said in the model's provenance, notes and `assumed`. A name that leaves
the scheme open (NVFP4, whose publishers leave different modules in 16 bit), a base that is
quantised itself and a fine-tune with a name of its own are not answered.
"""

from __future__ import annotations

import re
from functools import cache

from vllm_preflight.models.catalog.entries import CatalogEntry, catalog_entry, catalog_ids
from vllm_preflight.models.catalog_models import catalog_model
from vllm_preflight.models.checkpoint_names import read_name
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.implied import SAYS, with_implied_scheme
from vllm_preflight.models.model import Assumption, Model
from vllm_preflight.models.quantization import read_quantization

# Shorter names ("gpt2", "Yi-34B") stand in others by chance.
_SHORTEST_HINT = 6
_SETTLE = (
    "Ask where the Hugging Face Hub can be reached, or give the folder that holds the "
    "checkpoint's config.json."
)


def derived_model(model: str) -> Model | None:
    """The model an id not in the catalogue is taken for, or None where its name does not say.

    Raises UnsupportedArchitecture where the base is not understood.
    """
    name = read_name(model)
    base = base_of(model)
    if base is None:
        return None
    if name.precision is None:
        config, says = dict(base.config), "an unchanged copy of it"
    else:
        implied = with_implied_scheme(base.config, name.precision)
        if implied is None:
            return None
        config, says = implied, SAYS[name.precision]
    own = catalog_model(base)
    if name.precision is None:
        quantization, assumed_fact = own.quantization, "config.json"
    else:
        quantization, assumed_fact = read_quantization(config), "quantization_config"
    sentence = (
        f"{model} is not in the catalogue: it is taken for {base.id}, by its name {says}. Modules "
        "left in 16 bit, and a changed length or vocabulary, are not known."
    )
    return Model(
        id=model,
        origin="catalog",
        provenance=f"assumed from its name: {base.id} with {says}; {own.provenance}",
        config=config,
        architecture=read_architecture(config) if name.precision else own.architecture,
        quantization=quantization,
        notes=(f"{sentence} {_SETTLE}", *own.notes),
        assumed=(Assumption(assumed_fact, says, sentence, _SETTLE), *own.assumed),
    )


def base_of(model: str) -> CatalogEntry | None:
    """The catalogued model a name says this is a checkpoint of, or None."""
    name = read_name(model)
    found = [entry for entry in map(catalog_entry, _by_base().get(name.base.lower(), ())) if entry]
    if not found:
        return None
    # Of several with one name the publisher's own, then the one known in full.
    return min(
        found,
        key=lambda entry: (
            read_name(entry.id).organisation.lower() != name.organisation.lower(),
            entry.completeness != "full",
            entry.id.lower(),
        ),
    )


def likely_base(model: str) -> str | None:
    """The catalogued model whose name stands in a longer one ("X-medical", "y-X-FP8"), or None.

    A hint for whoever asked, never an answer: what a fine-tune changed is not known.
    """
    same = base_of(model)
    if same is not None:
        return None if same.id.lower() == model.lower() else same.id
    name = read_name(model).base.lower()
    inside = [
        base
        for base in _by_base()
        if len(base) > _SHORTEST_HINT
        and re.search(rf"(?<![a-z0-9]){re.escape(base)}(?![a-z0-9.])", name)
    ]
    return _by_base()[max(inside, key=len)][0] if inside else None


@cache
def _by_base() -> dict[str, tuple[str, ...]]:
    """Catalogued ids that claim no quantisation, by the name of their model."""
    found: dict[str, tuple[str, ...]] = {}
    for identifier in catalog_ids():
        name = read_name(identifier)
        if name.precision in (None, "16-bit"):
            found[name.base.lower()] = (*found.get(name.base.lower(), ()), identifier)
    return found
