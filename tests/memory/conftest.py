"""Real architectures and plain launches for tests of the KV cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.sources import load_model

ArchitectureOf = Callable[[str], Architecture]
LaunchOf = Callable[..., Launch]


@cache
def _architecture(name: str) -> Architecture:
    return load_model(name, source="catalog").architecture


def _launch(**changes: Any) -> Launch:
    """`vllm serve` of 0.33 on an H100: 8,192 tokens a step, two batches in flight."""
    arguments: dict[str, Any] = {
        "version": (0, 33, 0),
        "dtype": "bfloat16",
        "kv_cache_dtype": "auto",
        "max_model_len": 8192,
        "gpu_memory_utilization": 0.92,
        "max_num_seqs": 1024,
        "max_num_batched_tokens": 8192,
        "mamba_cache_mode": "align",
    }
    return Launch(**{**arguments, **changes})


@pytest.fixture(scope="session")
def architecture_of() -> ArchitectureOf:
    """The architecture of a catalogued model."""
    return _architecture


@pytest.fixture(scope="session")
def launch_of() -> LaunchOf:
    """A launch of vLLM 0.33 with what a test changes."""
    return _launch
