"""What the pictures show, read from a structured answer of plan_deployment or predict_startup.

The page of the MCP App reads the same (app/src/figures.js); names and colours of both
are in app_page/chart.json, and a test holds them together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

# Parts are rounded to hundredths; less than this between them is rounding.
_ROUNDING_GIB = 0.05
_CACHE = "available_kv_cache_gib"


@dataclass(frozen=True)
class Part:
    """One part of a GPU's memory; `key` names its colour."""

    key: str
    label: str
    gib: float


@dataclass(frozen=True)
class Memory:
    """One GPU: its parts as they are stacked, what vLLM may use, and all of it, in GiB.

    Attributes:
        between_gib: the 80 % interval of the KV cache, where it is predicted.
        missing_gib: what one GPU lacks to start; None where it starts, or lacks no memory.
        reach_gib: where vLLM's memory ends: at its budget, or where others begin.
    """

    parts: tuple[Part, ...]
    budget_gib: float
    visible_gib: float
    between_gib: tuple[float, float] | None = None
    missing_gib: float | None = None
    reach_gib: float = 0.0


@dataclass(frozen=True)
class Mark:
    """A point worth naming: what was asked, or the most that fits."""

    label: str
    tokens: int
    requests: float


@dataclass(frozen=True)
class Capacity:
    """Requests of each length (tokens, requests) that the KV cache holds at once."""

    points: tuple[tuple[int, float], ...]
    marks: tuple[Mark, ...]
    max_model_len: int


@dataclass(frozen=True)
class Estimate:
    """A figure of the speed, and between which two it lies in 80 % of cases."""

    label: str
    unit: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Flow:
    """Output of all requests, and a whole request's time, with so many in flight."""

    concurrency: float
    tokens_per_s: float
    latency_ms: float


@dataclass(frozen=True)
class Speed:
    """The estimate for the workload, and its curve over concurrency where there is one."""

    estimates: tuple[Estimate, ...]
    asked: Flow
    between: tuple[float, float]
    running: float
    target_ms: float | None
    curve: tuple[Flow, ...]


@cache
def chart() -> Mapping[str, Any]:
    """Names and colours of the parts."""
    page = files("vllm_preflight_server.pages") / "app_page" / "chart.json"
    return json.loads(page.read_text(encoding="utf-8"))


def memory(answer: Mapping[str, Any]) -> Memory | None:
    """One GPU's memory; None when the answer has no figures (arguments refused)."""
    startup = answer["startup"]
    if "weights_gib" not in startup:
        return None
    visible = float(answer["hardware"]["visible_gib_per_gpu"])
    settings = answer["config"] if "config" in answer else answer["arguments"]
    budget = visible * float(settings["gpu_memory_utilization"])
    inside: list[Part] = []
    after: list[Part] = []
    for part in chart()["parts"]:
        field, label, gib = part["field"], part["label"], startup.get(part["field"], 0.0)
        if gib <= 0 or (field == _CACHE and not _keeps_cache(startup)):
            continue
        if field == "cuda_graph_gib" and not startup.get("cuda_graph_charged", True):
            after.append(Part(field, f"{label} (outside the budget)", gib))
        else:
            inside.append(Part(field, label, gib))
    free = float(answer["hardware"].get("free_gib_per_gpu", visible))
    unused = min(budget, free) - sum(part.gib for part in inside)
    if unused > _ROUNDING_GIB:
        inside.append(Part("unused", chart()["unused"]["label"], unused))
    parts = [*inside, *after]
    rest = visible - sum(part.gib for part in parts)
    others = min(visible - free, rest)
    if rest - others > _ROUNDING_GIB:
        parts.append(Part("outside", chart()["outside"]["label"], rest - others))
    if others > _ROUNDING_GIB:
        parts.append(Part("others", chart()["others"]["label"], others))
    bounds = startup.get("interval", {}).get(_CACHE)
    drawn = any(part.key == _CACHE for part in parts) and bounds and bounds[0] < bounds[1]
    return Memory(
        tuple(parts),
        budget,
        visible,
        (bounds[0], bounds[1]) if drawn else None,
        startup.get("failure", {}).get("missing_per_gpu_gib"),
        min(budget, free),
    )


def short_of_cache_gib(answer: Mapping[str, Any]) -> float | None:
    """What is missing before the first byte of KV cache; None when nothing is."""
    startup = answer["startup"]
    left = startup.get(_CACHE, 0.0)
    return -left if _keeps_cache(startup) and left <= 0 else None


def _keeps_cache(startup: Mapping[str, Any]) -> bool:
    return "kv_cache_tokens" in startup


def capacity(answer: Mapping[str, Any]) -> Capacity | None:
    """Where requests stop fitting, per engine; None when the cache holds none."""
    startup = answer["startup"]
    points = startup.get("requests_by_length")
    if not points:
        return None
    marks: list[Mark] = []
    sized = answer.get("feasibility")
    if sized:
        replicas = answer["config"]["data_parallel_size"]
        tokens = sized["context_tokens"]
        marks.append(Mark("Asked", tokens, math.ceil(sized["concurrency"] / replicas)))
        most = sized["max_concurrency_at_context"] // replicas
        if most > 0:
            marks.append(Mark("Most with margin", tokens, most))
    elif startup.get("max_concurrency"):
        marks.append(Mark("Full length", startup["max_model_len"], startup["max_concurrency"]))
    return Capacity(
        tuple((point["tokens"], point["requests"]) for point in points),
        tuple(marks),
        startup["max_model_len"],
    )


def speed(answer: Mapping[str, Any]) -> Speed | None:
    """The estimated speed; None without one. A concise answer has no curve.

    The curve goes through what was asked.
    """
    told = answer.get("performance")
    if told is None:
        return None
    bounds = told["interval"]
    estimates = tuple(
        Estimate(line["label"], line["unit"], told[line["field"]], *bounds[line["field"]])
        for line in chart()["speed"]["figures"]
    )
    asked = _flow(told)
    others = [_flow(at) for at in told.get("curve", ())]
    others = [at for at in others if at.concurrency != asked.concurrency]
    curve = sorted([*others, asked], key=lambda at: at.concurrency) if others else []
    low, high = bounds["output_tokens_per_s"]
    return Speed(
        estimates=estimates,
        asked=asked,
        between=(low, high),
        running=told["running"],
        target_ms=told.get("target", {}).get("latency_ms"),
        curve=tuple(curve),
    )


def _flow(at: Mapping[str, Any]) -> Flow:
    return Flow(at["concurrency"], at["output_tokens_per_s"], at["latency_ms"])
