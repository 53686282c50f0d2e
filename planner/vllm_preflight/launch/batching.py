"""How many tokens and sequences vLLM puts into one step, and in which order it decides.

Source: vLLM 0.33 engine/arg_utils.py (_set_default_max_num_seqs_and_batched_tokens_args),
config/scheduler.py (its refusals).
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.launch.defaults import BatchDefault, model_fact
from vllm_preflight.launch.notes import Notes
from vllm_preflight.models.architecture import Architecture

_THROUGHPUT = "throughput"


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What the user gave of the two limits, and what else decides them."""

    max_num_seqs: int | None
    max_num_batched_tokens: int | None
    max_model_len: int
    chunked_prefill: bool
    performance_mode: str | None = None


def resolve_batch(
    limits: BatchLimits, default: BatchDefault, architecture: Architecture, notes: Notes
) -> tuple[int, int]:
    """(max_num_batched_tokens, max_num_seqs) as vLLM resolves them.

    Tokens that were not given: the default of program and GPU, at least max_model_len without
    chunked prefill, at least one item of models whose items must stay together, at most
    sequences × max_model_len. Sequences that were not given: at most the tokens.
    """
    if default.bracketed and None in (limits.max_num_seqs, limits.max_num_batched_tokens):
        assumed = f"{default.max_num_batched_tokens} tokens and {default.max_num_seqs} sequences"
        notes.uncertain("batch default", assumed)
    doubled = 2 if limits.performance_mode == _THROUGHPUT else 1
    reason = default.reason + (", doubled by performance mode throughput" if doubled == 2 else "")
    seqs = notes.choose("max_num_seqs", limits.max_num_seqs, default.max_num_seqs * doubled, reason)
    tokens = limits.max_num_batched_tokens
    if tokens is None:
        tokens, reason = _default_tokens(
            limits, architecture, seqs, default.max_num_batched_tokens * doubled, reason
        )
        notes.default("max_num_batched_tokens", reason)
    else:
        notes.given("max_num_batched_tokens")
    if limits.max_num_seqs is None and seqs > tokens:
        seqs = tokens
        notes.default("max_num_seqs", "no more than max_num_batched_tokens")
    _check(tokens, seqs, limits, notes)
    return tokens, seqs


def _default_tokens(
    limits: BatchLimits, architecture: Architecture, seqs: int, tokens: int, reason: str
) -> tuple[int, str]:
    if not limits.chunked_prefill and limits.max_model_len > tokens:
        tokens, reason = limits.max_model_len, "max_model_len, as prefill is not chunked"
    item = _largest_item(architecture)
    if item > tokens:
        tokens, reason = item, "the tokens of one item, which this model cannot split"
    if seqs * limits.max_model_len < tokens:
        tokens, reason = seqs * limits.max_model_len, "no more than max_num_seqs × max_model_len"
    return tokens, reason


def _largest_item(architecture: Architecture) -> int:
    if architecture.model_type not in model_fact("multimodal_prefix"):
        return 0
    return max((encoder.max_tokens_per_item or 0 for encoder in architecture.encoders), default=0)


def _check(tokens: int, seqs: int, limits: BatchLimits, notes: Notes) -> None:
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
