"""A search's outcome as the answer people and tools read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vllm_preflight.contract.compare import (
    CompareReport,
    CompareRequest,
    ExcludedReport,
    OptionReport,
)
from vllm_preflight.launch.render import render_command
from vllm_preflight.recommend.candidates import Space, nodes_for
from vllm_preflight.recommend.frontier import Ranked
from vllm_preflight.recommend.options import Choice, startup_request_of
from vllm_preflight.recommend.prices import PriceList
from vllm_preflight.recommend.search import Exclusion, SearchResult, Shown, confirm


def compare_report(
    request: CompareRequest,
    space: Space,
    result: SearchResult,
    prices: PriceList | None,
    warnings: Sequence[str],
) -> CompareReport:
    """Everything the search found, rounded for reading; only rows shown are simulated."""
    limit = request.limit
    shown = {id(item): confirm(item, space, result.workload) for item in result.by_gpu[:limit]}
    front = [confirm(item, space, result.workload) for item in result.frontier[:limit]]
    best = None if result.best is None else shown[id(result.best)]
    excluded = _in_order(result)
    lengths = {
        "options": len(result.by_gpu),
        "frontier": len(result.frontier),
        "excluded": len(excluded),
    }
    return CompareReport(
        summary=_summary(request, space, result),
        model=space.precisions[0].model.id,
        optimise=result.objective,
        best=None if best is None else _row(best, space),
        serve_command=None if best is None else serve_command(best.ranked.option.choice, space),
        runner_up=_runner_up(result),
        options=[_row(item, space) for item in shown.values()],
        frontier=[_row(item, space) for item in front],
        excluded=[_excluded(item) for item in excluded[:limit]],
        has_more=[f"{name}: {number}" for name, number in lengths.items() if number > limit],
        candidates=result.candidates,
        warnings=[*warnings, *result.notes, *([] if prices is None else [prices.note()])],
        next_steps=_next_steps(request, best),
    )


def serve_command(choice: Choice, space: Space) -> str:
    """The choice as a `vllm serve` line."""
    given = startup_request_of(choice, space).model_dump(
        exclude_none=True, exclude={"gpu", "vllm_version", "interconnect"}
    )
    silent: dict[str, Any] = {
        "tensor_parallel_size": 1,
        "pipeline_parallel_size": 1,
        "data_parallel_size": 1,
        "quantization": "auto",
        "kv_cache_dtype": "auto",
        "dtype": "auto",
        "trust_remote_code": False,
    }
    fields = {key: value for key, value in given.items() if silent.get(key) != value}
    return render_command(fields).text


def describe(item: Ranked) -> str:
    """An option in a few words: "2 × H100 SXM5 80GB (TP2, FP8 …)"."""
    choice = item.option.choice
    traits = [_layout(choice), choice.precision.label]
    if choice.kv_cache_dtype != "auto":
        traits.append(f"KV cache {choice.kv_cache_dtype}")
    return f"{item.gpus} × {choice.gpu.name} ({', '.join(filter(None, traits))})"


def _row(item: Shown, space: Space) -> OptionReport:
    option, choice = item.ranked.option, item.ranked.option.choice
    label = choice.precision.label
    if choice.precision.model is not space.precisions[0].model:
        label = f"{label} ({choice.precision.model.id})"
    flags = {
        "--gpu-memory-utilization": choice.gpu_memory_utilization,
        "--max-num-seqs": choice.batch.max_num_seqs,
        "--max-num-batched-tokens": choice.batch.max_num_batched_tokens,
    }
    settings = " ".join(f"{flag} {value}" for flag, value in flags.items() if value is not None)
    nodes = nodes_for(choice.gpus, space.gpus_per_node)
    speed = None if item.speed is None else item.speed.speed
    return OptionReport(
        gpu=choice.gpu.name,
        gpus=choice.gpus,
        layout=_layout(choice) or "one GPU",
        precision=label,
        kv_cache_dtype=choice.kv_cache_dtype,
        requests=option.requests,
        kv_cache_tokens=item.startup.kv.tokens or 0,
        max_model_len=choice.max_model_len,
        longest=option.longest,
        settings=settings or None,
        nodes=nodes if nodes > 1 else None,
        output_tokens_per_s=None if speed is None else round(speed.output_tokens_per_s, 1),
        latency_ms=None if speed is None else round(speed.latency_ms),
        cost_per_hour=item.ranked.cost,
        cost_per_million_tokens=_cost_per_million(
            item.ranked.cost, None if speed is None else speed.output_tokens_per_s
        ),
        risk=" ".join(item.warnings) or None,
    )


def _cost_per_million(per_hour: float | None, tokens_per_s: float | None) -> float | None:
    """Cost of a million generated tokens when the deployment is as busy as the workload."""
    if per_hour is None or not tokens_per_s:
        return None
    return round(per_hour / (tokens_per_s * 3600) * 1_000_000, 3)


def _layout(choice: Choice) -> str:
    layout = choice.layout
    sizes = {"TP": layout.tensor, "PP": layout.pipeline, "DP": layout.replicas}
    words = [f"{name}{size}" for name, size in sizes.items() if size > 1]
    return " ".join([*words, *(["EP"] if layout.expert_parallel else [])])


def _in_order(result: SearchResult) -> list[Exclusion]:
    """GPUs that never do first; then smaller numbers, as the options are ranked."""
    place = {item.option.choice.gpu.name: number for number, item in enumerate(result.by_gpu)}
    return sorted(result.excluded, key=lambda item: place.get(item.gpu, -1))


def _excluded(item: Exclusion) -> ExcludedReport:
    return ExcludedReport(gpu=item.gpu, gpus=item.gpus, reason=item.reason, rule=item.rule)


def _summary(request: CompareRequest, space: Space, result: SearchResult) -> str:
    workload = result.workload
    several = "s" * (workload.concurrency != 1)
    demand = f"{workload.concurrency:,} request{several} of {workload.context:,} tokens"
    if result.best is None:
        return (
            f"None of {len(space.gpus)} kinds of GPU carries {demand} with at most "
            f"{request.max_gpus} of them."
        )
    option = result.best.option
    return (
        f"{describe(result.best)} carries {demand}: {option.requests:,} fit at once, up to "
        f"{option.longest:,} tokens each. {len(result.by_gpu)} of {len(space.gpus)} kinds of GPU "
        f"do with at most {request.max_gpus}."
    )


def _runner_up(result: SearchResult) -> str | None:
    if result.runner_up is None:
        return None
    return f"{describe(result.runner_up)} {result.why}."


def _next_steps(request: CompareRequest, best: Shown | None) -> list[str]:
    if best is None:
        return ["Allow more GPUs (max_gpus), or ask for fewer or shorter requests."]
    steps = ["Check the command with predict_startup, or size it with margin in plan_deployment."]
    if request.prices is None:
        steps.append("Give prices to see what each option costs.")
    return steps
