"""Hybrids: recurrent states (Mamba, delta rules, short convolutions) beside attention."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.families import (
    bailing,
    deepseek_v4,
    kimi,
    lfm2,
    mamba,
    minimax,
    nemotron_h,
    olmo_hybrid,
    qwen_hybrid,
    residual_attention,
    zamba2,
)
from vllm_preflight.models.parts.reader import Reader

READERS: Mapping[str, Reader] = {
    **bailing.READERS,
    **mamba.READERS,
    **nemotron_h.READERS,
    **qwen_hybrid.READERS,
    **residual_attention.READERS,
    **kimi.READERS,
    **lfm2.READERS,
    **minimax.READERS,
    **deepseek_v4.READERS,
    **olmo_hybrid.READERS,
    **zamba2.READERS,
}
