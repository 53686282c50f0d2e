"""What vLLM refuses of a draft whose facts are known, and what of it is not modelled.

Source: vLLM 0.33 config/speculative.py (_verify_args, _verify_and_get_draft_tp) and
v1/spec_decode/draft_model.py.
"""

from __future__ import annotations

from vllm_preflight.launch.launch import Speculation
from vllm_preflight.launch.refusals import check_parallel_sizes
from vllm_preflight.launch.speculation.reading import Reading
from vllm_preflight.models.architecture import Architecture, AttentionCache, Cache, StateCache
from vllm_preflight.models.model import Model

# The second runner drafts with independent models and shards them like the target.
_DRAFT_TP_FOLLOWS_TARGET = (0, 31, 0)


def check_draft(reading: Reading, speculation: Speculation, draft: Model) -> None:
    """What vLLM refuses of a known draft, and what of it is not modelled."""
    _check_parallel(reading, speculation, draft)
    target, facts = reading.target, draft.architecture
    differ = facts.vocab_size != target.vocab_size
    mapped = bool(reading.drafting.config.get("use_heterogeneous_vocab"))
    if speculation.method == "draft_model" and differ and not mapped:
        reading.refuse(
            "Target and draft model should have the same vocabulary size. Target model "
            f"vocab_size={target.vocab_size}. Draft model vocab_size={facts.vocab_size}. "
            "Using models with different tokenizers can cause out-of-bounds errors during "
            "speculative decoding.",
            "name a draft with the target's vocabulary",
        )
    if not _shares_pool(facts, target):
        reading.not_modelled(
            f"How vLLM shares one KV cache between {draft.id} and the model is not modelled: "
            "their layers keep different kinds of caches, or states."
        )


def _shares_pool(draft: Architecture, target: Architecture) -> bool:
    """Whether the draft's caches are of kinds the target has too.

    States of a draft are not understood; beside those of a target, whose pages they decide,
    only attention as wide as the target's.
    """
    own, others = _caches(draft), _caches(target)
    if any(isinstance(cache, StateCache) for cache in own):
        return False
    if not {type(cache) for cache in own} <= {type(cache) for cache in others}:
        return False
    return not target.is_hybrid or _widths(own) <= _widths(others)


def _caches(architecture: Architecture) -> set[Cache]:
    return {cache for layer in architecture.layers for cache in layer.caches}


def _widths(caches: set[Cache]) -> set[tuple[int, int, int]]:
    return {
        (cache.num_kv_heads, cache.head_dim, cache.head_dim_v)
        for cache in caches
        if isinstance(cache, AttentionCache)
    }


def _check_parallel(reading: Reading, speculation: Speculation, draft: Model) -> None:
    tp, config = reading.tensor_parallel_size, reading.drafting.config
    if config.get("tensor_parallel_size") is not None:
        reading.refuse(
            "'tensor_parallel_size' is not a valid argument in the speculative_config. Please "
            "pass 'draft_tensor_parallel_size' instead.",
            '"draft_tensor_parallel_size"',
        )
    size = config.get("draft_tensor_parallel_size") or tp
    if size not in {1, tp}:
        reading.refuse(
            f"speculative_draft_tensor_parallel_size={size} cannot be other value than 1 or "
            "target model tensor_parallel_size",
            f'"draft_tensor_parallel_size": {tp}',
        )
    elif size != tp and speculation.method == "draft_model":
        if reading.version < _DRAFT_TP_FOLLOWS_TARGET:
            reading.refuse(
                "Currently, 'draft_tensor_parallel_size' and 'tensor_parallel_size' must be the "
                f"same. Got {size} and {tp}. Please pass 'draft_tensor_parallel_size' in the "
                "speculative_config.",
                f'"draft_tensor_parallel_size": {tp}',
            )
        else:
            reading.not_modelled("A draft model on fewer ranks than the model is not modelled.")
    if speculation.method != "medusa":
        check_parallel_sizes(draft.architecture, tp, 1, 1, reading.inputs.notes)
