"""One speculative_config on the way to a `Speculation`: what is read, where it is noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import LaunchProblem, Version
from vllm_preflight.launch.speculation.drafting import Drafting
from vllm_preflight.launch.speculation.table import is_prediction_target
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.config_view import ConfigView

# Keys of a config that SpeculativeConfig.hf_config_override takes for n_predict.
_N_PREDICT = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")


@dataclass(frozen=True)
class Reading:
    """A launch's inputs, what it is to draft with, and the ranks of the target."""

    inputs: LaunchInputs
    drafting: Drafting
    tensor_parallel_size: int

    @property
    def version(self) -> Version:
        """The release."""
        return self.inputs.notes.version

    @property
    def target(self) -> Architecture:
        """The model that verifies."""
        return self.inputs.architecture

    @property
    def drafts_itself(self) -> bool:
        """Whether the draft that is named is the target."""
        draft = self.drafting.draft
        return draft is not None and draft.architecture is self.target

    @property
    def predicts(self) -> bool:
        """Whether the release loads prediction layers of this target."""
        return is_prediction_target(_names(self.target, self.inputs.config), self.version)

    @property
    def n_predict(self) -> int | None:
        """Tokens that one pass of the target's prediction layers gives, None where silent.

        One step may be several layers (Nemotron-H), so the config counts, not the layers.
        """
        config = ConfigView(self.inputs.config)
        for view in (config, config.section("text_config")):
            found = 0 if view is None else view.integer(*_N_PREDICT, default=0)
            if found:
                return found
        return None

    def text(self, key: str) -> str | None:
        """A string of the speculative_config, None where the value is none."""
        value = self.drafting.config.get(key)
        return value if isinstance(value, str) else None

    def refuse(self, message: str, *remedies: str) -> None:
        """VLLM refuses to start: its reason, and what it would accept."""
        self.inputs.notes.refuse(message, *remedies)

    def not_modelled(self, message: str, *remedies: str) -> None:
        """VLLM may run it, and nobody here can say with how much memory."""
        self.inputs.notes.problems.append(LaunchProblem(message, remedies, "not_modelled"))


def _names(architecture: Architecture, config: Mapping[str, Any]) -> list[str]:
    """Model types and classes of a model, with the class its type would have."""
    text = config.get("text_config")
    inner = cast(Mapping[str, Any], text).get("model_type") if isinstance(text, Mapping) else None
    types = [name for name in (architecture.model_type, inner) if isinstance(name, str) and name]
    classes = [architecture.architecture, *(f"{name}ForCausalLM" for name in types)]
    return [*types, *(name for name in classes if name)]
