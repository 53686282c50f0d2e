"""A model with keys of its config replaced, as vLLM's --hf-overrides does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import read_quantization

# Sections of a config that are configs themselves; vLLM overrides them key by key.
_SECTION_SUFFIX = "_config"


def override_config(model: Model, overrides: Mapping[str, Any]) -> Model:
    """`model` read again with `overrides` in its config; itself when there are none.

    Nested configs (`text_config`) are overridden key by key, everything else is replaced.
    Raises UnsupportedArchitecture when the result is no config that is understood.
    """
    if not overrides:
        return model
    config = _merged(model.config, overrides)
    keys = ", ".join(sorted(overrides))
    return replace(
        model,
        config=config,
        architecture=read_architecture(config),
        quantization=read_quantization(config),
        notes=(*model.notes, f"The config's {keys} are overridden."),
    )


def _merged(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(config)
    for key, value in overrides.items():
        current = merged.get(key)
        nested = key.endswith(_SECTION_SUFFIX) and isinstance(value, Mapping)
        if nested and isinstance(current, Mapping):
            value = _merged(cast(Mapping[str, Any], current), cast(Mapping[str, Any], value))
        merged[key] = value
    return merged
