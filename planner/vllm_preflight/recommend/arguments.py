"""The flags of a choice: what was asked for, and what was chosen with a reason."""

from __future__ import annotations

from typing import Any

from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.choose import Choice
from vllm_preflight.recommend.family_flags import FamilyFlags, family_flags

# A request's fields that are vLLM's, with the values that say nothing.
_ASKED: dict[str, Any] = {
    "revision": None,
    "tokenizer": None,
    "trust_remote_code": False,
    "dtype": "auto",
    "quantization": "auto",
    "kv_cache_dtype": "auto",
    "max_model_len": None,
    "gpu_memory_utilization": None,
    "max_num_seqs": None,
    "max_num_batched_tokens": None,
    "block_size": None,
    "enforce_eager": None,
    "enable_prefix_caching": None,
    "cpu_offload_gb": None,
    "decode_context_parallel_size": None,
    "kv_cache_memory_bytes": None,
    "enable_lora": None,
    "max_loras": None,
    "max_lora_rank": None,
    "speculative_config": None,
    "limit_mm_per_prompt": None,
}


def written_arguments(request: PlanRequest, model: Model, choice: Choice) -> dict[str, Any]:
    """Arguments of `vllm serve` by vLLM's names, without the model; nothing that is default."""
    layout = choice.layout
    # What further flags say stands in their own words.
    further = choice.further.parsed.fields
    fields: dict[str, Any] = {
        name: value
        for name, silent in _ASKED.items()
        if (value := getattr(request, name)) != silent and value is not None and name not in further
    }
    if fields.get("quantization") == "none":
        # 16-bit weights of a 16-bit checkpoint; of another one it is refused before.
        del fields["quantization"]
    sizes = {
        "tensor_parallel_size": layout.tensor,
        "pipeline_parallel_size": layout.pipeline,
        "data_parallel_size": layout.replicas,
        "decode_context_parallel_size": layout.decode_context,
    }
    fields |= {name: size for name, size in sizes.items() if size > 1 and name not in further}
    if layout.expert_parallel:
        fields["enable_expert_parallel"] = True
    return fields | choice.settings.fields


def written_words(request: PlanRequest, model: Model, choice: Choice) -> tuple[str, ...]:
    """What a command says after the arguments: the family's flags, then the user's own."""
    return (*flags_of_family(request, model, choice).words, *choice.further.words)


def flags_of_family(request: PlanRequest, model: Model, choice: Choice) -> FamilyFlags:
    """The family's flags that neither the request nor its further flags give."""
    given = {
        word[2:].partition("=")[0].removeprefix("no-").replace("-", "_")
        for word in choice.further.words
        if word.startswith("--")
    }
    if request.trust_remote_code:
        given.add("trust_remote_code")
    return family_flags(model, choice.startup.launch.version, frozenset(given))
