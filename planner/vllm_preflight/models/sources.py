"""Finding a model: `load_model` looks in five places and says which one answered.

With `source="auto"`, in this order:

1. a local folder, when `model` is the path of one;
2. the Hub's cache on this machine, when it has the revision and all the facts;
3. the Hugging Face Hub: what is published now beats what was catalogued;
4. the embedded catalogue, when the Hub is switched off (HF_HUB_OFFLINE), away or refuses,
   unless a revision is asked for: its provenance says how complete it is;
5. where the Hub is switched off or away, the catalogued model that the name says this is a
   checkpoint of ("X-FP8", "X-AWQ", a copy of X), labelled as an assumption.

`source="catalog"` looks in 4 alone; `source="hub"` in 3, and in 2 when the Hub is off.
A nickname ("llama 3.1 8b") becomes an id of the catalogue first.

Nothing leaves this machine but the requests to the Hub, which name the model and nothing
else. A machine without a network does not wait: a model of the catalogue costs one attempt
to connect of at most 1.5 seconds in each process (`hub_reach`), none with HF_HUB_OFFLINE=1.

What was loaded once is kept: a catalogue entry, a folder until one of its files changes,
an answer of the Hub by id and revision, for ten minutes before it is asked again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vllm_preflight.base.errors import HubUnavailable, InvalidRequest, UnknownModel
from vllm_preflight.base.strangers import before_strangers, folders_are_read
from vllm_preflight.base.text import is_clean
from vllm_preflight.models import hub_reach
from vllm_preflight.models.catalog.entries import catalog_entry, catalogued_id, nearest_ids
from vllm_preflight.models.catalog_models import catalog_model
from vllm_preflight.models.config_files import MODELOPT_NAME
from vllm_preflight.models.derived import derived_model, likely_base
from vllm_preflight.models.hub import read_hub
from vllm_preflight.models.hub_cache import cached_model, find_cached, is_whole
from vllm_preflight.models.hub_client import BUDGET_BEFORE_CATALOG_S, HubAway, is_offline
from vllm_preflight.models.kept import KeptModels
from vllm_preflight.models.local import Progress, fingerprint, load_folder
from vllm_preflight.models.model import Model
from vllm_preflight.models.model_ids import check_model_id, check_revision, shown
from vllm_preflight.models.nicknames import meant_by

Source = Literal["auto", "catalog", "hub"]

_MOST_NAMED = 6
# Seconds after which the Hub is asked whether a model is still as it was.
_FRESH_S = 600.0


def load_model(
    model: str,
    *,
    revision: str | None = None,
    source: Source = "auto",
    progress: Progress | None = None,
) -> Model:
    """The facts of a model given as a local folder, a Hub id or a catalogue id.

    The module's docstring says where they are looked for; a folder has no revisions, so
    `revision` says nothing there. `progress` is called with a
    short sentence before each slow step. HF_TOKEN, HF_ENDPOINT, HF_HOME and
    HF_HUB_OFFLINE mean what they mean to huggingface_hub.

    Raises:
        InvalidRequest: the text is no id, the folder has no usable config.json, or a
            file in it is damaged.
        UnknownModel: no such model or revision in the places that were looked at.
        HubUnavailable: the Hub is needed and cannot be reached, or refuses access.
        UnsupportedArchitecture: the config is of an architecture that is not understood.
    """
    notify = progress or _silent
    if source == "auto" and folders_are_read():
        folder = _local_folder(model)
        if folder is not None:
            before_strangers()
            key = ("local", folder, fingerprint(folder))
            return _MODELS.get(key, lambda: load_folder(folder, notify))
    if source != "hub" and revision is None:
        model = _named(model)
    check_model_id(model)
    if revision is not None:
        check_revision(revision)
    known = catalogued_id(model) if source != "hub" and revision is None else None
    if source == "catalog":
        if known is None:
            raise UnknownModel(
                f"The catalogue has no model {model}.", _nearest(model) or "See the catalogue."
            )
        return _catalogued(known)
    if revision is None and source == "auto":
        return _from_hub_or_catalog(model, known, notify)
    return _from_hub(model, revision, source, notify)


def forget_models() -> None:
    """Drop every model that is kept, so that the next load reads its source again."""
    _MODELS.clear()
    hub_reach.forget_away()


_MODELS = KeptModels()


def _local_folder(model: str) -> Path | None:
    """The folder `model` is the path of, None when it is no path that exists.

    Raises InvalidRequest for a file, UnknownModel for a path that can be nothing else.
    """
    expanded = os.path.expanduser(model)
    if model and os.path.isdir(expanded):
        if not is_clean(expanded) or "\n" in expanded:
            raise InvalidRequest(
                f"The name of the folder {shown(model)} has characters that no command should "
                "carry.",
                "Rename it.",
            )
        return Path(expanded).absolute()
    if model and os.path.isfile(expanded):
        kind = "a GGUF file" if expanded.lower().endswith(".gguf") else "a file"
        raise InvalidRequest(
            f"{shown(model)} is {kind}, not a folder.",
            "Give the folder that holds the model's config.json.",
        )
    if model.startswith(("/", "./", "../", "~", "\\", ".\\", "..\\")):
        raise UnknownModel(
            f"There is no folder {shown(model)}.",
            "Check the path, or give the model's id on the Hugging Face Hub.",
        )
    return None


def _named(text: str) -> str:
    """The id a nickname or a name without its organisation means; other text unchanged.

    Raises UnknownModel, naming the nearest, where a model of the catalogue could be meant and
    which is not clear.
    """
    if "/" in text:
        return text
    meaning = meant_by(text)
    if meaning.models and not meaning.clear:
        raise UnknownModel(
            f"{shown(text)} is not the whole name of a model of the catalogue; nearest: "
            f"{', '.join(meaning.models[:_MOST_NAMED])}.",
            "Write the id.",
        )
    return meaning.models[0] if meaning.models else text


def _from_hub_or_catalog(model: str, catalogued: str | None, progress: Progress) -> Model:
    """The Hub's word where it can be had, else what is known of the model without it.

    `catalogued` is the model's id in the catalogue, if it is there.
    """
    cached = _from_cache(catalogued or model, None, progress)
    if cached is not None and cached.whole:
        return cached.model
    # A model the catalogue cannot answer is worth waiting for.
    fallback = catalogued or _derived(model)
    known = cached is not None or fallback is not None
    reason = _why_not_asked(model, known)
    if reason is None:
        try:
            budget = BUDGET_BEFORE_CATALOG_S if known else None
            return _asked(catalogued or model, progress, budget)
        except (HubUnavailable, UnknownModel) as error:
            if isinstance(error, HubAway):
                hub_reach.found_away()
            # What the Hub does not have is not made up from its name.
            if not known or (catalogued is None and isinstance(error, UnknownModel)):
                raise type(error)(error.message, f"{error.hint} {_nearest(model)}") from error
            reason = error.message
            if not isinstance(error, HubAway):
                hub_reach.found_refused(model, reason)
    if cached is not None:
        return _incomplete(cached.model, reason)
    if fallback is None:
        raise _unknown_offline(model, None, "auto")
    found = fallback if isinstance(fallback, Model) else _catalogued(fallback)
    if is_offline():
        return found
    note = f"{reason} The embedded catalogue answers: {found.provenance}."
    return _MODELS.get((found.id, note), lambda: replace(found, notes=(*found.notes, note)))


def _why_not_asked(model: str, known: bool) -> str | None:
    """Why the Hub is not asked for a model, None when it is."""
    if is_offline():
        return "HF_HUB_OFFLINE is set."
    if not known:
        hub_reach.check_not_silent()
        return None
    if not hub_reach.answers():
        return "The Hugging Face Hub cannot be reached."
    return hub_reach.refusal(model)


def _asked(name: str, progress: Progress, budget: float | None) -> Model:
    """The Hub's answer, kept by the address it came from."""
    before_strangers(asks_hub=True)
    key = ("hub", os.environ.get("HF_ENDPOINT"), name, None)
    return _MODELS.renewed(key, lambda kept: read_hub(name, None, progress, budget, kept), _FRESH_S)


