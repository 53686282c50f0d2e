"""A model with its config's keys replaced (--hf-overrides), or its parameter count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

from vllm_preflight.base.strangers import before_strangers
from vllm_preflight.models.config_reader import read_architecture, states_length
from vllm_preflight.models.model import Model
from vllm_preflight.models.parameters import count_parameters
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
    before_strangers()
    config = merge_config(model.config, overrides)
    keys = ", ".join(sorted(overrides))
    before = model.architecture
    architecture = replace(
        read_architecture(config),
        max_position_known=before.max_position_known or states_length(config),
        pools_since=before.pools_since,
    )
    return replace(
        model,
        config=config,
        architecture=architecture,
        quantization=read_quantization(config),
        assumed=tuple(one for one in model.assumed if one.fact not in overrides),
        notes=(*model.notes, f"The config's {keys} are overridden."),
    )


@lru_cache(maxsize=256)
def override_parameters(model: Model, params_b: float | None) -> Model:
    """`model` with its weights scaled to `params_b` billion parameters; itself for None.

    For checkpoints whose size the config does not tell: caches and shapes stay.
    """
    if params_b is None:
        return model
    counted = count_parameters(model.architecture).total
    return replace(
        model,
        weight_scale=params_b * 1e9 / counted,
        assumed=tuple(one for one in model.assumed if one.other_weights == 1),
        notes=(
            *model.notes,
            f"Weights are scaled to {params_b:g} billion parameters as asked; the shapes give "
            f"{counted:,}.",
        ),
    )


def merge_config(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with `overrides` in it: sections key by key, everything else replaced."""
    merged = dict(config)
    for key, value in overrides.items():
        current = merged.get(key)
        nested = key.endswith(_SECTION_SUFFIX) and isinstance(value, Mapping)
        if nested and isinstance(current, Mapping):
            value = merge_config(cast(Mapping[str, Any], current), cast(Mapping[str, Any], value))
        merged[key] = value
    return merged
