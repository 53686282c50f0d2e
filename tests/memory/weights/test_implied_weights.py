"""A scheme read from a name weighs what the published checkpoint of that name weighs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.memory.weights.test_weights import weights

from vllm_preflight.models.catalog.entries import catalog_entry, catalog_ids
from vllm_preflight.models.catalog_models import catalog_model
from vllm_preflight.models.checkpoint_names import read_name
from vllm_preflight.models.derived import base_of
from vllm_preflight.models.implied import with_implied_scheme

# Of FP8, AWQ and GPTQ checkpoints by their own publishers; Llama 4's keeps its shared experts
# and every other projection in 16 bit, which no name says.
TOLERANCE = {"RedHatAI": 0.03}


def _pairs() -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for identifier in catalog_ids():
        base = base_of(identifier)
        claimed = read_name(identifier).precision
        if base is None or claimed in (None, "16-bit") or base.completeness != "full":
            continue
        if with_implied_scheme(base.config, claimed) is not None:
            pairs.append((identifier, base.id))
    return pairs


@pytest.mark.parametrize(("checkpoint", "base"), _pairs())
def test_the_implied_scheme_weighs_what_the_published_one_does(checkpoint: str, base: str) -> None:
    published, origin = catalog_entry(checkpoint), catalog_entry(base)
    claimed = read_name(checkpoint).precision
    assert published is not None and origin is not None and claimed is not None
    if published.completeness != "full":
        pytest.skip("the checkpoint's own config is not known in full")
    implied = with_implied_scheme(origin.config, claimed)
    assert implied is not None
    true = weights(catalog_model(published), (9, 0)).fullest.exact
    found = weights(catalog_model(replace(origin, config=implied)), (9, 0)).fullest.exact
    tolerance = TOLERANCE.get(read_name(checkpoint).organisation, 0.002)
    assert abs(found - true) <= tolerance * true
