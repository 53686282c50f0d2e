"""How the KV cache's rules changed from one vLLM release to the next.

Each row names the release a rule holds from. Read from the wheels of every release from
0.8.0 to 0.33.0 (v1/core/kv_cache_utils.py and kv_cache_planning.py,
v1/kv_cache_interface.py, platforms/interface.py, config/vllm.py, envs.py), 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vllm_preflight.launch.launch import Version
from vllm_preflight.memory.kv.groups import GroupRule

# How "GPU KV cache size" is printed: from blocks (up to 0.19) or as concurrency × length.
TokenReport = Literal["blocks", "concurrency"]


@dataclass(frozen=True, slots=True)
class KvRules:
    """What one release does.

    Attributes:
        group_rule: how many layers share a group when kinds occur unequally often.
        report: what the printed number of tokens is made of.
        null_block: the admission check sets one block aside.
        checkpointed_states: kinds of recurrent states whose prefill may keep a checkpoint,
            which takes a block.
        latent_hybrid_alignment: blocks of hybrids with latent attention are multiples of 128.
        windows_kept: models that mix windows with full attention keep them as windows.
        chunks_kept: the same for chunked local attention (Llama 4).
        prediction_lookahead: windows also keep the tokens that prediction layers look ahead.
    """

    group_rule: GroupRule
    report: TokenReport
    null_block: bool
    checkpointed_states: frozenset[str]
    latent_hybrid_alignment: bool
    windows_kept: bool
    chunks_kept: bool
    prediction_lookahead: bool


_GROUP_RULES: tuple[tuple[Version, GroupRule], ...] = (
    ((0, 18, 0), "1.5"),
    ((0, 12, 0), "1.25"),
    ((0, 0, 0), "min"),
)
_REPORT_BY_CONCURRENCY: Version = (0, 20, 1)
_NULL_BLOCK: Version = (0, 29, 0)
_STATE_CHECKPOINTS: dict[str, Version] = {
    "kda": (0, 29, 0),
    "mamba2": (0, 32, 0),
    "gdn": (0, 33, 0),
}
_LATENT_HYBRID_ALIGNMENT: Version = (0, 27, 0)
_WINDOWS: Version = (0, 9, 1)
# Chunks were kept, then by an environment variable alone, then again.
_CHUNKS: tuple[tuple[Version, bool], ...] = (
    ((0, 14, 0), True),
    ((0, 10, 1), False),
    ((0, 10, 0), True),
    ((0, 0, 0), False),
)
_LOOKAHEAD: Version = (0, 28, 0)


@lru_cache(maxsize=64)
def kv_rules(version: Version) -> KvRules:
    """The rules of a release."""
    return KvRules(
        group_rule=next(rule for since, rule in _GROUP_RULES if version >= since),
        report="concurrency" if version >= _REPORT_BY_CONCURRENCY else "blocks",
        null_block=version >= _NULL_BLOCK,
        checkpointed_states=frozenset(
            kind for kind, since in _STATE_CHECKPOINTS.items() if version >= since
        ),
        latent_hybrid_alignment=version >= _LATENT_HYBRID_ALIGNMENT,
        windows_kept=version >= _WINDOWS,
        chunks_kept=next(kept for since, kept in _CHUNKS if version >= since),
        prediction_lookahead=version >= _LOOKAHEAD,
    )
