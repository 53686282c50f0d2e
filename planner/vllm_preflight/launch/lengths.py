"""The longest request of a launch: what vLLM derives, and what it refuses.

Source: vLLM 0.33 config/model.py (_get_and_verify_max_len), with the differences of earlier
releases in `defaults.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.ropes import (
    ROPE_SCALING_UNTIL,
    check_ropes,
    hf_overrides,
    is_read,
    own_rope,
    rope_overrides,
)
from vllm_preflight.launch.versions import ROPE_PARAMETERS_SINCE, format_version
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.common import rope_sections

_LONG_LENGTH_VARIABLE = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
# YaRN is published for up to four times the trained length (model cards of Qwen).
_LARGEST_YARN_FACTOR = 4
# Until then YaRN's original length × factor is the model's own, whatever positions it states.
_YARN_COUNTS_UNTIL: Version = (0, 30, 0)


def resolve_max_model_len(inputs: LaunchInputs) -> tuple[int, bool]:
    """The longest request in tokens, and whether vLLM is to lower it to what fits."""
    architecture, notes = inputs.architecture, inputs.notes
    check_ropes(inputs)
    limit = longest = _own_length(inputs)
    asked = inputs.request.max_model_len
    if asked is None and inputs.extra.get("max_model_len") in {"auto", -1}:
        if not notes.versioned("max_model_len_auto"):
            notes.refuse(
                f"vLLM {format_version(notes.version)} has no --max-model-len auto.",
                f"--max-model-len {longest}",
            )
        notes.given("max_model_len")
        return longest, True
    known = architecture.max_position_known or limit != architecture.max_position
    if asked is None:
        unasked = architecture.unasked_length
        if unasked is not None and notes.versioned("long_rope_unasked_length"):
            notes.default("max_model_len", f"LongRoPE's first length, not the longest {limit:,}")
            return unasked, False
        notes.default("max_model_len", "the model's own maximum" if known else "assumed")
        return longest, False
    notes.given("max_model_len")
    if known and asked > limit:
        _check_length(inputs, asked, limit)
    return asked, False


def _own_length(inputs: LaunchInputs) -> int:
    """The model's own maximum, as the release derives it."""
    scaled = inputs.architecture.yarn_length
    if scaled is None or inputs.notes.version >= _YARN_COUNTS_UNTIL or not _reads_rope(inputs):
        return _within_tokenizer(inputs)
    return scaled


def _reads_rope(inputs: LaunchInputs) -> bool:
    """Whether the release reads the rope under the key that the config gives it."""
    outer = ConfigView(inputs.config)
    text = outer.section("text_config") or outer
    scaling = text.section("rope_scaling")
    version = inputs.notes.version
    under_its_key = version >= ROPE_SCALING_UNTIL or scaling is not None
    return under_its_key and is_read(hf_overrides(inputs), version)


def _within_tokenizer(inputs: LaunchInputs) -> int:
    """The model's own length, cut to its tokenizer's where vLLM looks at that.

    It does where a model pools and its positions are absolute.
    """
    architecture = inputs.architecture
    said = architecture.tokenizer_length
    if said is None or not inputs.pooling:
        return architecture.max_position
    kind = inputs.config.get("position_embedding_type")
    if kind is None and inputs.notes.version < ROPE_PARAMETERS_SINCE and not architecture.ropes:
        # What the config classes of transformers 4 said of themselves.
        kind = "absolute"
    limited = min(said, architecture.max_position)
    return limited if kind == "absolute" else architecture.max_position


def _check_length(inputs: LaunchInputs, asked: int, limit: int) -> None:
    """Refuse a length beyond the model's, or warn where the user insists on it."""
    stated = inputs.config.get("model_max_length")
    if isinstance(stated, int) and asked <= stated:
        return
    if inputs.switch(_LONG_LENGTH_VARIABLE):
        effect = (
            "give NaN or nonsense without rope scaling"
            if inputs.architecture.ropes
            else "lie outside its table of positions"
        )
        inputs.notes.warn(
            f"{_LONG_LENGTH_VARIABLE} only lifts the check: positions beyond the model's "
            f"{limit:,} {effect}."
        )
        return
    completed = _completed(inputs, asked)
    inputs.notes.refuse(
        f"User-specified max_model_len ({asked}) is greater than the derived "
        f"max_model_len (max_position_embeddings={limit} or model_max_length={stated} "
        "in model's config.json).",
        *completed,
        f"--max-model-len {limit}",
        *(() if completed else _scaled(inputs, asked, limit)),
    )


def _completed(inputs: LaunchInputs, asked: int) -> tuple[str, ...]:
    """The user's own rope scaling with the positions stated that it reaches."""
    overrides, scaled = hf_overrides(inputs), inputs.architecture.yarn_length
    if not overrides or scaled is None or asked > scaled or not _reads_rope(inputs):
        return ()
    key = "rope_parameters" if "rope_parameters" in overrides else "rope_scaling"
    rope = overrides.get(key)
    if not isinstance(rope, Mapping):
        return ()
    others = {name: value for name, value in overrides.items() if name != key}
    whole = rope_overrides(
        inputs.notes.version,
        own_rope({**inputs.config, key: None}),
        scaling=cast(Mapping[str, object], rope),
    )
    stated = {**(whole or {key: rope}), **others, "max_position_embeddings": scaled}
    return (f"--hf-overrides '{json.dumps(stated)}'",)


def _scaled(inputs: LaunchInputs, asked: int, limit: int) -> tuple[str, ...]:
    """Rope scaling that makes the length the model's own, where YaRN reaches it.

    Only for a model with one plain rope: what another scaling means is its maker's. The
    scaling starts from the length the model was trained at, which is not always the stated one.
    """
    if inputs.architecture.yarn_length is not None and not _reads_rope(inputs):
        return ()
    outer = ConfigView(inputs.config)
    ropes = rope_sections(outer)
    plain = all(rope.text("rope_type", "type") in {"", "default"} for rope in ropes)
    own = outer.integer("max_position_embeddings", default=0) == limit
    trained = _trained_lengths().get((outer.model_type, limit), limit)
    factor = -(-asked // trained)
    if not (own and plain and len(ropes) <= 1 and inputs.architecture.ropes):
        return ()
    if factor > _LARGEST_YARN_FACTOR:
        return ()
    scaling: dict[str, object] = {
        "rope_type": "yarn",
        "factor": float(factor),
        "original_max_position_embeddings": trained,
    }
    rope = rope_overrides(inputs.notes.version, own_rope(inputs.config), scaling=scaling)
    if rope is None:
        return ()
    overrides = {**rope, "max_position_embeddings": trained * factor}
    return (f"--hf-overrides '{json.dumps(overrides)}' (YaRN: the model's quality changes)",)


@cache
def _trained_lengths() -> dict[tuple[str, int], int]:
    """The length a model was trained at, by its type and the length its config states."""
    path = Path(__file__).with_name("trained_lengths.json")
    rows = json.loads(path.read_text(encoding="utf-8"))["lengths"]
    return {(kind, row["stated"]): row["trained"] for row in rows for kind in row["model_types"]}
