"""explain --url: what a running vLLM server holds, beside what was to be expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.check import StartupReport, StartupRequest, StartupResponse
from vllm_preflight.contract.explain import TermComparison
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.running import RunningReport
from vllm_preflight.logs.scrub import scrub
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.running.fetch import base_of
from vllm_preflight.running.metrics import Running, read_running, whole_number

Progress = Callable[[str], None]

# Blocks that differ by less than this are as predicted.
_CLOSE = 0.02
_NEARLY_FULL = 0.95
# What of the cache configuration is an argument, and what else is worth showing.
_ARGUMENTS = ("block_size", "gpu_memory_utilization", "cpu_offload_gb", "enable_prefix_caching")
_SHOWN = (*_ARGUMENTS, "cache_dtype", "num_gpu_blocks", "sliding_window", "mamba_cache_mode")


def explain_running(
    url: str, *, overrides: Mapping[str, Any] | None = None, progress: Progress | None = None
) -> RunningReport:
    """What the server at `url` says of itself, beside the prediction for the same launch.

    Only /version, /v1/models and /metrics of that host are read. `overrides` are fields of
    StartupRequest (gpu, tensor_parallel_size, command, …) for what a server does not say;
    without a GPU nothing is predicted.

    Raises:
        InvalidRequest: no address, nobody answers, or no vLLM does.
    """
    server = read_running(base_of(url))
    given = dict(overrides or {})
    warnings: list[str] = []
    response: StartupResponse | None = None
    if "gpu" not in given and "vram_gb" not in given:
        warnings.append(
            "Nothing is predicted beside it: the server does not name its GPU. Give gpu."
        )
    elif server.model is None and "command" not in given and "model" not in given:
        warnings.append("Nothing is predicted beside it: the server names no model. Give model.")
    else:
        try:
            request = validate_request(StartupRequest, _request(server, given))
            response = predict_startup(request, progress=progress)
            warnings += response.warnings
        except PreflightError as error:
            warnings.append(f"Nothing is predicted beside it. {error}")
    predicted = response.startup if response is not None else None
    rows = _rows(server, predicted)
    return RunningReport(
        url=server.base,
        explanation=_explanation(server, rows),
        vllm_version=None if server.version is None else scrub(server.version, 60),
        model=None if server.model is None else scrub(server.model),
        max_model_len=server.max_model_len,
        engines=server.engines,
        cache={k: scrub(server.cache[k], 80) for k in _SHOWN if k in server.cache},
        requests_running=server.running,
        requests_waiting=server.waiting,
        preemptions=server.preemptions,
        kv_cache_usage=server.kv_cache_usage,
        prefix_hit_rate=server.prefix_hit_rate,
        gpu=response.hardware.gpu if response is not None else None,
        comparison=rows,
        prediction=predicted,
        warnings=warnings,
        next_steps=_next_steps(server),
    )


def _request(server: Running, given: Mapping[str, Any]) -> dict[str, Any]:
    """The launch as far as the server says it; what is given wins."""
    fields: dict[str, Any] = {}
    if "command" not in given:
        fields["model"] = server.model
        if server.max_model_len is not None:
            fields["max_model_len"] = server.max_model_len
        dtype = server.cache.get("cache_dtype", "auto")
        if dtype not in {"auto", "None", ""}:
            fields["kv_cache_dtype"] = dtype
        share = server.cache.get("gpu_memory_utilization")
        if share is not None:
            fields["gpu_memory_utilization"] = share
    if server.version is not None:
        fields["vllm_version"] = server.version.partition("+")[0]
    return {**fields, **given}


def _rows(server: Running, predicted: StartupReport | None) -> list[TermComparison]:
    size = whole_number(server.cache.get("block_size", ""))
    blocks = server.num_gpu_blocks
    tokens = blocks * size if blocks is not None and size is not None else None
    logged = {
        "num_gpu_blocks": blocks,
        # A pool of several kinds of layers holds fewer tokens than blocks times their size.
        "block_size": size,
        "max_model_len": server.max_model_len,
    }
    if predicted is None and tokens is not None:
        logged["kv_cache_tokens"] = tokens
    rows: list[TermComparison] = []
    for term, value in logged.items():
        ours = getattr(predicted, term, None) if predicted is not None else None
        if value is None and ours is None:
            continue
        difference = None if value is None or ours is None else value - ours
        rows.append(TermComparison(term=term, logged=value, predicted=ours, difference=difference))
    return rows


def _explanation(server: Running, rows: list[TermComparison]) -> str:
    who = f"vLLM {scrub(server.version, 60)}" if server.version else "vLLM"
    parts = [f"{who} serves {scrub(server.model) if server.model else 'a model'}."]
    if server.num_gpu_blocks is not None:
        size = scrub(server.cache.get("block_size", "?"), 20)
        parts.append(
            f"Its KV cache has {server.num_gpu_blocks:,} blocks of {size} tokens per engine."
        )
    blocks = next((row for row in rows if row.term == "num_gpu_blocks"), None)
    if blocks is not None and blocks.difference is not None and blocks.predicted:
        share = blocks.difference / blocks.predicted
        parts.append(
            "That is as predicted."
            if abs(share) <= _CLOSE
            else f"Predicted were {blocks.predicted:,} ({share:+.0%}): another share of memory, "
            "other arguments than given, another process on the GPU, or a first start would "
            "explain it."
        )
    if server.kv_cache_usage is not None:
        parts.append(f"{server.kv_cache_usage:.0%} of the cache is in use.")
    if server.running is not None:
        parts.append(f"{server.running} requests run, {server.waiting or 0} wait.")
    if server.prefix_hit_rate is not None:
        parts.append(f"{server.prefix_hit_rate:.0%} of prompt tokens were found cached.")
    if server.preemptions:
        parts.append(
            f"{server.preemptions:,} preemptions: requests lost their cache to others and were "
            "computed again."
        )
    return " ".join(parts)


def _next_steps(server: Running) -> list[str]:
    steps: list[str] = []
    full = server.kv_cache_usage is not None and server.kv_cache_usage >= _NEARLY_FULL
    if server.preemptions or (full and server.waiting):
        steps.append(
            "The cache is too small for this load: raise gpu_memory_utilization, add GPUs, use an "
            "FP8 KV cache, or lower max_num_seqs so that fewer requests share it."
        )
    elif server.waiting and server.running is not None and not full:
        steps.append(
            "Requests wait though the cache has room: max_num_seqs or max_num_batched_tokens "
            "limits them."
        )
    return steps
