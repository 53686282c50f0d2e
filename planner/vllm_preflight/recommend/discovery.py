"""Which models of the catalogue run on given GPUs: each judged by the chooser."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.find import FindRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.models.catalog.entries import catalog_entry, catalog_ids
from vllm_preflight.models.model import Model
from vllm_preflight.models.parameters import count_parameters
from vllm_preflight.models.sources import load_model
from vllm_preflight.recommend.checkpoints import storage_free_name
from vllm_preflight.recommend.choose import Choice, choose_on, with_gpus
from vllm_preflight.recommend.demand import demand_of, fit_workload

Progress = Callable[[str], None]

# No quantisation stores a parameter in less than this; what is larger still is not judged.
_FEWEST_BYTES_PER_PARAMETER = 0.5
_BILLION = 1e9


@dataclass(frozen=True)
class Found:
    """A model that runs, as it was chosen."""

    model: Model
    request: PlanRequest
    choice: Choice
    params: int


@dataclass(frozen=True)
class Discovery:
    """What was found, the largest model first; `judged` models went through the engine."""

    found: tuple[Found, ...]
    judged: int


def discover(
    request: FindRequest, hardware: Hardware, progress: Progress | None = None
) -> Discovery:
    """Each model of the catalogue that starts for sure, in the best precision that carries.

    Models whose weights alone are more than the GPUs' memory are not judged.
    """
    sized = hardware if hardware.gpus is not None else with_gpus(hardware, 1)
    assert sized.gpus is not None
    room = sized.gpu.visible_bytes * sized.gpus
    by_name: dict[str, Found] = {}
    judged = 0
    for model, params in _candidates(request, room):
        check_stop()
        judged += 1
        found = _judge(model, params, request, sized)
        if found is None:
            continue
        name = storage_free_name(model.id)
        best = by_name.get(name)
        if best is None or _rank(found) > _rank(best):
            by_name[name] = found
        if progress is not None and judged % 50 == 0:
            progress(f"{judged} models judged")
    ordered = sorted(by_name.values(), key=lambda item: (-item.params, item.model.id))
    return Discovery(tuple(ordered), judged)


def read_candidate(identifier: str) -> None:
    """Read a model of the catalogue ahead of the search, which keeps what it has read."""
    # One the engine does not understand is no candidate.
    with suppress(PreflightError):
        _params(identifier)


def _candidates(request: FindRequest, room: int) -> Iterator[tuple[Model, int]]:
    words = [word for word in re.split(r"[^a-z0-9.]+", (request.family or "").lower()) if word]
    for identifier in catalog_ids():
        if not all(word in identifier.lower() for word in words):
            continue
        stored = _stored_bytes(identifier)
        if stored is not None and stored > room:
            continue
        try:
            model = load_model(identifier, source="catalog")
            params = _params(identifier)
        except PreflightError:
            # One the engine does not understand is no answer.
            continue
        if request.task not in ("any", "embed" if model.architecture.embeds else "generate"):
            continue
        if request.max_params_b is not None and params > request.max_params_b * _BILLION:
            continue
        if params * _FEWEST_BYTES_PER_PARAMETER <= room:
            yield model, params


@functools.cache
def _stored_bytes(identifier: str) -> int | None:
    entry = catalog_entry(identifier)
    return None if entry is None else entry.total_bytes


@functools.cache
def _params(identifier: str) -> int:
    return count_parameters(load_model(identifier, source="catalog").architecture).total


def _judge(model: Model, params: int, request: FindRequest, hardware: Hardware) -> Found | None:
    names = request.model_fields_set & PlanRequest.model_fields.keys()
    given = {name: getattr(request, name) for name in names}
    asked = PlanRequest.model_validate({**given, "model": model.id})
    try:
        fitted = fit_workload(model, asked)
        choice = choose_on(model, hardware, fitted, demand_of(model, fitted))
    except PreflightError:
        # A workload longer than the model takes, or sizes it has not: no answer either.
        return None
    return Found(model, fitted, choice, params) if choice.serves else None


def _rank(found: Found) -> tuple[bool, int, int]:
    """What is better of two checkpoints of a model, the larger first.

    Of those that carry the workload the one with more bits; where requests wait, the one
    that runs more of them at once.
    """
    scheme, choice = found.model.quantization.default, found.choice
    bits = 16 if scheme is None else scheme.bits
    return choice.carries, 0 if choice.carries else choice.held, bits
