"""What a launch is to draft with: the speculative_config vLLM reads, and the draft's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.launch.nested import json_object
from vllm_preflight.models.drafts.formats import own_speculative_config
from vllm_preflight.models.drafts.in_target import dspark_stages
from vllm_preflight.models.model import Model
from vllm_preflight.models.served import load_draft

# Model types whose checkpoints may ship the stages of a DSpark draft.
TARGETS_WITH_STAGES = "deepseek_v4"
# Values of "model" that name no draft.
LOOKUPS = frozenset({"ngram", "[ngram]", "ngram_gpu", "suffix", "extract_hidden_states"})


@dataclass(frozen=True, eq=False)
class Drafting:
    """The speculative_config of a launch with what is known of its draft.

    Attributes:
        config: the speculative_config as vLLM reads it; of a draft served by its own name
            (speculators format) what its config.json makes of it.
        draft: the draft model or head, None where none is named or nothing is known of it.
        unknown: why nothing is known of the draft that is named; empty otherwise.
    """

    config: Mapping[str, Any]
    draft: Model | None = None
    unknown: str = ""

    @property
    def name(self) -> str | None:
        """The draft that is named, if any."""
        value = self.config.get("model")
        return value if isinstance(value, str) and value else None


def find_drafting(model: Model, speculative_config: str | None) -> Drafting | None:
    """What `model` is to draft with; None without speculative decoding.

    A draft that cannot be found is no error: `unknown` says why.

    Raises:
        InvalidRequest: `speculative_config` is no JSON object.
    """
    given = json_object("speculative_config", speculative_config) if speculative_config else {}
    if model.speculator is not None:
        own = own_speculative_config(model.speculator.config, model.speculator.id)
        locked = {name: own[name] for name in ("method", "model")}
        return Drafting({**own, **given, **locked}, model.speculator)
    if not speculative_config:
        return None
    drafting = Drafting(given)
    name = drafting.name
    itself = name is not None and name.lower() == model.id.lower()
    if (name is None or itself) and given.get("method") == "dspark":
        return _with_stages(model, {key: given[key] for key in given if key != "model"})
    if itself:
        return Drafting(given, model)
    if name is None or name in LOOKUPS:
        return drafting
    revision = given.get("revision")
    try:
        draft = load_draft(name, revision if isinstance(revision, str) else None)
    except PreflightError as error:
        return Drafting(given, unknown=error.message)
    return Drafting(given, draft)


def _with_stages(model: Model, given: Mapping[str, Any]) -> Drafting:
    if not model.architecture.model_type.startswith(TARGETS_WITH_STAGES):
        return Drafting(given)
    try:
        return Drafting(given, dspark_stages(model))
    except PreflightError as error:
        return Drafting(given, unknown=error.message)


def without_lookup(speculative_config: str) -> Drafting:
    """A speculative_config whose draft nobody looked for.

    Raises:
        InvalidRequest: it is no JSON object.
    """
    given = json_object("speculative_config", speculative_config)
    return Drafting(given, unknown="nobody looked for it")
