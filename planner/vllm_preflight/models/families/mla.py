"""Families with multi-head latent attention: DeepSeek V2 to V4, Kimi K2, GLM-5."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.families.reader import Reader

READERS: Mapping[str, Reader] = {}
