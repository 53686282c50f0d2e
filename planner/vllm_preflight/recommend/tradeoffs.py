"""What each recommended setting costs, and what the next better choice would need.

Every figure is a difference between two simulated start-ups: the plan's, and one that
changes this setting alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.contract.plan import PlanRequest, Tradeoff, VLLMConfig
from vllm_preflight.memory.startup import Startup

# Simulates the plan with some of its arguments changed; None where that is no launch.
Attempt = Callable[[Mapping[str, Any]], Startup | None]

_RAISED_UTILIZATION = 0.95
_LENGTH_STEP = 16


@dataclass(frozen=True)
class _Plan:
    """The plan whose settings are weighed."""

    request: PlanRequest
    config: VLLMConfig
    base: Startup
    longest: int
    attempt: Attempt

    def difference(self, changes: Mapping[str, Any]) -> str:
        """What `changes` do to the KV cache, or why vLLM would not start with them."""
        other = self.attempt(changes)
        if other is None:
            return "vLLM refuses it"
        if other.failure is not None:
            return f"vLLM would not start ({other.failure.kind}): {other.failure.message}"
        gib = (other.available_bytes - self.base.available_bytes) / BYTES_TO_GIB
        memory = f"{gib:+.2f} GiB of KV cache per GPU"
        tokens, own = other.kv.tokens, self.base.kv.tokens
        if tokens is not None and own is not None:
            memory = f"{tokens - own:+,} tokens of KV cache ({gib:+.2f} GiB per GPU)"
        risk = " It may run out of memory later." if other.late_warnings else ""
        return memory + (f".{risk}" if risk else "")


def weigh_settings(
    request: PlanRequest, config: VLLMConfig, base: Startup, longest: int, attempt: Attempt
) -> list[Tradeoff]:
    """Cost and next choice of each recommended setting; nothing for a plan that fails.

    `base` is the plan's start-up and `longest` the model's own maximum length.
    """
    if not base.starts:
        return []
    plan = _Plan(request, config, base, longest, attempt)
    weighed = (
        _parallel(plan),
        _length(plan),
        _sequences(plan),
        _batch(plan),
        _utilization(plan),
        _kv_dtype(plan),
        _weights(plan),
        _graphs(plan),
    )
    return [item for item in weighed if item is not None]


def _tradeoff(plan: _Plan, setting: str, value: object, costs: str, better: str) -> Tradeoff:
    why = plan.config.explanations.get(setting, "vLLM's default")
    return Tradeoff(setting=setting, value=str(value), why=why, costs=costs, next_choice=better)


def _parallel(plan: _Plan) -> Tradeoff:
    tensor = plan.config.tensor_parallel_size
    halves = (size for size in range(tensor - 1, 0, -1) if tensor % size == 0)
    smaller = next(halves, None)
    costs = "one GPU for each replica"
    if smaller is not None:
        costs = (
            f"{tensor} GPUs for each replica; with {smaller}: "
            f"{plan.difference({'tensor_parallel_size': smaller})}"
        )
    better = f"{2 * tensor} GPUs: {plan.difference({'tensor_parallel_size': 2 * tensor})}"
    return _tradeoff(plan, "tensor_parallel_size", tensor, costs, better)


def _length(plan: _Plan) -> Tradeoff | None:
    length, kv = plan.config.max_model_len, plan.base.kv
    if kv.max_concurrency is None:
        return None
    costs = (
        f"at that length {kv.max_concurrency:.2f} requests fit at once; shorter requests take "
        "less, whatever the limit"
    )
    if length >= plan.longest:
        return _tradeoff(plan, "max_model_len", length, costs, "none: it is the model's maximum")
    reach = plan.base.longest
    if reach > length:
        better = f"up to {reach:,} tokens start with this memory, for one request at a time"
    else:
        double = min(plan.longest, 2 * length - 2 * length % _LENGTH_STEP)
        better = f"{double:,} tokens: {plan.difference({'max_model_len': double})}"
    return _tradeoff(plan, "max_model_len", length, costs, better)


def _sequences(plan: _Plan) -> Tradeoff:
    seqs = plan.config.max_num_seqs
    half = max(1, seqs // 2)
    costs = f"memory for sampling and graphs; with {half}: " + plan.difference(
        {"max_num_seqs": half}
    )
    tokens = max(plan.config.max_num_batched_tokens, 2 * seqs)
    better = f"{2 * seqs}: " + plan.difference(
        {"max_num_seqs": 2 * seqs, "max_num_batched_tokens": tokens}
    )
    return _tradeoff(plan, "max_num_seqs", seqs, costs, better)


def _batch(plan: _Plan) -> Tradeoff:
    tokens = plan.config.max_num_batched_tokens
    half = max(plan.config.max_num_seqs, tokens // 2)
    costs = f"memory for activations; with {half}: " + plan.difference(
        {"max_num_batched_tokens": half}
    )
    better = f"{2 * tokens} (prompts are read in fewer steps): " + plan.difference(
        {"max_num_batched_tokens": 2 * tokens}
    )
    return _tradeoff(plan, "max_num_batched_tokens", tokens, costs, better)


def _utilization(plan: _Plan) -> Tradeoff:
    share = plan.config.gpu_memory_utilization
    left = plan.base.gpu.visible_bytes - plan.base.requested_bytes
    costs = f"{left / BYTES_TO_GIB:.2f} GiB of each GPU stay outside vLLM's budget"
    better = "none: higher shares leave nothing for what vLLM does not count"
    if share < _RAISED_UTILIZATION:
        better = f"{_RAISED_UTILIZATION:g}: " + plan.difference(
            {"gpu_memory_utilization": _RAISED_UTILIZATION}
        )
    return _tradeoff(plan, "gpu_memory_utilization", f"{share:g}", costs, better)


def _kv_dtype(plan: _Plan) -> Tradeoff | None:
    if plan.base.kv.tokens is None:
        return None
    asked = plan.request.kv_cache_dtype
    if asked != "auto":
        costs = "precision of keys and values; with auto: " + plan.difference(
            {"kv_cache_dtype": "auto"}
        )
        return _tradeoff(plan, "kv_cache_dtype", asked, costs, "auto keeps the model's precision")
    each = plan.base.kv.pool.bytes_per_token
    costs = f"{each:,.0f} bytes per token on each GPU"
    better = "fp8, less precise: " + plan.difference({"kv_cache_dtype": "fp8"})
    return _tradeoff(plan, "kv_cache_dtype", "auto", costs, better)


def _weights(plan: _Plan) -> Tradeoff:
    costs = f"{plan.base.weights.fullest.allocated / BYTES_TO_GIB:.2f} GiB of each GPU"
    asked = plan.request.quantization
    if asked not in {"auto", "none"}:
        costs += "; without: " + plan.difference({"quantization": "auto"})
        return _tradeoff(plan, "quantization", asked, costs, "none keeps the model's precision")
    better = "fp8, quantised while loading: " + plan.difference({"quantization": "fp8"})
    return _tradeoff(plan, "quantization", asked, costs, better)


def _graphs(plan: _Plan) -> Tradeoff:
    eager = bool(plan.base.launch.enforce_eager)
    costs = "slower steps, as kernels are launched one by one"
    better = "false: " + plan.difference({"enforce_eager": False})
    if not eager:
        graphs = plan.base.runtime.cuda_graph_bytes / BYTES_TO_GIB
        costs = f"{graphs:.2f} GiB of each GPU for CUDA graphs"
        better = "true (slower): " + plan.difference({"enforce_eager": True})
    return _tradeoff(plan, "enforce_eager", str(eager).lower(), costs, better)
