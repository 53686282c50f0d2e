"""compare_hardware: one model and workload on many GPUs, side by side."""

from __future__ import annotations

from collections.abc import Callable

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.compare import CompareReport, CompareRequest
from vllm_preflight.contract.costs import PriceInput
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.market import offered_gpus
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.hardware.spoken import read_hardware_name
from vllm_preflight.models.model import Model
from vllm_preflight.models.served import load_served
from vllm_preflight.recommend.comparison import compare_cards
from vllm_preflight.reports.compare import compare_report
from vllm_preflight.reports.costs import read_costing

Progress = Callable[[str], None]
_MORE = "ask with a higher concurrency for more GPUs"


def compare_hardware(
    request: CompareRequest, *, model: Model | None = None, progress: Progress | None = None
) -> CompareReport:
    """Every kind of GPU asked for with its best option, the frontier, and why others fail.

    `model` saves reading it again when the caller has it. A workload that nothing carries
    is an answer. Prices are the request's, or the built-in list where it asks for that; without
    them, cost is not known.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    costing = read_costing(request, _MORE)
    if request.optimise == "cheapest" and costing.prices is None:
        raise InvalidRequest(
            "optimise is cheapest, but no prices are given.",
            'Give prices, such as {"currency": "USD", "date": "2026-11-01", '
            '"gpu_hour": {"H100": 2.4}}, or list for the built-in ones, or optimise fewest_gpus.',
        )
    gpus, warnings = chosen_gpus(request.gpus)
    model = model or load_served(request.model, progress=progress)
    comparison = compare_cards(
        model,
        gpus,
        plan_request(request, model),
        max_gpus=most_gpus(request.gpus, request.max_gpus),
        objective=request.optimise,
        prices=costing.prices,
        progress=progress,
    )
    notes = [*model.notes, *warnings, *costing.unpriced(gpu.name for gpu in gpus)]
    return compare_report(request, model, len(gpus), comparison, costing, notes)


def plan_request(request: CompareRequest, model: Model) -> PlanRequest:
    """The comparison's workload and precision as plan_deployment is asked for them."""
    own = PlanRequest.model_fields.keys() - PriceInput.model_fields.keys() - {"gpus"}
    names = request.model_fields_set & own
    given = {name: getattr(request, name) for name in names}
    return validate_request(PlanRequest, {**given, "model": model.id})


def chosen_gpus(names: str) -> tuple[tuple[Gpu, ...], list[str]]:
    """The GPUs a list of names means, and warnings about those that are left out.

    Raises:
        UnknownGpu: a name is in the catalogue under nothing.
        InvalidRequest: none of the GPUs named is NVIDIA's.
    """
    wanted = _split(names)
    if not wanted:
        return tuple(map(find_gpu, offered_gpus())), []
    if [name.lower() for name in wanted] == ["all"]:
        return tuple(gpu for gpu in load_catalog() if platform_of(gpu).name == "cuda"), []
    named = [read_hardware_name(name) for name in wanted]
    gpus = list({kind.gpu.name: kind.gpu for kind in named}.values())
    notes = [note for kind in named for note in kind.notes]
    kept = tuple(gpu for gpu in gpus if platform_of(gpu).modelled)
    others = [gpu.name for gpu in gpus if gpu not in kept]
    if not kept:
        raise InvalidRequest(
            f"{', '.join(others)} cannot be compared: the search knows vLLM's rules on CUDA.",
            "Name NVIDIA GPUs, or plan for one other GPU.",
        )
    if others:
        notes.append(f"Left out, as only vLLM's rules on CUDA are known: {', '.join(others)}.")
    return kept, notes


def most_gpus(names: str, max_gpus: int) -> int:
    """GPUs of one kind to try at most: no more than the largest of the names has.

    `max_gpus` where one of them says no number.
    """
    counts = [read_hardware_name(name).gpus for name in _split(names) if name.lower() != "all"]
    there = [count for count in counts if count is not None]
    return min(max_gpus, max(there)) if there and len(there) == len(counts) else max_gpus


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
