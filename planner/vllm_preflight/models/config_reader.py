"""From `config.json` to an `Architecture`: which family reads which model type.

Dispatch is explicit. A model type nobody here knows is refused with the keys that
matter, because a guess would be a wrong number that looks right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm_preflight.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families import multimodal
from vllm_preflight.models.families.reader import Reader

READERS: Mapping[str, Reader] = {
    **multimodal.TEXT_READERS,
    **multimodal.READERS,
}


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """The architecture a config describes.

    Raises:
        UnsupportedArchitecture: the model type is not known, or keys are missing.
    """
    view = ConfigView(config)
    reader = READERS.get(view.model_type)
    if reader is not None:
        return reader(view, None)
    raise UnsupportedArchitecture(
        f"The architecture {view.model_type or 'without a model_type'!r} "
        f"({', '.join(view.architectures) or 'no architectures'}) is not supported.",
        "The keys that decide are model_type and architectures.",
        keys=("model_type", "architectures"),
    )
