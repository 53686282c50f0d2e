"""Drafts that the target's own checkpoint ships."""

from __future__ import annotations

from functools import lru_cache

from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.deepseek_v4 import read_dspark_stages
from vllm_preflight.models.model import Model


@lru_cache(maxsize=64)
def dspark_stages(target: Model) -> Model:
    """The DSpark stages of a DeepSeek-V4 checkpoint, the same object for the same target.

    Raises:
        UnsupportedArchitecture: the config describes none.
    """
    return Model(
        id=f"the DSpark stages of {target.id}",
        origin=target.origin,
        provenance=target.provenance,
        config=target.config,
        architecture=read_dspark_stages(ConfigView(target.config)),
        quantization=target.quantization,
    )
