"""How a checkpoint stores its weights: scheme, and what stays in 16 bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Quantization:
    """A weight scheme as vLLM names it; `method` is "none" for 16/32-bit weights."""

    method: str = "none"


def read_quantization(config: Mapping[str, Any]) -> Quantization:
    """The scheme a config's `quantization_config` describes."""
    del config
    return Quantization()
