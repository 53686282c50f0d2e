"""The multimodal encoder's work in the profile pass: how many items, how wide.

Source: vLLM v1/core/encoder_cache_manager.py, v1/worker/utils.py, multimodal/profiling.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.base.units import ceil_div
from vllm_preflight.launch.launch import Launch, Version
from vllm_preflight.memory.runtime.forward import blocks_of
from vllm_preflight.memory.runtime.items import Item, items_allowed, largest_item
from vllm_preflight.models.architecture import Encoder, Role
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.model import Model

# Items per batch were rounded up, and not bounded by a request's length.
_ROUNDED_DOWN: Version = (0, 10, 0)
_BOUNDED_BY_LENGTH: Version = (0, 10, 1)
# Each output was kept as long as the whole budget.
_PADDED_TO_BUDGET: tuple[Version, Version] = ((0, 11, 0), (0, 13, 0))


@dataclass(frozen=True, slots=True)
class EncoderPass:
    """The multimodal items of the profile pass.

    `items` dummy items become `tokens` positions of the language model out of at most
    `patches` positions of the encoder at once. `padded` are the positions that copies of the
    outputs have, 0 without copies. `width` is a block's widest projection with its input,
    `hidden_size` the encoder's own. `pixels` are the numbers that describe the items.
    """

    kind: str
    items: int
    tokens: int
    padded: int
    patches: int
    width: int
    hidden_size: int
    pixels: int
    handed_over: int = 1


def encoder_pass(model: Model, launch: Launch) -> EncoderPass | None:
    """The encoder's work in the profile pass; None when it is skipped.

    vLLM fills a budget of max(max_num_batched_tokens, one item) tokens with items of the
    modality that has the largest ones (v1/core/encoder_cache_manager.py).
    """
    if launch.skip_mm_profiling:
        return None
    model_type = model.architecture.model_type
    usable = [
        (item, encoder)
        for encoder in model.architecture.encoders
        if (item := largest_item(model_type, encoder, launch)) is not None
    ]
    if not usable:
        return None
    item, encoder = max(usable, key=lambda pair: pair[0].counted)
    budget = max(launch.max_num_batched_tokens, item.counted)
    items = _items(item, budget, launch)
    since, until = _PADDED_TO_BUDGET
    padded = since <= launch.version < until and item.tokens < budget
    per_token = _patches_per_token(model, encoder)
    return EncoderPass(
        kind=encoder.kind,
        items=items,
        tokens=items * item.tokens,
        padded=items * budget if padded else 0,
        patches=(item.alone or items * item.tokens) * per_token,
        width=_encoder_width(encoder, launch),
        hidden_size=encoder.hidden_size,
        pixels=items * item.tokens * per_token * _pixels_per_patch(model, encoder),
        handed_over=1 + _earlier_states(model, encoder),
    )


def _items(item: Item, budget: int, launch: Launch) -> int:
    """Items that fill the budget, of which a batch holds so many at most."""
    per_prompt = items_allowed(item, launch.limit_mm_per_prompt)
    if launch.version < _ROUNDED_DOWN:
        return min(ceil_div(budget, item.counted), launch.max_num_seqs * per_prompt)
    if launch.version >= _BOUNDED_BY_LENGTH:
        per_prompt = max(1, min(per_prompt, launch.max_model_len // item.counted))
    return max(1, min(budget // item.counted, launch.max_num_seqs * per_prompt))


def _patches_per_token(model: Model, encoder: Encoder) -> int:
    """Encoder positions merged into one token of the language model.

    By the config's key, whichever the family has: a merge, pool or shuffle per side, or
    tokens per image. Towers with a merger and no key merge 2 × 2.
    """
    outer = ConfigView(model.config)
    vision = outer.section("vision_config")
    if encoder.kind != "vision" or vision is None:
        return 1
    tokens = outer.integer("mm_tokens_per_image", default=0)
    if tokens and vision.get("image_size") and vision.get("patch_size"):
        return (vision.integer("image_size") // vision.integer("patch_size")) ** 2 // tokens
    shuffled = vision.get("pixel_shuffle_ratio") or outer.get("downsample_ratio")
    if isinstance(shuffled, float) and 0 < shuffled <= 1:
        return round(1 / shuffled) ** 2
    merges = any(".merger" in weight.name for weight in encoder.weights)
    # Mistral 3 keeps the key outside.
    default = outer.integer("spatial_merge_size", default=2 if merges else 1)
    side = vision.integer(
        "spatial_merge_size", "merge_size", "pooling_kernel_size", default=default
    )
    return side**2


def _earlier_states(model: Model, encoder: Encoder) -> int:
    """Earlier layers whose states are handed over beside the last ones (Qwen3-VL)."""
    outer = ConfigView(model.config)
    vision = (outer.section("thinker_config") or outer).section("vision_config")
    if encoder.kind != "vision" or vision is None:
        return 0
    return len(vision.items("deepstack_visual_indexes"))


def _pixels_per_patch(model: Model, encoder: Encoder) -> int:
    """Numbers of one patch: its colours, over the frames it spans; 0 for sound."""
    vision = ConfigView(model.config).section("vision_config")
    if encoder.kind != "vision" or vision is None:
        return 0
    side = vision.integer_at(0, "patch_size", "spatial_patch_size", default=14)
    return 3 * side**2 * vision.integer("temporal_patch_size", default=1)


def _encoder_width(encoder: Encoder, launch: Launch) -> int:
    """Widest of the tower's blocks on one rank; the projector sees fewer positions."""
    divided = launch.mm_encoder_tp_mode == "weights"
    tower = tuple(weight for weight in encoder.weights if weight.copies > 1)
    ranks = launch.tensor_parallel_size if divided else 1
    blocks = blocks_of(tower, ranks, Role.VISION).values()
    width = max((block.produced + block.consumed for block in blocks), default=0)
    return width or 4 * encoder.hidden_size
