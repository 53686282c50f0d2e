"""Multimodal wrappers: a text decoder with vision or audio towers."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.families.reader import Reader

READERS: Mapping[str, Reader] = {}
