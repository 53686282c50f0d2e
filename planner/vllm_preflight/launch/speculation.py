"""speculative_config as a release reads it: which method drafts, with what, how many tokens.

What the release refuses is noted in its words; a draft that it may run and that is not
understood here is noted as not modelled.
Source: config/speculative.py of vLLM 0.9.2 to 0.33.0 (`draft_methods.json` says what each
release knows), v1/spec_decode/draft_model.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest, PreflightError
from vllm_preflight.launch.draft_methods import (
    eagle3_targets,
    is_prediction_target,
    last_release_with,
    methods_of,
)
from vllm_preflight.launch.drafting import LOOKUPS, TARGETS_WITH_STAGES, Drafting
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import LaunchProblem, Speculation
from vllm_preflight.launch.refusals import check_parallel_sizes
from vllm_preflight.launch.versions import format_version
from vllm_preflight.models.architecture import Architecture, StateCache
from vllm_preflight.models.drafts.loading import as_head
from vllm_preflight.models.model import Model

_LOOKUP_METHODS = frozenset({"ngram", "ngram_gpu", "suffix"})
_HEADS = frozenset({"eagle", "eagle3", "dflash", "dspark", "medusa"})
_NOT_MODELLED = frozenset({"extract_hidden_states", "custom_class"})
# Names that make vLLM take a draft for a head of a method (its own order).
_BY_NAME = (("eagle-", "eagle"), ("eagle3", "eagle3"), ("dflash", "dflash"), ("dspark", "dspark"))
# Methods that vLLM finds by the draft's own config.
_BY_CLASS = frozenset({"dspark", "medusa", "mlp_speculator"})
_DRAFT_MODELS = (0, 15, 0)
# Up to here a target with prediction layers drafts with them unasked.
_IMPLICIT_PREDICTION_ENDS = (0, 11, 0)
# First release that refuses a method it cannot place instead of taking it for draft_model.
_METHOD_REFUSED = (0, 15, 0)
# The second runner drafts with independent models and shards them like the target.
_DRAFT_TP_FOLLOWS_TARGET = (0, 31, 0)
_SUFFIX_TOKENS = 24
_NO_MODEL = "num_speculative_tokens was provided but without speculative model."
_NO_DRAFT_MODELS = (
    "Draft model speculative decoding is not supported yet. Please consider using other "
    "speculative decoding methods such as ngram, medusa, eagle, or mtp."
)


@dataclass(frozen=True)
class _Reading:
    """One speculative_config on the way to a Speculation."""

    inputs: LaunchInputs
    drafting: Drafting
    tensor_parallel_size: int

    @property
    def target(self) -> Architecture:
        return self.inputs.architecture

    def refuse(self, message: str, *remedies: str) -> None:
        self.inputs.notes.refuse(message, *remedies)

    def not_modelled(self, message: str, *remedies: str) -> None:
        self.inputs.notes.problems.append(LaunchProblem(message, remedies, "not_modelled"))


def read_speculation(
    inputs: LaunchInputs, drafting: Drafting, tensor_parallel_size: int
) -> Speculation | None:
    """The method, draft and drafted tokens of a launch; None where the release refuses them.

    Raises InvalidRequest for a key whose value has the wrong type.
    """
    reading = _Reading(inputs, drafting, tensor_parallel_size)
    method = _method(reading)
    if method is None:
        return None
    tokens = _tokens(reading, method)
    if tokens is None:
        return None
    speculation = _speculation(reading, method, tokens)
    if speculation is not None and speculation.drafter is not None:
        _check_draft(reading, speculation, speculation.drafter)
    return speculation


def _method(reading: _Reading) -> str | None:
    """The method asked for or found as vLLM finds it; None where it is refused."""
    version, name = reading.inputs.notes.version, reading.drafting.name
    given = _text(reading.drafting.config, "method")
    known = methods_of(version)
    if given is not None:
        given = given.strip("[]")
        if given not in known:
            _refuse_method(reading, given)
            return None
        if given == "mtp" or given.endswith("_mtp"):
            return "mtp"
        if given != "draft_model":
            return given
    if name is None:
        if version < _IMPLICIT_PREDICTION_ENDS and _predicts(reading):
            return "mtp"
        reading.refuse(_NO_MODEL, 'name a "method" or a draft "model" in --speculative-config')
        return None
    if name in LOOKUPS:
        return name.strip("[]")
    return _method_by_draft(reading, name, known)


def _refuse_method(reading: _Reading, given: str) -> None:
    version = reading.inputs.notes.version
    last = last_release_with(given)
    names = ", ".join(repr(name) for name in sorted(methods_of(version)))
    reading.refuse(
        f"method: Input should be one of {names} in vLLM {format_version(version)} "
        f"(input_value={given!r}).",
        *([f"vLLM {last}"] if last is not None else []),
    )


def _method_by_draft(reading: _Reading, name: str, known: frozenset[str]) -> str:
    """What vLLM takes a draft for that is given without a method, or as a draft model."""
    draft = reading.drafting.draft
    if _is_target(reading, draft) and _predicts(reading):
        return "mtp"
    for part, method in _BY_NAME:
        if part in name.lower() and method in known:
            return method
    if draft is not None:
        own = draft.architecture.drafts
        if own in _BY_CLASS and own in known:
            return own
    return "draft_model"


def _tokens(reading: _Reading, method: str) -> int | None:
    """Tokens drafted per step: asked for, or what the method or draft has by itself."""
    tokens: object = reading.drafting.config.get("num_speculative_tokens")
    if tokens is None:
        tokens = _own_tokens(reading, method)
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        draft = reading.drafting.draft
        if tokens is None and draft is not None and draft.origin == "catalog":
            reading.not_modelled(
                f"How many tokens {draft.id} drafts is in its config.json, which is not at hand.",
                'give "num_speculative_tokens" in --speculative-config',
            )
            return None
        reading.refuse(
            "num_speculative_tokens must be provided with speculative model unless the draft "
            "model config contains an n_predict parameter."
            if tokens is None
            else f"Expected num_speculative_tokens to be greater than zero ({tokens!r}).",
            'give "num_speculative_tokens" of at least 1 in --speculative-config',
        )
        return None
    return tokens


def _own_tokens(reading: _Reading, method: str) -> int | None:
    if method == "mtp" and reading.target.predictor_layers:
        return len(reading.target.predictor_layers)
    if method == "suffix":
        return _SUFFIX_TOKENS
    if method == "dspark":
        draft = reading.drafting.draft
        config = draft.config if draft is not None else reading.inputs.config
        size = config.get("block_size", config.get("dspark_block_size"))
        return size if isinstance(size, int) else None
    return None


def _speculation(reading: _Reading, method: str, tokens: int) -> Speculation | None:
    if method in _LOOKUP_METHODS:
        return Speculation(method, tokens, reading.drafting.name)
    if method in _NOT_MODELLED:
        reading.not_modelled(f"What the method {method} keeps on the GPU is not modelled.")
        return Speculation(method, tokens, reading.drafting.name)
    if method == "mtp":
        return _prediction(reading, tokens)
    if method == "mlp_speculator":
        reading.refuse(
            "Model architectures ['MLPSpeculatorPreTrainedModel'] are not supported for now.",
            "drop --speculative-config",
        )
        return None
    if method == "draft_model" and reading.inputs.notes.version < _DRAFT_MODELS:
        reading.refuse(_NO_DRAFT_MODELS, "vLLM 0.15.0")
        return None
    if method == "eagle3" and not _takes_eagle3(reading):
        return None
    if reading.drafting.name is None:
        return _stages_of_target(reading, tokens) if method == "dspark" else _no_model(reading)
    return _with_draft(reading, method, tokens, reading.drafting.name)


def _no_model(reading: _Reading) -> None:
    reading.refuse(_NO_MODEL, 'name the draft as "model" in --speculative-config')


def _with_draft(reading: _Reading, method: str, tokens: int, name: str) -> Speculation | None:
    """A draft with weights of its own."""
    config, draft = reading.drafting.config, reading.drafting.draft
    plain = Speculation(method, tokens, name)
    if draft is None:
        reason = f" ({reading.drafting.unknown.rstrip('.')})" if reading.drafting.unknown else ""
        reading.not_modelled(
            f"The draft {name} is not known here{reason}: its weights and its share of the KV "
            "cache are not counted.",
            "give a local folder with the draft's config.json as the draft",
        )
        return plain
    if method in _HEADS:
        try:
            draft = as_head(draft, method)
        except PreflightError as error:
            reading.not_modelled(f"{error.message} Its weights and KV cache are not counted.")
            return plain
    elif draft.architecture.drafts:
        reading.not_modelled(
            f"vLLM takes {name} for an independent draft model, because its name does not say "
            f"that it is a head of {draft.architecture.drafts}.",
            f'give "method": "{draft.architecture.drafts}" in --speculative-config',
        )
        return plain
    for note in draft.notes:
        reading.inputs.notes.warn(note)
    return Speculation(
        method,
        tokens,
        name,
        drafter=draft,
        shares_embedding=method in _HEADS
        and draft.architecture.hidden_size == reading.target.hidden_size,
        quantization=_text(config, "quantization"),
        kv_cache_dtype=_text(config, "kv_cache_dtype"),
    )


def _stages_of_target(reading: _Reading, tokens: int) -> Speculation | None:
    """DSpark without a draft: the stages that a DeepSeek-V4 checkpoint ships."""
    if not reading.target.model_type.startswith(TARGETS_WITH_STAGES):
        reading.refuse(
            "dspark without a draft needs a DeepSeek-V4 checkpoint that ships its stages; "
            f"{reading.target.model_type} has none.",
            'name the draft as "model" in --speculative-config',
        )
        return None
    stages = reading.drafting.draft
    if stages is None:
        reading.not_modelled(
            f"{reading.drafting.unknown} The weights and KV cache of the DSpark stages are not "
            "counted."
        )
        return Speculation("dspark", tokens)
    asked = reading.inputs.request.quantization
    return Speculation(
        "dspark",
        tokens,
        drafter=stages,
        shares_embedding=True,
        quantization=None if asked in {"auto", "none"} else asked,
    )


def _prediction(reading: _Reading, tokens: int) -> Speculation | None:
    """Multi-token prediction with the model's own layers."""
    name, draft = reading.drafting.name, reading.drafting.draft
    version = reading.inputs.notes.version
    if name is not None and not _is_target(reading, draft):
        reading.not_modelled(
            f"Multi-token prediction with the separate model {name} is not modelled: its "
            "weights and its share of the KV cache are not counted."
        )
        return Speculation("mtp", tokens, name)
    if not _predicts(reading):
        reading.refuse(
            "Unsupported speculative method: 'mtp'"
            if version >= _METHOD_REFUSED
            else "Speculative decoding with draft model is not supported yet. Please consider "
            "using other speculative decoding methods such as ngram, medusa, eagle, or mtp.",
            f"drop --speculative-config: {reading.target.model_type} has no prediction layers "
            f"that vLLM {format_version(version)} loads",
        )
        return None
    layers = len(reading.target.predictor_layers)
    if not layers:
        reading.not_modelled(
            "The facts at hand describe no prediction layers of this model: their weights and "
            "KV cache are not counted."
        )
    elif tokens > layers and tokens % layers:
        reading.refuse(
            f"num_speculative_tokens:{tokens} must be divisible by n_predict={layers}",
            f'"num_speculative_tokens": {tokens // layers * layers}',
        )
        return None
    return Speculation("mtp", tokens)


