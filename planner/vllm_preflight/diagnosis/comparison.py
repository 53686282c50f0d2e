"""A log's figures beside the prediction's, and the calibration that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm_preflight.contract.check import StartupReport
from vllm_preflight.contract.explain import Calibration, TermComparison
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.logs.startup_log import StartupLog
from vllm_preflight.models.model import Model

# Terms that a calibration can correct, which are also those that explain a difference.
_MEMORY_TERMS = ("weights_gib", "activation_peak_gib", "non_torch_gib", "cuda_graph_gib")
# Figures are printed to two digits; less than this says nothing.
_NOTEWORTHY_GIB = 0.02
# How far outside its interval the cache's memory is more than rounding.
_OUTSIDE_GIB = 0.1


def compare_terms(log: StartupLog, predicted: StartupReport | None) -> list[TermComparison]:
    """Every figure that the log or the prediction has, in the order they add up."""
    graphs = logged_graphs(log, predicted)
    logged: dict[str, int | float | None] = {
        "weights_gib": log.weights_gib,
        "activation_peak_gib": log.activation_peak_gib,
        "non_torch_gib": logged_non_torch(log),
        "cuda_graph_gib": graphs,
        "cuda_graph_estimated_gib": _other_graphs(log, graphs),
        "available_kv_cache_gib": log.available_kv_gib,
        "num_gpu_blocks": log.num_gpu_blocks,
        "kv_cache_tokens": log.kv_cache_tokens,
        "max_concurrency": log.max_concurrency,
    }
    if log.failure and log.failure.kind == "kv_cache_too_small":
        figures = log.failure.figures
        length = figures.get("estimated_max_model_len")
        logged["estimated_max_model_len"] = None if length is None else int(length)
        if logged["available_kv_cache_gib"] is None:
            logged["available_kv_cache_gib"] = figures.get("available_kv_gib")
    rows: list[TermComparison] = []
    for term, value in logged.items():
        ours = getattr(predicted, term, None) if predicted else None
        if value is None and ours is None:
            continue
        difference = None if value is None or ours is None else round(value - ours, 4)
        rows.append(TermComparison(term=term, logged=value, predicted=ours, difference=difference))
    return rows


def _other_graphs(log: StartupLog, shown: float | None) -> float | None:
    """The estimate of the graphs beside what they took, where the log has both."""
    estimated = log.cuda_graph_estimated_gib
    return None if log.cuda_graph_gib is None or estimated == shown else estimated


def logged_non_torch(log: StartupLog) -> float | None:
    """GiB of non-torch memory; 0.28 and later print it together with the weights."""
    if log.non_torch_gib is not None:
        return log.non_torch_gib
    rests = [
        rank.consumed_gib - rank.weights_gib
        for rank in log.ranks
        if rank.consumed_gib is not None and rank.weights_gib is not None
    ]
    return round(max(rests), 4) if rests else None


def logged_graphs(log: StartupLog, predicted: StartupReport | None) -> float | None:
    """GiB of graphs in the sense of the prediction: the estimate where it is charged."""
    charged = predicted.cuda_graph_charged if predicted else log.cuda_graph_charged
    return log.cuda_graph_estimated_gib if charged else log.cuda_graph_gib


def largest_difference(
    rows: list[TermComparison], predicted: StartupReport | None = None
) -> TermComparison | None:
    """The figure that differs most, None when none differs noticeably.

    A term of memory, or the cache's where its interval does not hold what was logged and the
    terms do not explain it.
    """
    known = [row for row in rows if row.term in _MEMORY_TERMS and row.difference is not None]
    row = max(known, key=lambda row: abs(row.difference or 0), default=None)
    left = unexplained_cache(rows, predicted)
    if left is not None and abs(left.difference or 0) > abs(row.difference or 0 if row else 0):
        return left
    return row if row and abs(row.difference or 0) >= _NOTEWORTHY_GIB else None


def unexplained_cache(
    rows: list[TermComparison], predicted: StartupReport | None
) -> TermComparison | None:
    """The row of the KV cache's memory where it is outside its interval for no logged reason."""
    by_term = {row.term: row for row in rows}
    row = by_term.get("available_kv_cache_gib")
    if row is None or row.difference is None or row.logged is None or predicted is None:
        return None
    low, high = (
        predicted.interval.available_kv_cache_gib
        if predicted.interval is not None
        else (predicted.available_kv_cache_gib or 0, predicted.available_kv_cache_gib or 0)
    )
    if low - _OUTSIDE_GIB <= row.logged <= high + _OUTSIDE_GIB:
        return None
    explained = sum(
        -(other.difference or 0)
        for name in _MEMORY_TERMS
        if (other := by_term.get(name))
        and (name != "cuda_graph_gib" or predicted.cuda_graph_charged)
    )
    rest = row.difference - explained
    return row if abs(rest) > max(_OUTSIDE_GIB, abs(row.difference) / 2) else None


def calibration_from(
    rows: list[TermComparison],
    predicted: StartupReport,
    arguments: Mapping[str, Any],
    model: Model,
    gpu: Gpu,
    *,
    attribute_rest: bool = False,
) -> Calibration | None:
    """What later predictions of the same launch are to be corrected by; None for nothing.

    `arguments` are vLLM's, with its defaults filled in. Only terms that the log prints are
    corrected. With `attribute_rest`, what they do not explain of the cache's memory goes to
    non-torch memory, so that the corrected prediction leaves what the log says was left: of
    the same start that is right, of others nobody knows.
    """
    by_term = {row.term: row for row in rows}
    shifts = {
        term: row.difference
        for term in _MEMORY_TERMS
        if (row := by_term.get(term)) and row.difference is not None
    }
    left = by_term.get("available_kv_cache_gib")
    if (
        attribute_rest
        and left is not None
        and left.difference is not None
        and not {"activation_peak_gib", "non_torch_gib"} <= set(shifts)
        and arguments.get("kv_cache_memory_bytes") is None
    ):
        explained = sum(
            shift
            for term, shift in shifts.items()
            if term not in {"non_torch_gib", "cuda_graph_gib"}
            or (term == "cuda_graph_gib" and predicted.cuda_graph_charged)
        )
        shifts["non_torch_gib"] = -left.difference - explained
    rounded = {term: round(shift, 2) for term, shift in shifts.items()}
    # Without the rest of the budget, terms as predicted teach nothing.
    if not any(rounded.values()) and "non_torch_gib" not in rounded:
        return None
    return Calibration(
        model=model.id,
        gpu=gpu.name,
        vllm_version=predicted.vllm_version,
        tensor_parallel_size=arguments["tensor_parallel_size"],
        pipeline_parallel_size=arguments["pipeline_parallel_size"],
        weights_gib=rounded.get("weights_gib"),
        activation_gib=rounded.get("activation_peak_gib"),
        non_torch_gib=rounded.get("non_torch_gib"),
        cuda_graph_gib=rounded.get("cuda_graph_gib"),
    )
