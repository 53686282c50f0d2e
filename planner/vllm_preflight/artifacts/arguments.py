"""vLLM's arguments of a plan: what was recommended, and what the request pins beside it."""

from __future__ import annotations

from typing import Any

from vllm_preflight.contract.plan import PlanRequest, VLLMConfig

# Pinned by a request, reckoned with by the plan, and nothing a plan recommends.
_PINNED = (
    "decode_context_parallel_size",
    "kv_cache_memory_bytes",
    "enable_lora",
    "max_loras",
    "max_lora_rank",
    "speculative_config",
    "limit_mm_per_prompt",
)
_SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


def serve_arguments(request: PlanRequest, config: VLLMConfig) -> dict[str, Any]:
    """Arguments of `vllm serve` by vLLM's names, without the model.

    Parallel sizes of 1 are vLLM's own and left out.
    """
    fields = config.model_dump(exclude={"model", "explanations"}, exclude_none=True)
    pinned = {name: getattr(request, name) for name in _PINNED}
    fields |= {name: value for name, value in pinned.items() if value is not None}
    return {name: value for name, value in fields.items() if not (name in _SIZES and value == 1)}
