"""Whether prefill is chunked and prefixes are cached, and how states are kept.

Source: vLLM 0.33 config/model.py (is_chunked_prefill_supported,
is_prefix_caching_supported), config/scheduler.py, config/cache.py.
"""

from __future__ import annotations

from typing import cast

from vllm_preflight.launch.defaults import model_fact
from vllm_preflight.launch.dtypes import full_dtype_name
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import MambaCacheMode
from vllm_preflight.models.architecture import Architecture, AttentionCache, StateCache

# Mamba models whose class is no SupportsMambaPrefixCaching.
_NEVER_ALL = frozenset({"plamo2", "phi4flash"})


def chunked_prefill(inputs: LaunchInputs) -> bool:
    """Whether a prompt may be spread over several steps."""
    whole = whole_prompts(inputs)
    crossed = has_cache(inputs.architecture, "cross")
    if crossed:
        inputs.notes.default("enable_chunked_prefill", "off for encoder-decoder models")
        return False
    return inputs.notes.choose(
        "enable_chunked_prefill",
        inputs.flag("enable_chunked_prefill"),
        not whole,
        "off for models that pool over the whole prompt" if whole else "vLLM's default",
    )


def prefix_caching(inputs: LaunchInputs) -> bool:
    """Whether vLLM keeps the KV cache of shared prefixes."""
    asked = inputs.request.enable_prefix_caching
    if asked is not None:
        inputs.notes.given("enable_prefix_caching")
        return asked
    default, reason = True, "vLLM's default"
    if whole_prompts(inputs):
        default, reason = False, "off for models that pool over the whole prompt"
    elif has_cache(inputs.architecture, "cross"):
        default, reason = False, "off for encoder-decoder models"
    elif inputs.architecture.model_type in model_fact("attention_free"):
        default, reason = False, "off for models without attention"
    elif inputs.architecture.is_hybrid:
        default = bool(inputs.notes.versioned("hybrid_prefix_caching"))
        reason = f"{'on' if default else 'off'} for hybrid models in this release"
    inputs.notes.default("enable_prefix_caching", reason)
    return default


def mamba_cache_mode(inputs: LaunchInputs, prefix_cached: bool) -> MambaCacheMode:
    """How recurrent states are cached: none, align or (up to 0.27 by itself) all.

    Only Mamba layers can keep the state of every block.
    """
    if not inputs.architecture.is_hybrid:
        return "none"
    of_every_block = _keeps_every_state(inputs.architecture)
    asked = inputs.text("mamba_cache_mode")
    if asked == "all" and not of_every_block:
        return "align"
    if asked in {"none", "align", "all"}:
        return cast(MambaCacheMode, asked)
    if not prefix_cached:
        return "none"
    rule = inputs.notes.versioned("prefix_cached_mamba_mode")
    if rule == "align":
        return "align"
    if of_every_block:
        return "all"
    return "align" if rule == "all_or_align" else "none"


def _keeps_every_state(architecture: Architecture) -> bool:
    states = [cache for cache in architecture.caches if isinstance(cache, StateCache)]
    kinds = {cache.kind for cache in states}
    return kinds <= {"mamba1", "mamba2"} and architecture.model_type not in _NEVER_ALL


def mamba_ssm_cache_dtype(inputs: LaunchInputs) -> str | None:
    """The dtype the user forces on recurrent states, None for the model's own."""
    asked = inputs.text("mamba_ssm_cache_dtype") or inputs.text("mamba_cache_dtype")
    return None if asked in {None, "auto"} else full_dtype_name(cast(str, asked))


def whole_prompts(inputs: LaunchInputs) -> bool:
    """Whether the model must see a prompt at once: it pools with bidirectional attention.

    A causal decoder that pools its last token may take a prompt in parts.
    """
    return inputs.pooling and has_cache(inputs.architecture, "encoder_only")


def has_cache(architecture: Architecture, kind: str) -> bool:
    """Whether any layer has attention of that kind."""
    return any(
        isinstance(cache, AttentionCache) and cache.kind == kind for cache in architecture.caches
    )
