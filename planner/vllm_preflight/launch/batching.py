"""How many tokens and sequences vLLM puts into one step, and in which order it decides.

Source: vLLM 0.33 engine/arg_utils.py (_set_default_max_num_seqs_and_batched_tokens_args),
config/scheduler.py (its refusals).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vllm_preflight.launch.defaults import BatchDefault, model_fact
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.notes import Notes
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.config_view import ConfigView

_THROUGHPUT = "throughput"
# Gemma 4 joined the models whose items must stay whole, then its default made room for one.
_GEMMA4_WHOLE: Version = (0, 20, 0)
_GEMMA4_ROOM: Version = (0, 22, 0)
_GEMMA4 = frozenset({"gemma4", "gemma4_unified"})


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What the user gave of the two limits, and what else decides them."""

    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    max_model_len: int
    chunked_prefill: bool
    performance_mode: str | None = None
    items_per_prompt: Mapping[str, int] = field(default_factory=dict[str, int])


def resolve_batch(
    limits: BatchLimits,
    default: BatchDefault,
    architecture: Architecture,
    config: Mapping[str, Any],
    notes: Notes,
) -> tuple[int, int]:
    """(max_num_batched_tokens, max_num_seqs) as vLLM resolves them.

    Tokens that were not given: the default of program and GPU, at least max_model_len without
    chunked prefill, at least one item of models whose items must stay together, at most
    sequences × max_model_len. Sequences that were not given: at most the tokens.
    """
    doubled = 2 if limits.performance_mode == _THROUGHPUT else 1
    reason = default.reason + (", doubled by performance mode throughput" if doubled == 2 else "")
    seqs = notes.choose("max_num_seqs", limits.max_num_seqs, default.max_num_seqs * doubled, reason)
    tokens = limits.max_num_batched_tokens
    if tokens is None:
        room = architecture.model_type in _GEMMA4 and notes.version >= _GEMMA4_ROOM
        item = _whole_item(architecture, config, notes.version, {}) if room else 0
        tokens, reason = _default_tokens(
            limits, item, seqs, default.max_num_batched_tokens * doubled, reason
        )
        notes.default("max_num_batched_tokens", reason)
    else:
        notes.given("max_num_batched_tokens")
    if limits.max_num_seqs is None and seqs > tokens:
        seqs = tokens
        notes.default("max_num_seqs", "no more than max_num_batched_tokens")
    item = _whole_item(architecture, config, notes.version, limits.items_per_prompt)
    _check(tokens, seqs, item, limits, notes)
    return tokens, seqs


def _default_tokens(
    limits: BatchLimits, item: int, seqs: int, tokens: int, reason: str
) -> tuple[int, str]:
    if not limits.chunked_prefill and limits.max_model_len > tokens:
        tokens, reason = limits.max_model_len, "max_model_len, as prefill is not chunked"
    if item > tokens:
        tokens, reason = item, "the tokens of one item, which this model cannot split"
    if seqs * limits.max_model_len < tokens:
        tokens, reason = seqs * limits.max_model_len, "no more than max_num_seqs × max_model_len"
    return tokens, reason


def _whole_item(
    architecture: Architecture,
    config: Mapping[str, Any],
    version: Version,
    items_per_prompt: Mapping[str, int],
) -> int:
    """Tokens of the largest item that a batch must hold whole; 0 where items may be cut."""
    if not _keeps_items_whole(architecture.model_type, config, version):
        return 0
    sizes = [
        size
        for encoder in architecture.encoders
        for modality, size in (
            ("audio" if encoder.kind == "audio" else "image", encoder.max_tokens_per_item),
            ("video", encoder.max_tokens_per_video),
        )
        if size is not None and items_per_prompt.get(modality) != 0
    ]
    return max(sizes, default=0)


def _keeps_items_whole(model_type: str, config: Mapping[str, Any], version: Version) -> bool:
    if model_type in model_fact("multimodal_prefix"):
        return True
    text = ConfigView(config).section("text_config")
    both_ways = text is not None and text.get("use_bidirectional_attention") == "vision"
    return model_type in _GEMMA4 and both_ways and version >= _GEMMA4_WHOLE


def _check(tokens: int, seqs: int, item: int, limits: BatchLimits, notes: Notes) -> None:
    if item > tokens:
        notes.refuse(
            f"Chunked MM input disabled but max_tokens_per_mm_item ({item}) is larger than "
            f"max_num_batched_tokens ({tokens}). Please increase max_num_batched_tokens.",
            f"--max-num-batched-tokens {item}",
        )
    if tokens < limits.max_model_len and not limits.chunked_prefill:
        notes.refuse(
            f"max_num_batched_tokens ({tokens}) is smaller than max_model_len "
            f"({limits.max_model_len}). This effectively limits the maximum sequence length to "
            "max_num_batched_tokens and makes vLLM reject longer sequences. Please increase "
            "max_num_batched_tokens or decrease max_model_len.",
            f"--max-num-batched-tokens {limits.max_model_len}",
            f"--max-model-len {tokens}",
        )
    if tokens < seqs:
        notes.refuse(
            f"max_num_batched_tokens ({tokens}) must be greater than or equal to max_num_seqs "
            f"({seqs}).",
            f"--max-num-seqs {tokens}",
            f"--max-num-batched-tokens {seqs}",
        )
