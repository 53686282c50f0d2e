"""Finding a draft: like any model, and by the architecture's rule where nothing is published.

`load_served` is for what `vllm serve` is given: a draft in the speculators format names its
verifier, which is then served with it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache

from vllm_preflight.base.errors import (
    HubUnavailable,
    PreflightError,
    UnknownModel,
    UnsupportedArchitecture,
)
from vllm_preflight.base.strangers import without_folders
from vllm_preflight.models.drafts.derived import derived_head
from vllm_preflight.models.drafts.formats import HeadMethod, head_method, verifier
from vllm_preflight.models.drafts.heads import read_head
from vllm_preflight.models.drafts.in_target import dspark_stages
from vllm_preflight.models.local import Progress
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model

# Seconds for which a draft that was not found is not looked for again: a search asks for
# the same one at every candidate.
_FAILURE_KEPT_S = 60.0
_MOST_FAILURES = 256
_FAILURES: OrderedDict[tuple[str, str | None], tuple[float, PreflightError]] = OrderedDict()


def load_served(
    model: str, *, revision: str | None = None, progress: Progress | None = None
) -> Model:
    """The model `vllm serve` serves when it is given `model`.

    Raises:
        PreflightError: as `load_model`; also of a draft's verifier.
    """
    try:
        found = load_model(model, revision=revision, progress=progress)
    except (UnknownModel, HubUnavailable):
        derived = derived_head(model) if revision is None else None
        if derived is None:
            raise
        found = derived
    name = verifier(found.config)
    if name is None or not found.architecture.drafts:
        return found
    # vLLM takes a verifier from the Hub alone, whatever lies on this machine.
    with without_folders():
        served = load_model(name, progress=progress)
    return _with_speculator(served, found)


@lru_cache(maxsize=64)
def _with_speculator(served: Model, draft: Model) -> Model:
    # Kept, because a model is equal only to itself and keys caches.
    return replace(served, speculator=draft)


def load_draft(name: str, revision: str | None = None) -> Model:
    """The facts of a draft model or head, from the places of `load_model` or by rule.

    Raises:
        PreflightError: nothing is known of it. Kept for a minute.
    """
    key = (name, revision)
    kept = _FAILURES.get(key)
    if kept is not None and time.monotonic() < kept[0]:
        raise kept[1]
    try:
        return load_model(name, revision=revision)
    except PreflightError as error:
        derived = derived_head(name) if revision is None else None
        if derived is not None:
            return derived
        _FAILURES[key] = (time.monotonic() + _FAILURE_KEPT_S, error)
        while len(_FAILURES) > _MOST_FAILURES:
            _FAILURES.popitem(last=False)
        raise


@lru_cache(maxsize=64)
def as_head(draft: Model, method: HeadMethod) -> Model:
    """A draft read as a head of `method`, whose config may be that of a plain decoder.

    Raises:
        UnsupportedArchitecture: it is a head of another method, or no head's config.
    """
    if draft.architecture.drafts == method:
        return draft
    own = head_method(draft.config)
    if own is None and method in {"eagle", "eagle3"} and draft.origin != "catalog":
        return replace(draft, architecture=read_head(draft.config, method))
    if method == "dspark" and own is None and draft.config.get("dspark_target_layer_ids"):
        return dspark_stages(draft)
    is_what = f"a head of {own}" if own else "a whole model"
    raise UnsupportedArchitecture(
        f"{draft.id} is {is_what} by its config, not a head of {method}.",
        f"Name the method it is made for{f' ({own})' if own else ''}.",
        keys=("architectures", "model_type"),
    )
