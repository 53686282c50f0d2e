"""Start-ups whose speed the tests ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.memory.startup import Startup, simulate_startup
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model

# (model, its start-up) of a catalogued model on a catalogued GPU.
Started = Callable[..., tuple[Model, Startup]]


@functools.cache
def _started(
    name: str, gpu_name: str, changes: tuple[tuple[str, Any], ...]
) -> tuple[Model, Startup]:
    model, gpu = load_model(name, source="catalog"), find_gpu(gpu_name)
    given: dict[str, Any] = {"max_model_len": 8192, **dict(changes)}
    request = StartupRequest(model=name, gpu=gpu_name, **given)
    launch = resolve_launch(request, model.architecture, gpu, config=model.config)
    startup = simulate_startup(model, gpu, gpu.compute_capability or (8, 0), launch)
    assert startup.starts, startup.failure
    return model, startup


@pytest.fixture(scope="session")
def started() -> Started:
    """The start-up of a model; keyword arguments are vLLM's, `gpu_changes` of the card."""

    def start(
        name: str, gpu: str = "H100", gpu_changes: dict[str, Any] | None = None, **arguments: Any
    ) -> tuple[Model, Startup]:
        model, startup = _started(name, gpu, tuple(sorted(arguments.items())))
        return model, replace(startup, gpu=replace(startup.gpu, **(gpu_changes or {})))

    return start
