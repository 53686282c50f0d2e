"""From the endpoints of a vLLM server to what it holds and carries.

Names of metrics by release: vllm/v1/metrics/loggers.py and vllm/engine/metrics.py (V0).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.running.fetch import get_text

_SAMPLE = re.compile(
    r"(?P<name>vllm:\w{1,80})(?:\{(?P<labels>[^\n]{0,8000})\})? (?P<value>\S{1,40})"
)
_LABEL = re.compile(r'(\w{1,60})="((?:[^"\\]|\\.)*)"')
_NUMBER = re.compile(r"[0-9]{1,15}")
_MOST_SAMPLES = 100_000
# The same figure under the names of several releases, the newest first.
_USAGE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
_QUERIES = ("vllm:prefix_cache_queries", "vllm:gpu_prefix_cache_queries")
_HITS = ("vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits")
_HIT_RATE = "vllm:gpu_prefix_cache_hit_rate"


@dataclass(frozen=True)
class Running:
    """A running server; None where it does not say.

    Attributes:
        engines: data-parallel engines behind the address.
        cache: vLLM's cache configuration by its names, as text.
        num_gpu_blocks: blocks of one engine's pool, of the smallest.
        kv_cache_usage: share of the cache in use, of the fullest engine, 0 to 1.
        prefix_hit_rate: share of prompt tokens that were cached, since the start.
    """

    base: str
    version: str | None = None
    model: str | None = None
    models: tuple[str, ...] = ()
    max_model_len: int | None = None
    engines: int = 1
    cache: Mapping[str, str] = field(default_factory=dict[str, str])
    num_gpu_blocks: int | None = None
    running: int | None = None
    waiting: int | None = None
    preemptions: int | None = None
    kv_cache_usage: float | None = None
    prefix_hit_rate: float | None = None


@dataclass(frozen=True)
class _Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def read_running(base: str) -> Running:
    """What the server at this address says at /version, /v1/models and /metrics.

    Raises:
        InvalidRequest: nobody answers, or no vLLM does.
    """
    version = _json(get_text(base, "/version")).get("version")
    served = _served(_json(get_text(base, "/v1/models")))
    samples = list(_samples(get_text(base, "/metrics") or ""))
    if version is None and not samples:
        raise InvalidRequest(
            f"{base} answers, but not as a vLLM server: it has neither /version nor vllm: metrics.",
            "Give the address of vLLM itself, not of a gateway before it.",
        )
    return _running(base, version if isinstance(version, str) else None, served, samples)


def _json(text: str | None) -> dict[str, Any]:
    try:
        value: object = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _served(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = answer.get("data")
    items = cast(list[object], data) if isinstance(data, list) else []
    return [cast(Mapping[str, Any], item) for item in items if isinstance(item, dict)]


def _samples(text: str) -> Iterator[_Sample]:
    count = 0
    for line in text.splitlines():
        if not line.startswith("vllm:"):
            continue
        found = _SAMPLE.match(line)
        if found is None:
            continue
        count += 1
        if count > _MOST_SAMPLES:
            return
        try:
            value = float(found["value"])
        except ValueError:
            continue
        labels = dict(_LABEL.findall(found["labels"] or ""))
        yield _Sample(found["name"].removesuffix("_total"), labels, value)


def _running(
    base: str, version: str | None, served: list[Mapping[str, Any]], samples: list[_Sample]
) -> Running:
    own = [item for item in served if item.get("parent") is None]
    first: Mapping[str, Any] = own[0] if own else {}
    name = first.get("root") or first.get("id")
    labelled = next((s.labels["model_name"] for s in samples if "model_name" in s.labels), None)
    length = first.get("max_model_len")
    infos = [sample.labels for sample in samples if sample.name == "vllm:cache_config_info"]
    counted = [whole_number(info.get("num_gpu_blocks", "")) for info in infos]
    blocks = [count for count in counted if count is not None]
    engines = {sample.labels["engine"] for sample in samples if "engine" in sample.labels}
    return Running(
        base=base,
        version=version,
        model=str(name) if name else labelled,
        models=tuple(str(item.get("id")) for item in served),
        max_model_len=length if isinstance(length, int) and length > 0 else None,
        engines=max(len(engines), 1),
        cache=infos[0] if infos else {},
        num_gpu_blocks=min(blocks, default=None),
        running=_whole(samples, "vllm:num_requests_running"),
        waiting=_whole(samples, "vllm:num_requests_waiting"),
        preemptions=_whole(samples, "vllm:num_preemptions"),
        kv_cache_usage=_fullest(samples),
        prefix_hit_rate=_hit_rate(samples),
    )


def whole_number(text: str) -> int | None:
    """The number that a label holds; None for anything else."""
    return int(text) if _NUMBER.fullmatch(text) else None


def _sum(samples: list[_Sample], *names: str) -> float | None:
    """The sum over engines of the first of these names that is there."""
    for name in names:
        values = [sample.value for sample in samples if sample.name == name]
        if values:
            return sum(values)
    return None


def _whole(samples: list[_Sample], name: str) -> int | None:
    value = _sum(samples, name)
    return int(value) if value is not None and math.isfinite(value) else None


def _fullest(samples: list[_Sample]) -> float | None:
    for name in _USAGE:
        values = [sample.value for sample in samples if sample.name == name]
        if values:
            return max(values)
    return None


def _hit_rate(samples: list[_Sample]) -> float | None:
    queries, hits = _sum(samples, *_QUERIES), _sum(samples, *_HITS)
    if queries and hits is not None:
        return round(hits / queries, 4)
    rate = _sum(samples, _HIT_RATE)
    return None if rate is None or rate < 0 else rate
