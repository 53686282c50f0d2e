"""Ropes that the user writes himself: what each release makes of them, and how it is told.

Source: vLLM 0.8 to 0.33 config/model.py (_apply_dict_overrides, _get_and_verify_max_len),
transformers_utils/config.py (patch_rope_scaling_dict, patch_rope_parameters) and
layers/rotary_embedding (get_rope); transformers 5.5 to 5.20 configuration_utils.py, where
rope_scaling is another name of rope_parameters and either is replaced whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.common import rope_sections

# Until then only the key rope_scaling is read.
ROPE_SCALING_UNTIL: Version = (0, 12, 0)
# Objects among the overrides are put in after the config was completed since then.
_UNCOMPLETED_SINCE: Version = (0, 11, 1)
# Until then transformers 4 is installed, to which the two keys are two things.
_TRANSFORMERS_5_SINCE: Version = (0, 19, 1)
# Ropes that start from a length they must be told.
_FROM_A_LENGTH = frozenset({"yarn", "deepseek_yarn", "deepseek_llama_scaling", "llama3"})
_LENGTH = "original_max_position_embeddings"
# The base vLLM's classes take where a rope names none (set_default_rope_theta), else get_rope's.
_CLASS_BASES: Mapping[str, float] = {
    **dict.fromkeys(("qwen2", "qwen3", "exaone4", "exaone_moe"), 1e6),
    "ernie4_5_moe": 5e5,
    "falcon_h1": 1e11,
}
_BASE = 1e4


@dataclass(frozen=True)
class OwnRope:
    """A model's one rope of one axis, as its config states it.

    `theta` is its base frequency, `rotated` the share of a head that it rotates where that is
    not all, `scaling` what else the config says of it; None where it is silent, which a part
    of a config may be about a model that scales.
    """

    theta: float
    rotated: float | None
    scaling: Mapping[str, object] | None


def own_rope(config: Mapping[str, object]) -> OwnRope | None:
    """The rope of a config; None where it has another than one of one axis."""
    outer = ConfigView(config)
    ropes = rope_sections(outer)
    if outer.section("text_config") or any(rope.get("mrope_section") for rope in ropes):
        return None
    if len(ropes) > 1:
        return None
    inner = next(iter(ropes), None)
    theta = outer.get("rope_theta") or (inner.get("rope_theta") if inner is not None else None)
    if not isinstance(theta, int | float):
        return None
    rotated = outer.get("partial_rotary_factor")
    section = outer.section("rope_parameters", "rope_scaling")
    is_silent = not config.keys() & {"rope_parameters", "rope_scaling"}
    stated: Mapping[str, object] = {} if section is None else section.raw
    return OwnRope(
        theta,
        rotated if isinstance(rotated, int | float) else None,
        None if is_silent else stated,
    )


def rope_overrides(
    version: Version,
    own: OwnRope | None,
    *,
    scaling: Mapping[str, object] | None = None,
    theta: float | None = None,
) -> dict[str, object] | None:
    """Keys of --hf-overrides that give a model another scaling, base frequency or both.

    Releases that take the rope whole are told all of it: what is not changed as the model's
    `own` has it. None where that is not known, or the scaling names no kind.
    """
    if version < ROPE_SCALING_UNTIL:
        plain: dict[str, object] = {} if theta is None else {"rope_theta": theta}
        return plain if scaling is None else {**plain, "rope_scaling": dict(scaling)}
    base = scaling if scaling is not None or own is None else own.scaling
    if own is None or base is None:
        return None
    rope = {"rope_theta": own.theta, **base}
    kind = rope.pop("type", None)
    rope.setdefault("rope_type", kind or ("default" if scaling is None else None))
    if not isinstance(rope["rope_type"], str):
        return None
    if theta is not None:
        rope["rope_theta"] = theta
    if own.rotated is not None:
        rope.setdefault("partial_rotary_factor", own.rotated)
    return {"rope_parameters": rope}


def is_read(overrides: Mapping[str, object], version: Version) -> bool:
    """Whether the release reads the rope under the key that the overrides give it."""
    if "rope_parameters" in overrides:
        return version >= ROPE_SCALING_UNTIL
    late = ROPE_SCALING_UNTIL <= version < _TRANSFORMERS_5_SINCE
    return not (late and isinstance(overrides.get("rope_scaling"), Mapping))


def check_ropes(inputs: LaunchInputs) -> None:
    """Note what the release refuses of a rope of the user's own, and what it makes of it."""
    overrides = hf_overrides(inputs)
    if inputs.notes.version < _UNCOMPLETED_SINCE:
        rope = inputs.extra.get("rope_scaling") or overrides.get("rope_scaling")
        if isinstance(rope, Mapping):
            _check_completed(inputs, cast(Mapping[str, object], rope))
        return
    key = "rope_parameters" if "rope_parameters" in overrides else "rope_scaling"
    rope = overrides.get(key)
    if isinstance(rope, Mapping) and is_read(overrides, inputs.notes.version):
        _check_whole(inputs, key, cast(Mapping[str, object], rope))
    elif isinstance(rope, Mapping):
        read = "rope_parameters" if key == "rope_scaling" else "rope_scaling"
        release = format_version(inputs.notes.version)
        inputs.notes.warn(
            f"vLLM {release} does not read the {key} of --hf-overrides: write {read}."
        )
    elif "rope_theta" in overrides:
        _check_base(inputs, overrides["rope_theta"])


