"""What decides a launch, with typed access to the arguments a request has no field for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.notes import Notes
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.quantization import quantization_section

# Tasks and runners under which a model pools instead of generating.
_POOLING = frozenset({"pooling", "embed", "embedding", "classify", "score", "reward"})
_GENERATIVE = ("ForCausalLM", "ForConditionalGeneration")


@dataclass(frozen=True)
class LaunchInputs:
    """Everything that decides a launch, and the notes taken on the way."""

    request: StartupRequest
    architecture: Architecture
    gpu: Gpu
    extra: Mapping[str, Any]
    environment: Mapping[str, str]
    config: Mapping[str, Any]
    notes: Notes
    batch_runner: bool = False

    def flag(self, name: str) -> bool | None:
        """An extra argument that is a switch, None when not given."""
        value = self.extra.get(name)
        return value if isinstance(value, bool) else None

    def number(self, name: str) -> int | None:
        """An extra argument that is a whole number, None when not given."""
        value = self.extra.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, name: str) -> str | None:
        """An extra argument that is text, None when not given."""
        value = self.extra.get(name)
        return value if isinstance(value, str) else None

    def switch(self, variable: str) -> bool | None:
        """An environment variable that is on or off, None when not set."""
        value = self.environment.get(variable)
        return None if value is None else value.strip().lower() in {"1", "true"}

    @cached_property
    def quantization_section(self) -> ConfigView | None:
        """The config's section on how its weights are stored, if it has one."""
        return quantization_section(self.config)

    @cached_property
    def pooling(self) -> bool:
        """Whether the model pools: the runner or task asked for, else what it is made for."""
        asked = self.text("runner") or self.text("task")
        if asked and asked != "auto":
            return asked in _POOLING
        since = self.architecture.pools_since
        if since is not None and self.notes.version >= since:
            return True
        # vLLM decides by the class: a decoder trained to embed still generates unless told.
        generates = self.architecture.architecture.endswith(_GENERATIVE)
        return self.architecture.task == "embed" and not generates
