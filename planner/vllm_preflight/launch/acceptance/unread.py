"""What a release says of a config that nobody here can size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm_preflight.launch.acceptance.classes import refused_class
from vllm_preflight.launch.acceptance.methods import refused_stored
from vllm_preflight.launch.launch import LaunchProblem, Version

# Configs that name a draft and the model it drafts for; vLLM takes both from it.
_SPECULATORS = ("speculators_config", "speculators_model_type")


def refused_config(
    config: Mapping[str, Any],
    version: Version,
    *,
    trust_remote_code: bool = False,
    allow_deprecated: bool = False,
) -> LaunchProblem | None:
    """Why the release refuses a model by its config alone, None where it may run it."""
    if any(key in config for key in _SPECULATORS):
        return None
    found = refused_class(config, version, trust_remote_code=trust_remote_code)
    if found is not None and found.kind != "not_modelled":
        return found
    return refused_stored(config, version, allow_deprecated=allow_deprecated)
