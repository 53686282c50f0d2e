"""The dummy image, video or sound that vLLM encodes in its profile pass, by release.

Up to 0.10.2 a dummy video was as long as one batch allows, since 0.11.0 as long as the
longest request. Source: vLLM 0.8.0 to 0.33.0 v1/worker/gpu_model_runner.py (profile_run),
multimodal/registry.py and profiling.py, model_executor/models/qwen2_vl.py, qwen3_vl.py,
glm4_1v.py and gemma4_mm.py; the budgets that start-ups printed agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vllm_preflight.launch.launch import Launch, Version
from vllm_preflight.models.architecture import Encoder

UNLIMITED = 999

# Videos whose every two frames are as many tokens as the largest image.
_QWEN2 = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen3_omni_moe"})
_QWEN2_FRAMES: tuple[tuple[Version, int], ...] = (((0, 11, 0), 14), ((0, 8, 0), 16))
# Videos of Qwen3-VL counted for the time stamps between their frames; later ones count
# fewer tokens than the largest image.
_QWEN3 = frozenset({"qwen3_vl", "qwen3_vl_moe"})
_QWEN3_STAMPED: tuple[Version, Version] = ((0, 11, 0), (0, 13, 0))
_QWEN3_VIDEO, _QWEN3_STAMPS = 12_288, 12.5
# GLM's largest image was found with the frames of a video up to 0.16.
_GLM = frozenset({"glm4v", "glm4v_moe"})
_GLM_WHOLE_IMAGE: Version = (0, 17, 0)
_GLM_SMALL_IMAGE, _GLM_VIDEO = 3_721, 30_000
# Tokens of a frame, alone and with what stands around it.
_GEMMA4 = frozenset({"gemma4", "gemma4_unified"})
_GEMMA4_FRAME, _GEMMA4_FRAME_COUNTED = 70, 78
# Its frames and images were encoded one after another.
_GEMMA4_BATCHED: Version = (0, 22, 0)

# The dummy is made for one batch, for what it counts, or for the longest request.
_FOR_COUNT: tuple[Version, Version] = ((0, 10, 0), (0, 10, 1))
_FOR_LENGTH: Version = (0, 11, 0)
# Videos were left room for one image beside them.
_BESIDE_IMAGE_UNTIL: Version = (0, 10, 2)


@dataclass(frozen=True, slots=True)
class Item:
    """One dummy item: `counted` tokens in vLLM's budget, `tokens` that the encoder hands over.

    `alone` are the tokens encoded at once where the class takes its images or frames one
    after another, 0 where all items go together.
    """

    modality: str
    counted: int
    tokens: int
    alone: int = 0


def largest_item(model_type: str, encoder: Encoder, launch: Launch) -> Item | None:
    """The largest item of an encoder; None where the launch allows it none."""
    found = [
        item
        for item in (_still(model_type, encoder, launch), _video(model_type, encoder, launch))
        if item is not None and items_allowed(item, launch.limit_mm_per_prompt) > 0
    ]
    return max(found, key=lambda item: item.counted, default=None)


def items_allowed(item: Item, limits: Mapping[str, int]) -> int:
    """Items of that modality which one prompt may hold."""
    return limits.get(item.modality, UNLIMITED)


def _still(model_type: str, encoder: Encoder, launch: Launch) -> Item:
    """An image or a sound; one whose size the config does not tell fills the batch."""
    if encoder.kind == "audio":
        tokens = encoder.max_tokens_per_item or launch.max_num_batched_tokens
        return Item("audio", tokens, tokens)
    tokens = _image_tokens(model_type, encoder, launch)
    one_by_one = model_type in _GEMMA4 and launch.version < _GEMMA4_BATCHED
    return Item("image", tokens, tokens, tokens if one_by_one else 0)


def _image_tokens(model_type: str, encoder: Encoder, launch: Launch) -> int:
    if model_type in _GLM and launch.version < _GLM_WHOLE_IMAGE:
        return _GLM_SMALL_IMAGE
    tokens = encoder.max_tokens_per_item or launch.max_num_batched_tokens
    if launch.max_image_pixels is None or not encoder.pixels_per_token:
        return tokens
    return min(tokens, max(1, launch.max_image_pixels // encoder.pixels_per_token))


def _video(model_type: str, encoder: Encoder, launch: Launch) -> Item | None:
    if encoder.kind != "vision":
        return None
    if model_type in _QWEN2 or model_type in _GLM:
        beside = _image_tokens(model_type, encoder, launch)
        room = launch.max_model_len - (beside if launch.version < _BESIDE_IMAGE_UNTIL else 0)
        counted = _video_tokens(model_type, encoder, launch, room)
        room = _room_made(launch, counted)
        return Item("video", counted, _video_tokens(model_type, encoder, launch, room))
    if model_type in _QWEN3:
        since, until = _QWEN3_STAMPED
        stamped = since <= launch.version < until
        counted = round(_QWEN3_VIDEO * _QWEN3_STAMPS) if stamped else _QWEN3_VIDEO
        return Item("video", counted, _QWEN3_VIDEO)
    counted = encoder.max_tokens_per_video
    if model_type in _GEMMA4 and counted is not None:
        tokens = counted // _GEMMA4_FRAME_COUNTED * _GEMMA4_FRAME
        one_by_one = launch.version < _GEMMA4_BATCHED
        return Item("video", counted, tokens, _GEMMA4_FRAME if one_by_one else 0)
    return None


def _room_made(launch: Launch, counted: int) -> int:
    """Tokens that the dummy video may have."""
    since, until = _FOR_COUNT
    if since <= launch.version < until:
        return counted
    return launch.max_model_len if launch.version >= _FOR_LENGTH else launch.max_num_batched_tokens


def _video_tokens(model_type: str, encoder: Encoder, launch: Launch, room: int) -> int:
    """Tokens of the longest video within `room`, at least of one pair of frames."""
    pair = _image_tokens(model_type, encoder, launch)
    most = _GLM_VIDEO
    if model_type in _QWEN2:
        frames = next(count for since, count in _QWEN2_FRAMES if launch.version >= since)
        most = frames // 2 * pair
    if room >= most:
        return most
    return max(1, room // pair) * pair
