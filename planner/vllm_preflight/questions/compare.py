"""compare_hardware: one model and workload on many GPUs, side by side."""

from __future__ import annotations

from collections.abc import Callable

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.compare import CompareReport, CompareRequest
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.models.model import Model
from vllm_preflight.models.served import load_served
from vllm_preflight.recommend.candidates import Workload
from vllm_preflight.recommend.prices import PriceList, parse_prices
from vllm_preflight.recommend.search import make_space, search, usual_gpus
from vllm_preflight.reports.compare import compare_report

Progress = Callable[[str], None]


def compare_hardware(
    request: CompareRequest, *, model: Model | None = None, progress: Progress | None = None
) -> CompareReport:
    """Every kind of GPU asked for with its best option, the frontier, and why others fail.

    `model` saves reading it again when the caller has it. A workload that nothing carries
    is an answer. Prices come from the request alone; without them, cost is not known.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    prices = None if request.prices is None else parse_prices(request.prices)
    if request.optimise == "cheapest" and prices is None:
        raise InvalidRequest(
            "optimise is cheapest, but no prices are given.",
            'Give prices, such as {"currency": "USD", "date": "2026-11-01", '
            '"gpu_hour": {"H100": 2.4}}, or optimise fewest_gpus.',
        )
    gpus, warnings = chosen_gpus(request.gpus)
    model = model or load_served(request.model, progress=progress)
    workload = Workload(
        request.prompt_tokens, request.gen_tokens, request.concurrency, request.max_model_len
    )
    space = make_space(
        model,
        workload,
        gpus,
        max_gpus=request.max_gpus,
        objective=request.optimise,
        quantization=request.quantization,
        kv_cache_dtype=request.kv_cache_dtype,
        vllm_version=request.vllm_version,
    )
    result = search(space, workload, objective=request.optimise, prices=prices, progress=progress)
    warnings += _price_warnings(gpus, prices)
    return compare_report(request, space, result, prices, [*model.notes, *warnings])


def chosen_gpus(names: str) -> tuple[tuple[Gpu, ...], list[str]]:
    """The GPUs a list of names means, and warnings about those that are left out.

    Raises:
        UnknownGpu: a name is in the catalogue under nothing.
        InvalidRequest: none of the GPUs named is NVIDIA's.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        return usual_gpus(), []
    if [name.lower() for name in wanted] == ["all"]:
        return tuple(gpu for gpu in load_catalog() if gpu.vendor == "NVIDIA"), []
    found = list(dict.fromkeys(find_gpu(name).name for name in wanted))
    gpus = [find_gpu(name) for name in found]
    others = [gpu.name for gpu in gpus if gpu.vendor != "NVIDIA"]
    kept = tuple(gpu for gpu in gpus if gpu.vendor == "NVIDIA")
    if not kept:
        raise InvalidRequest(
            f"{', '.join(others)} cannot be compared: the search knows vLLM's rules on CUDA.",
            "Name NVIDIA GPUs, or ask plan_deployment for one other GPU.",
        )
    left_out = f"Left out, as only vLLM's rules on CUDA are known: {', '.join(others)}."
    return kept, [left_out] if others else []


def _price_warnings(gpus: tuple[Gpu, ...], prices: PriceList | None) -> list[str]:
    if prices is None:
        return []
    unpriced = [gpu.name for gpu in gpus if gpu.name not in prices.gpu_hour]
    if not unpriced:
        return []
    some = ", ".join(unpriced[:3]) + (", …" if len(unpriced) > 3 else "")
    return [f"{len(unpriced)} GPUs have no price ({some}); their cost is not known."]