def _is_target(reading: _Reading, draft: Model | None) -> bool:
    return draft is not None and draft.architecture is reading.target


def _predicts(reading: _Reading) -> bool:
    """Whether the release loads prediction layers of this target."""
    names = _names(reading.target, reading.inputs.config)
    return is_prediction_target(names, reading.inputs.notes.version)


def _names(architecture: Architecture, config: Mapping[str, Any]) -> list[str]:
    """Model types and classes of a model, with the class its type would have."""
    text = config.get("text_config")
    inner = cast(Mapping[str, Any], text).get("model_type") if isinstance(text, Mapping) else None
    types = [name for name in (architecture.model_type, inner) if isinstance(name, str) and name]
    classes = [architecture.architecture, *(f"{name}ForCausalLM" for name in types)]
    return [*types, *(name for name in classes if name)]


def _takes_eagle3(reading: _Reading) -> bool:
    targets = eagle3_targets(reading.inputs.notes.version)
    model_type = reading.target.model_type
    if targets is None or any(name in model_type for name in targets):
        return True
    reading.refuse(
        f"Eagle3 is only supported for {list(targets)} models. Got "
        f"self.target_model_config.hf_text_config.model_type={model_type!r}",
        "drop --speculative-config",
    )
    return False


def _check_draft(reading: _Reading, speculation: Speculation, draft: Model) -> None:
    """What vLLM refuses of a known draft, and what of it is not modelled."""
    _check_parallel(reading, speculation, draft)
    target, facts = reading.target, draft.architecture
    differ = facts.vocab_size != target.vocab_size
    mapped = bool(reading.drafting.config.get("use_heterogeneous_vocab"))
    if speculation.method == "draft_model" and differ and not mapped:
        reading.refuse(
            "Target and draft model should have the same vocabulary size. Target model "
            f"vocab_size={target.vocab_size}. Draft model vocab_size={facts.vocab_size}. "
            "Using models with different tokenizers can cause out-of-bounds errors during "
            "speculative decoding.",
            "name a draft with the target's vocabulary",
        )
    kinds = [
        {type(cache) for layer in model.layers for cache in layer.caches}
        for model in (facts, target)
    ]
    if kinds[0] & {StateCache} or not kinds[0] <= kinds[1]:
        reading.not_modelled(
            f"How vLLM shares one KV cache between {draft.id} and the model is not modelled: "
            "their layers keep different kinds of caches, or states."
        )


