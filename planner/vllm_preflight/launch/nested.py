"""Arguments that are JSON inside an argument: speculative_config, limit_mm_per_prompt.

Both arrive as the text a user would give vLLM. Text that is no JSON object raises
InvalidRequest; `speculation` reads what a speculative_config says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest

_OLD_LIMITS = re.compile(r"[a-z]+=\d+(?:,[a-z]+=\d+)*")


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


def read_image_pixels(kwargs: object) -> tuple[int | None, bool]:
    """The largest image in pixels from mm_processor_kwargs, and whether that is all they say.

    Written as `max_pixels` or as `size.longest_edge`, by itself or under `images_kwargs`
    (vLLM model_executor/models/qwen2_vl.py). `min_pixels` and `size.shortest_edge` move
    nothing that is profiled.
    """
    found = _numbers(kwargs)
    pixels = found.pop("max_pixels", None) or found.pop("longest_edge", None)
    found.pop("longest_edge", None)
    for name in ("min_pixels", "shortest_edge"):
        found.pop(name, None)
    return pixels if pixels and pixels > 0 else None, not found


def _numbers(kwargs: object) -> dict[str, int | None]:
    """What the nested objects hold, by the innermost key; None for what is no number."""
    if not isinstance(kwargs, Mapping):
        return {}
    found: dict[str, int | None] = {}
    for name, value in cast(Mapping[str, object], kwargs).items():
        if name in {"size", "images_kwargs"}:
            found |= _numbers(value)
        else:
            found[name] = value if isinstance(value, int) else None
    return found
