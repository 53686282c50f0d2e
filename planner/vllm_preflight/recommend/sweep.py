"""One workload over many models, here or on a Ray cluster: the same answers in the same order.

A model is one task; the engine is deterministic, so where a task runs changes nothing.
`ray` is only imported when a cluster is asked for (`pip install vllm-preflight[cluster]`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import InvalidRequest, PreflightError
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.models.catalog.entries import catalogued_id
from vllm_preflight.models.sources import load_model
from vllm_preflight.recommend.comparison import Objective, Row, compare_cards
from vllm_preflight.recommend.quotes import Prices

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """What is asked of every model; `gpus` are catalogue names, `workload` a plan's fields."""

    workload: Mapping[str, Any]
    gpus: tuple[str, ...]
    max_gpus: int
    objective: Objective = "fewest_gpus"
    prices: Prices | None = None


@dataclass(frozen=True)
class Line:
    """One option in plain values, so that it travels between machines.

    `requests` fit at once; `cost` is per hour, None where it is not known.
    """

    gpu: str
    gpus: int
    tensor_parallel_size: int
    pipeline_parallel_size: int
    data_parallel_size: int
    enable_expert_parallel: bool
    checkpoint: str
    precision: str
    kv_cache_dtype: str
    max_model_len: int
    requests: int
    cost: float | None


@dataclass(frozen=True)
class Swept:
    """A model's outcome: the best option of each card, best first, or why there is none."""

    model: str
    options: tuple[Line, ...] = ()
    problem: str | None = None


def sweep(
    models: Sequence[str], question: Question, *, progress: Progress | None = None
) -> list[Swept]:
    """The outcome of each model, in order; a model that cannot be read is an outcome."""
    swept: list[Swept] = []
    for number, model in enumerate(models, 1):
        check_stop()
        if progress is not None:
            progress(f"{model} ({number} of {len(models)})")
        swept.append(sweep_one(model, question))
    return swept


def sweep_one(model: str, question: Question) -> Swept:
    """The outcome of one model."""
    try:
        # Many models at once are compared by the catalogue: no request to the Hub for each.
        catalogued = catalogued_id(model) is not None
        loaded = load_model(model, source="catalog" if catalogued else "auto")
        request = validate_request(PlanRequest, {**question.workload, "model": loaded.id})
        found = compare_cards(
            loaded,
            [find_gpu(name) for name in question.gpus],
            request,
            max_gpus=question.max_gpus,
            objective=question.objective,
            prices=question.prices,
        )
    except PreflightError as error:
        return Swept(model, problem=str(error))
    return Swept(loaded.id, tuple(_line(row) for row in found.rows))


def sweep_on_ray(
    models: Sequence[str], question: Question, *, progress: Progress | None = None
) -> list[Swept]:
    """The same as `sweep`, as tasks of the Ray cluster this process is connected to.

    Connects to the cluster that RAY_ADDRESS names, or starts one here, when it is not.
    Tasks that are given up are cancelled.

    Raises:
        InvalidRequest: ray is not installed.
    """
    ray = _ray()
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    task = ray.remote(sweep_one)
    pending = {task.remote(model, question): number for number, model in enumerate(models)}
    swept: dict[int, Swept] = {}
    try:
        while pending:
            check_stop()
            ready, _ = ray.wait(list(pending), timeout=1.0)
            for reference in ready:
                number = pending.pop(reference)
                swept[number] = ray.get(reference)
                if progress is not None:
                    progress(f"{models[number]} ({len(swept)} of {len(models)})")
    finally:
        for reference in pending:
            ray.cancel(reference)
    return [swept[number] for number in range(len(models))]


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise InvalidRequest(
            "A sweep on a cluster needs Ray, which is not installed.",
            "Install vllm-preflight[cluster], or sweep without a cluster.",
        ) from None


def _line(row: Row) -> Line:
    choice = row.choice
    launch = choice.startup.launch
    return Line(
        gpu=row.gpu.name,
        gpus=choice.gpus,
        tensor_parallel_size=choice.layout.tensor,
        pipeline_parallel_size=choice.layout.pipeline,
        data_parallel_size=choice.layout.replicas,
        enable_expert_parallel=choice.layout.expert_parallel,
        checkpoint=row.checkpoint.model.id,
        precision=row.checkpoint.label,
        kv_cache_dtype=launch.kv_cache_dtype,
        max_model_len=launch.max_model_len,
        requests=choice.held,
        cost=row.cost,
    )