def _check_parallel(reading: _Reading, speculation: Speculation, draft: Model) -> None:
    tp, config = reading.tensor_parallel_size, reading.drafting.config
    if config.get("tensor_parallel_size") is not None:
        reading.refuse(
            "'tensor_parallel_size' is not a valid argument in the speculative_config. Please "
            "pass 'draft_tensor_parallel_size' instead.",
            '"draft_tensor_parallel_size"',
        )
    size = config.get("draft_tensor_parallel_size") or tp
    if size not in {1, tp}:
        reading.refuse(
            f"speculative_draft_tensor_parallel_size={size} cannot be other value than 1 or "
            "target model tensor_parallel_size",
            f'"draft_tensor_parallel_size": {tp}',
        )
    elif size != tp and speculation.method == "draft_model":
        if reading.inputs.notes.version < _DRAFT_TP_FOLLOWS_TARGET:
            reading.refuse(
                "Currently, 'draft_tensor_parallel_size' and 'tensor_parallel_size' must be the "
                f"same. Got {size} and {tp}. Please pass 'draft_tensor_parallel_size' in the "
                "speculative_config.",
                f'"draft_tensor_parallel_size": {tp}',
            )
        else:
            reading.not_modelled("A draft model on fewer ranks than the model is not modelled.")
    if speculation.method != "medusa":
        check_parallel_sizes(draft.architecture, tp, 1, 1, reading.inputs.notes)


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InvalidRequest(
        f"speculative_config has {key} {value!r}, but must name it as a string.",
        'For example {"method": "mtp", "num_speculative_tokens": 1}.',
    )
