"""How the KV cache's rules changed from one vLLM release to the next.

Each row names the release a rule holds from. Releases between two that were read may
already follow the later rule. Read from vLLM's source in 0.8.5.post1, 0.9.2, 0.11.2,
0.14.1, 0.16.0, 0.19.1, 0.21.0, 0.22.1, 0.24.0, 0.26.0, 0.28.0, 0.31.0 and 0.33.0
(v1/core/kv_cache_utils.py and kv_cache_planning.py, v1/kv_cache_interface.py,
platforms/interface.py, config/vllm.py), 2026-11.
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
        state_checkpoint_blocks: prefill checkpoints of recurrent states take a block.
        latent_hybrid_alignment: blocks of hybrids with latent attention are multiples of 128.
        windows_kept: models that mix windows with full attention keep them as windows.
        chunks_kept: the same for chunked local attention (Llama 4).
        prediction_lookahead: windows also keep the tokens that prediction layers look ahead.
    """

    group_rule: GroupRule
    report: TokenReport
    null_block: bool
    state_checkpoint_blocks: bool
    latent_hybrid_alignment: bool
    windows_kept: bool
    chunks_kept: bool
    prediction_lookahead: bool


_GROUP_RULES: tuple[tuple[Version, GroupRule], ...] = (
    ((0, 19, 0), "1.5"),
    ((0, 14, 0), "1.25"),
    ((0, 0, 0), "min"),
)
_REPORT_BY_CONCURRENCY: Version = (0, 21, 0)
_NULL_BLOCK: Version = (0, 31, 0)
_STATE_CHECKPOINTS: Version = (0, 31, 0)
_LATENT_HYBRID_ALIGNMENT: Version = (0, 28, 0)
_WINDOWS: Version = (0, 9, 0)
_CHUNKS: Version = (0, 11, 0)
_LOOKAHEAD: Version = (0, 28, 0)


@lru_cache(maxsize=64)
def kv_rules(version: Version) -> KvRules:
    """The rules of a release."""
    return KvRules(
        group_rule=next(rule for since, rule in _GROUP_RULES if version >= since),
        report="concurrency" if version >= _REPORT_BY_CONCURRENCY else "blocks",
        null_block=version >= _NULL_BLOCK,
        state_checkpoint_blocks=version >= _STATE_CHECKPOINTS,
        latent_hybrid_alignment=version >= _LATENT_HYBRID_ALIGNMENT,
        windows_kept=version >= _WINDOWS,
        chunks_kept=version >= _CHUNKS,
        prediction_lookahead=version >= _LOOKAHEAD,
    )
