"""Weights that a checkpoint holds although its config does not describe them.

A config that names an audio tower without describing it (`"audio_config": null`) leaves its
shapes open; what the published total has beyond the described shapes is that tower. Gemma 4
stores keys and values of layers that reuse those of others, and vLLM loaded them up to 0.29
(models/gemma4.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from vllm_preflight.launch.launch import Version
from vllm_preflight.memory.weights.tensors import Tensor
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.model import Model
from vllm_preflight.models.parameters import count_parameters

# A smaller difference is norms and buffers that are counted otherwise.
_LEAST_SHARE = 0.005
_SHARED_KEYS_DROPPED: Version = (0, 30, 0)


def unlisted_tensors(
    model: Model, version: Version, dtype_bytes: int, towers: frozenset[str]
) -> Iterator[Tensor]:
    """Bytes on every rank of what the config does not describe, or releases once loaded."""
    if "audio" in towers and (parameters := undescribed_parameters(model)):
        yield Tensor("audio", parameters * dtype_bytes)
    text = ConfigView(model.config).section("text_config") or ConfigView(model.config)
    if text.model_type.startswith("gemma4") and version < _SHARED_KEYS_DROPPED:
        for weight in model.architecture.unloaded:
            yield Tensor("attention", weight.elements * dtype_bytes)


@lru_cache(maxsize=256)
def undescribed_parameters(model: Model) -> int:
    """Published parameters beyond the described shapes, where a tower is left open."""
    published = model.params_published
    named = "audio_config" in model.config and model.config["audio_config"] is None
    if not named or published is None:
        return 0
    counted = count_parameters(model.architecture).published
    beyond = published - max((total for total in counted if total <= published), default=published)
    return beyond if beyond > _LEAST_SHARE * published else 0
