"""Hybrids: recurrent states (Mamba, delta rules, short convolutions) beside attention."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.families.reader import Reader

READERS: Mapping[str, Reader] = {}
