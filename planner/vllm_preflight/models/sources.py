"""Finding a model: `load_model` looks in four places and says which one answered.

With `source="auto"`, in this order:

1. a local folder, when `model` is the path of one;
2. the embedded catalogue, unless a revision is asked for: no network, always the same;
3. the Hub's cache on this machine, when it has the revision and all the facts;
4. the Hugging Face Hub.

`source="catalog"` looks in the catalogue alone; `source="hub"` skips 1 and 2, and 3
unless the Hub is switched off (HF_HUB_OFFLINE).

What was loaded once is kept: a catalogue entry, a folder until one of its files changes,
an answer of the Hub by id and revision.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Literal

from vllm_preflight.base.errors import HubUnavailable, InvalidRequest, UnknownModel
from vllm_preflight.models.catalog.entries import catalog_entry, ids_named, nearest_ids
from vllm_preflight.models.catalog_models import catalog_model
from vllm_preflight.models.config_files import MODELOPT_NAME
from vllm_preflight.models.hub import read_hub
from vllm_preflight.models.hub_cache import cached_model, find_cached, is_whole
from vllm_preflight.models.hub_client import is_offline
from vllm_preflight.models.local import Progress, fingerprint, load_folder
from vllm_preflight.models.model import Model
from vllm_preflight.models.model_ids import check_model_id, check_revision, shown

Source = Literal["auto", "catalog", "hub"]

_MOST_KEPT = 256
# A server that others reach does not read its own machine for them.
_FOLDERS: ContextVar[bool] = ContextVar("vllm_preflight_folders", default=True)


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
    if source == "auto" and _FOLDERS.get():
        folder = _local_folder(model)
        if folder is not None:
            key = ("local", folder, fingerprint(folder))
            return _MODELS.get(key, lambda: load_folder(folder, notify))
    check_model_id(model)
    if revision is not None:
        check_revision(revision)
    if source == "catalog" or (source == "auto" and revision is None):
        entry = catalog_entry(model)
        if entry is not None:
            return _MODELS.get(("catalog", entry.id), lambda: catalog_model(entry))
        namesakes = ids_named(model)
        if namesakes:
            raise UnknownModel(
                f"Several models of the catalogue are named {model}: {', '.join(namesakes)}.",
                "Write the organisation too.",
            )
        if source == "catalog":
            raise UnknownModel(
                f"The catalogue has no model {model}.", _nearest(model) or "See the catalogue."
            )
    return _from_hub(model, revision, source, notify)


@contextmanager
def without_folders() -> Generator[None]:
    """Take every model named inside as an id, never as a path of this machine."""
    token = _FOLDERS.set(False)
    try:
        yield
    finally:
        _FOLDERS.reset(token)


def forget_models() -> None:
    """Drop every model that is kept, so that the next load reads its source again."""
    _MODELS.clear()


class _Kept:
    """The models loaded last; threads may load the same one twice, never wait."""

    def __init__(self) -> None:
        self._models: OrderedDict[Hashable, Model] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], Model]) -> Model:
        with self._lock:
            found = self._models.get(key)
            if found is not None:
                self._models.move_to_end(key)
                return found
        loaded = load()
        with self._lock:
            # The first to finish wins: a model is equal only to itself.
            kept = self._models.setdefault(key, loaded)
            while len(self._models) > _MOST_KEPT:
                self._models.popitem(last=False)
        return kept

    def clear(self) -> None:
        with self._lock:
            self._models.clear()


_MODELS = _Kept()


def _local_folder(model: str) -> Path | None:
    """The folder `model` is the path of, None when it is no path that exists.

    Raises InvalidRequest for a file, UnknownModel for a path that can be nothing else.
    """
    expanded = os.path.expanduser(model)
    if model and os.path.isdir(expanded):
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


def _from_hub(model: str, revision: str | None, source: Source, progress: Progress) -> Model:
    offline = is_offline()
    snapshot = find_cached(model, revision) if source == "auto" or offline else None
    cached: Model | None = None
    if snapshot is not None:
        progress(f"reading {model} from the Hub's cache on this machine")
        key = ("cache", snapshot, fingerprint(snapshot.folder))
        cached = _MODELS.get(key, lambda: cached_model(snapshot))
        if is_whole(snapshot, cached):
            return cached
    if offline:
        if cached is None:
            raise _unknown_offline(model, revision, source)
        return _incomplete(cached, "HF_HUB_OFFLINE is set.")
    key = ("hub", os.environ.get("HF_ENDPOINT"), model, revision)
    try:
        return _MODELS.get(key, lambda: read_hub(model, revision, progress))
    except HubUnavailable as error:
        if cached is None:
            raise HubUnavailable(error.message, f"{error.hint} {_nearest(model)}") from error
        return _incomplete(cached, error.message)
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
    near = nearest_ids(model)
    return f"The catalogue has {', '.join(near)}." if near else ""


def _silent(sentence: str) -> None:
    del sentence
