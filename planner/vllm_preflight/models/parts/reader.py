"""The shape of a family reader, and how a wrapper reads the text model inside it."""

from __future__ import annotations

from collections.abc import Callable

from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.config_view import ConfigView

# (config of the text model, wrapper's config when nested) -> architecture
Reader = Callable[[ConfigView, ConfigView | None], Architecture]
