"""Arguments that are JSON inside an argument: speculative_config, limit_mm_per_prompt.

Both arrive as the text a user would give vLLM. Text that is no JSON object raises
InvalidRequest; values that vLLM would refuse are noted as its refusals.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.launch import Speculation
from vllm_preflight.launch.notes import Notes
from vllm_preflight.models.architecture import Architecture

_OLD_LIMITS = re.compile(r"[a-z]+=\d+(?:,[a-z]+=\d+)*")
# Methods under older or model-specific names that are all multi-token prediction.
_MTP_SUFFIX = "_mtp"


def json_object(field: str, text: str) -> dict[str, Any]:
    """`text` as a JSON object; raises InvalidRequest naming `field` for anything else."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"{field} is {text[:60]!r}, which is not JSON.",
            'Write a JSON object such as {"key": 1}, with double quotes.',
        ) from error
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"{field} is {text[:60]!r}, but must be a JSON object.",
            'Write a JSON object such as {"key": 1}.',
        )
    return cast(dict[str, Any], value)


def read_speculation(text: str, architecture: Architecture, notes: Notes) -> Speculation | None:
    """The method, draft model and drafted tokens of a speculative_config.

    Without a method, vLLM takes n-gram lookup for `"model": "ngram"`, EAGLE where the
    draft's name says so, multi-token prediction where the model has predictor layers
    and no draft is named, and a draft model otherwise. Without num_speculative_tokens
    only multi-token prediction has a default, the number of its layers.
    """
    config = json_object("speculative_config", text)
    draft = _text(config, "model")
    method = _method(_text(config, "method"), draft, architecture)
    if method is None:
        notes.refuse(
            "num_speculative_tokens was provided but without speculative model.",
            'name a "method" or a draft "model" in --speculative-config',
        )
        return None
    tokens = config.get("num_speculative_tokens")
    if tokens is None and method == "mtp" and architecture.predictor_layers:
        tokens = len(architecture.predictor_layers)
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        notes.refuse(
            "num_speculative_tokens must be provided with speculative model unless the draft "
            "model config contains an n_predict parameter."
            if tokens is None
            else f"Expected num_speculative_tokens to be greater than zero ({tokens!r}).",
            'give "num_speculative_tokens" of at least 1 in --speculative-config',
        )
        return None
    return Speculation(method, tokens, draft)


def _method(method: str | None, draft: str | None, architecture: Architecture) -> str | None:
    if method is not None:
        name = method.strip("[]")
        return "mtp" if name.endswith(_MTP_SUFFIX) else name
    if draft is None:
        return "mtp" if architecture.predictor_layers else None
    lowered = draft.lower()
    if lowered in {"ngram", "[ngram]"}:
        return "ngram"
    if "eagle3" in lowered:
        return "eagle3"
    return "eagle" if "eagle-" in lowered else "draft_model"


def _text(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InvalidRequest(
        f"speculative_config has {key} {value!r}, but must name it as a string.",
        'For example {"method": "mtp", "num_speculative_tokens": 1}.',
    )


def read_mm_limits(text: str) -> dict[str, int]:
    """Items per prompt by modality from limit_mm_per_prompt.

    Accepts {"image": 2}, the long form {"image": {"count": 2, …}}, and the
    "image=2,video=0" of older releases. Raises InvalidRequest for anything else.
    """
    if _OLD_LIMITS.fullmatch(text.strip()):
        pairs = (item.split("=") for item in text.strip().split(","))
        return {modality: int(count) for modality, count in pairs}
    limits: dict[str, int] = {}
    for modality, value in json_object("limit_mm_per_prompt", text).items():
        count: object = value
        if isinstance(value, Mapping):
            count = cast(Mapping[str, object], value).get("count", 999)
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InvalidRequest(
                f"limit_mm_per_prompt has {modality} {value!r}, but must be a count of items.",
                'For example {"image": 2, "video": 0}.',
            )
        limits[modality] = count
    return limits