def hf_overrides(inputs: LaunchInputs) -> Mapping[str, object]:
    """What --hf-overrides replaces in the config; empty without it."""
    given = inputs.extra.get("hf_overrides")
    return cast(Mapping[str, object], given) if isinstance(given, Mapping) else {}


def _check_completed(inputs: LaunchInputs, rope: Mapping[str, object]) -> None:
    """A rope of the releases that rename its kind before they read the rest."""
    kind = rope.get("rope_type", rope.get("type"))
    if kind is None:
        inputs.notes.refuse("rope_scaling should have a 'rope_type' key")
    elif kind == "yarn" and _LENGTH not in rope:
        _refuse_without_length(inputs)


def _check_whole(inputs: LaunchInputs, key: str, rope: Mapping[str, object]) -> None:
    """A rope that nothing completes: what it leaves out is missing, or becomes a default."""
    kind = rope.get("rope_type")
    nested = any(isinstance(value, Mapping) for value in rope.values())
    if nested or not rope:
        return
    if kind is None:
        inputs.notes.refuse("KeyError: 'rope_type'")
    elif kind in _FROM_A_LENGTH and _LENGTH not in rope:
        _refuse_without_length(inputs)
    if inputs.notes.version < ROPE_SCALING_UNTIL or "rope_theta" in rope:
        return
    config = ConfigView(inputs.config)
    own = own_rope({**inputs.config, key: None})
    base = _CLASS_BASES.get(config.model_type, _BASE)
    if own is None or own.theta != base:
        theirs = "the model's own" if own is None else f"the model's {own.theta:,.0f}"
        value = "…" if own is None else f"{own.theta:.0f}"
        inputs.notes.warn(
            f"The {key} of --hf-overrides replaces the model's whole rope: without a rope_theta "
            f"its base becomes {base:,.0f} and not {theirs}, which gives nonsense. Put "
            f'"rope_theta": {value} into it.'
        )


def _check_base(inputs: LaunchInputs, theta: object) -> None:
    """A base frequency beside the rope, which transformers 5 keeps in the rope."""
    if inputs.notes.version < _TRANSFORMERS_5_SINCE or not isinstance(theta, int | float):
        return
    # The merged config states the new base; what else the rope says is the model's own.
    own = own_rope(inputs.config)
    whole = rope_overrides(inputs.notes.version, own, theta=theta)
    instead = (
        ": put it into the model's whole rope, as rope_parameters"
        if whole is None
        else f": write --hf-overrides '{json.dumps(whole)}'"
    )
    inputs.notes.warn(
        "With transformers 5 the rope_theta of --hf-overrides changes nothing: the base is part "
        f"of the rope{instead}."
    )


def _refuse_without_length(inputs: LaunchInputs) -> None:
    inputs.notes.refuse(
        f"KeyError: '{_LENGTH}'",
        f'"{_LENGTH}": {inputs.architecture.max_position} in the rope',
    )