def _derived(model: str) -> Model | None:
    """What the name says the model is; the same object each time."""
    derived = derived_model(model)
    return derived and _MODELS.get(("derived", model), lambda: derived)


def _catalogued(identifier: str) -> Model:
    """A model of the catalogue, whose entry is read when it is not kept."""

    def read() -> Model:
        entry = catalog_entry(identifier)
        assert entry is not None
        return catalog_model(entry)

    return _MODELS.get(("catalog", identifier), read)


@dataclass(frozen=True)
class _Cached:
    """A model of the Hub's cache, and whether the cache has all that decides."""

    model: Model
    whole: bool


def _from_cache(model: str, revision: str | None, progress: Progress) -> _Cached | None:
    snapshot = find_cached(model, revision)
    if snapshot is None:
        return None
    before_strangers()
    progress(f"reading {model} from the Hub's cache on this machine")
    key = ("cache", snapshot, fingerprint(snapshot.folder))
    cached = _MODELS.get(key, lambda: cached_model(snapshot))
    return _Cached(cached, is_whole(snapshot, cached))


def _from_hub(model: str, revision: str | None, source: Source, progress: Progress) -> Model:
    """The Hub's model at a revision, or as the only source; the cache where that is enough."""
    offline = is_offline()
    cached = _from_cache(model, revision, progress) if source == "auto" or offline else None
    if cached is not None and cached.whole:
        return cached.model
    if offline:
        if cached is None:
            raise _unknown_offline(model, revision, source)
        return _incomplete(cached.model, "HF_HUB_OFFLINE is set.")
    before_strangers(asks_hub=True)
    key = ("hub", os.environ.get("HF_ENDPOINT"), model, revision)
    try:
        hub_reach.check_not_silent()
        return _MODELS.renewed(
            key, lambda kept: read_hub(model, revision, progress, None, kept), _FRESH_S
        )
    except HubUnavailable as error:
        if isinstance(error, HubAway):
            hub_reach.found_away()
        if cached is None:
            raise HubUnavailable(error.message, f"{error.hint} {_nearest(model)}") from error
        return _incomplete(cached.model, error.message)
    except UnknownModel as error:
        raise UnknownModel(error.message, f"{error.hint} {_nearest(model)}") from error


def _incomplete(cached: Model, reason: str) -> Model:
    note = (
        f"The cache has no {MODELOPT_NAME} and the Hub was not asked for one ({reason}): if it "
        "has one, the weights are quantised and smaller than said here."
    )
    return replace(cached, notes=(*cached.notes, note))


def _unknown_offline(model: str, revision: str | None, source: Source) -> UnknownModel:
    what = f"{model} at revision {revision}" if revision else model
    places = "in the Hub's cache on this machine"
    if source == "auto" and revision is None:
        places = f"in the catalogue or {places}"
    return UnknownModel(
        f"{what} is not {places}, and HF_HUB_OFFLINE is set.",
        "Unset HF_HUB_OFFLINE, or give a local folder that holds its config.json. "
        + _nearest(model),
    )


def _nearest(model: str) -> str:
    base = likely_base(model)
    if base is not None:
        return (
            f"By its name it is made from {base}: ask with that, and with the checkpoint's own "
            "precision where it has another."
        )
    near = nearest_ids(model)
    return f"The catalogue has {', '.join(near)}." if near else ""


def _silent(sentence: str) -> None:
    del sentence
