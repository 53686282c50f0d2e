"""speculative_config as a release reads it: which method drafts, with what, how many tokens.

What the release refuses is noted in its words; a draft that it may run and that is not
understood here is noted as not modelled.
Source: config/speculative.py of vLLM 0.9.2 to 0.33.0 (`methods.json` says what each release
knows).
"""

from __future__ import annotations

from vllm_preflight.launch.flags.configs import refusal_of_config
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import Speculation
from vllm_preflight.launch.nested import json_object
from vllm_preflight.launch.speculation.checks import check_draft
from vllm_preflight.launch.speculation.drafting import LOOKUPS, Drafting
from vllm_preflight.launch.speculation.drafts import NO_MODEL, with_drafter
from vllm_preflight.launch.speculation.reading import Reading
from vllm_preflight.launch.speculation.table import last_release_with, methods_of
from vllm_preflight.launch.versions import format_version

# Names that make vLLM take a draft for a head of a method (its own order).
_BY_NAME = (("eagle-", "eagle"), ("eagle3", "eagle3"), ("dflash", "dflash"), ("dspark", "dspark"))
# Methods that vLLM finds by the draft's own config.
_BY_CLASS = frozenset({"dspark", "medusa", "mlp_speculator"})
# Up to here a target with prediction layers drafts with them unasked.
_IMPLICIT_PREDICTION_ENDS = (0, 11, 0)
_SUFFIX_TOKENS = 24
_LOOKED_AT = frozenset({"method", "num_speculative_tokens"})


def read_speculation(
    inputs: LaunchInputs, drafting: Drafting, tensor_parallel_size: int
) -> Speculation | None:
    """The method, draft and drafted tokens of a launch; None where the release refuses them."""
    reading = Reading(inputs, drafting, tensor_parallel_size)
    if _refuse_keys(reading):
        return None
    method = _method(reading)
    if method is None:
        return None
    tokens = _tokens(reading, method)
    if tokens is None:
        return None
    speculation = with_drafter(reading, method, tokens)
    if speculation is not None and speculation.drafter is not None:
        check_draft(reading, speculation, speculation.drafter)
    return speculation


def _refuse_keys(reading: Reading) -> bool:
    """Whether the release refuses a key of the object, or the lookup that it asks for."""
    given = json_object("speculative_config", reading.inputs.request.speculative_config or "{}")
    # Method and tokens are looked at by themselves, which says more of them.
    others = {key: value for key, value in given.items() if key not in _LOOKED_AT}
    problem = refusal_of_config("SpeculativeConfig", others, reading.version)
    if problem is None and not isinstance(given.get("method", ""), str | None):
        problem = "method: Input should be a valid string"
    if problem is not None:
        reading.refuse(f"1 validation error for SpeculativeConfig: {problem}")
        return True
    low, high = given.get("prompt_lookup_min"), given.get("prompt_lookup_max")
    looks_up = given.get("method", given.get("model")) in LOOKUPS
    if looks_up and isinstance(low, int) and isinstance(high, int) and low > high:
        reading.refuse(
            f"prompt_lookup_min={low} must be <= prompt_lookup_max={high}",
            f'"prompt_lookup_min": {high}',
        )
        return True
    for name, number in (("prompt_lookup_min", low), ("prompt_lookup_max", high)):
        if looks_up and isinstance(number, int) and number < 1:
            reading.refuse(f"{name}={number} must be > 0", f'"{name}": 1')
            return True
    return False


def _method(reading: Reading) -> str | None:
    """The method asked for or found as vLLM finds it; None where it is refused."""
    version, name = reading.version, reading.drafting.name
    given = reading.text("method")
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
        if version < _IMPLICIT_PREDICTION_ENDS and reading.predicts:
            return "mtp"
        reading.refuse(NO_MODEL, 'name a "method" or a draft "model" in --speculative-config')
        return None
    if name in LOOKUPS:
        return name.strip("[]")
    return _method_by_draft(reading, name, known)


def _refuse_method(reading: Reading, given: str) -> None:
    version = reading.version
    last = last_release_with(given)
    names = ", ".join(repr(name) for name in sorted(methods_of(version)))
    reading.refuse(
        f"method: Input should be one of {names} in vLLM {format_version(version)} "
        f"(input_value={given!r}).",
        *([f"vLLM {last}"] if last is not None else []),
    )


def _method_by_draft(reading: Reading, name: str, known: frozenset[str]) -> str:
    """What vLLM takes a draft for that is given without a method, or as a draft model."""
    draft = reading.drafting.draft
    if reading.drafts_itself and reading.predicts:
        return "mtp"
    for part, method in _BY_NAME:
        if part in name.lower() and method in known:
            return method
    if draft is not None:
        own = draft.architecture.drafts
        if own in _BY_CLASS and own in known:
            return own
    return "draft_model"


def _tokens(reading: Reading, method: str) -> int | None:
    """Tokens drafted per step: asked for, or what the method or draft has by itself."""
    tokens: object = reading.drafting.config.get("num_speculative_tokens")
    if tokens is None:
        tokens = _own_tokens(reading, method)
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        draft = reading.drafting.draft
        derived = draft is not None and draft.architecture.drafts and draft.origin == "catalog"
        if tokens is None and draft is not None and derived:
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


def _own_tokens(reading: Reading, method: str) -> int | None:
    if method == "mtp":
        return reading.n_predict
    if method == "suffix":
        return _SUFFIX_TOKENS
    if method == "dspark":
        draft = reading.drafting.draft
        config = draft.config if draft is not None else reading.inputs.config
        size = config.get("block_size", config.get("dspark_block_size"))
        return size if isinstance(size, int) else None
    return None
