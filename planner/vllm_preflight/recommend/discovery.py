"""Which models of the catalogue run on given GPUs: each judged by the chooser."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
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
    sized, room = _sized(hardware)
    by_name: dict[str, Found] = {}
    judged = 0
    for identifier in catalog_ids():
        check_stop()
        candidate = _candidate(identifier, request, room)
        if candidate is None:
            continue
        judged += 1
        model, params = candidate
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


def prepare(identifier: str, request: FindRequest, hardware: Hardware) -> None:
    """Judge one model ahead of a search like that, which then works out less anew."""
    sized, room = _sized(hardware)
    found = _candidate(identifier, request, room)
    if found is not None:
        _judge(*found, request, sized)


def _sized(hardware: Hardware) -> tuple[Hardware, int]:
    """The hardware with a number of GPUs, one where it is open, and their memory in bytes."""
    sized = hardware if hardware.gpus is not None else with_gpus(hardware, 1)
    assert sized.gpus is not None
    return sized, sized.gpu.visible_bytes * sized.gpus


def _candidate(identifier: str, request: FindRequest, room: int) -> tuple[Model, int] | None:
    """The model and its parameters, where it is asked for and its weights may have room."""
    words = [word for word in re.split(r"[^a-z0-9.]+", (request.family or "").lower()) if word]
    if not all(word in identifier.lower() for word in words):
        return None
    stored = _stored_bytes(identifier)
    if stored is not None and stored > room:
        return None
    try:
        model = load_model(identifier, source="catalog")
        params = _params(identifier)
    except PreflightError:
        # One the engine does not understand is no answer.
        return None
    if request.task not in ("any", "embed" if model.architecture.embeds else "generate"):
        return None
    if request.max_params_b is not None and params > request.max_params_b * _BILLION:
        return None
    return (model, params) if params * _FEWEST_BYTES_PER_PARAMETER <= room else None


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
