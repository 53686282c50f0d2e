"""A model of the catalogue, launched with a speculative_config, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.launch.speculation.drafting import find_drafting
from vllm_preflight.models.served import load_served

Draft = Callable[..., Launch]


@pytest.fixture
def draft(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Draft:
    """The launch of a model with a speculative_config on an H200."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))

    def run(model: str, config: Mapping[str, Any] | None, **fields: Any) -> Launch:
        loaded = load_served(model)
        text = None if config is None else json.dumps(config)
        request = StartupRequest.model_validate(
            {"model": model, "speculative_config": text, **fields}
        )
        return resolve_launch(
            request,
            loaded.architecture,
            find_gpu("H200"),
            config=loaded.config,
            drafting=find_drafting(loaded, text),
        )

    return run
