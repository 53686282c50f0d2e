"""Widths of the tensors a forward pass keeps at once, from a model's layers.

All in elements on one rank. vLLM 0.33: layers/linear.py (fused outputs), fused_moe
(workspaces of the modular kernels), layers/attention/mla_attention.py (prefill context).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.architecture import (
    Architecture,
    Encoder,
    LatentCache,
    Layer,
    Role,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.model import Model
from vllm_preflight.units import ceil_div, round_up

_LATENT_CHUNK_TOKENS = 64 * 1024
_CACHE_BLOCK = 16
# Projections that end a block where tensor parallelism does not divide it.
_CLOSING = frozenset({"o_proj", "down_proj", "out_proj", "proj", "fc2"})


@dataclass(frozen=True, slots=True)
class ForwardWidths:
    """Elements per token on one rank at the widest point of any layer.

    `block`: a projection's fused output and its activated input to the next one.
    `workspaces`: the two buffers of a mixture of experts, all visited experts together.
    """

    block: int
    workspaces: int


def forward_widths(architecture: Architecture, tensor_parallel: int) -> ForwardWidths:
    """The widest block and the largest expert workspaces over all layers."""
    layers = architecture.layer_counts
    return ForwardWidths(
        block=max((_block_width(layer, tensor_parallel) for layer in layers), default=0),
        workspaces=max(
            (_workspaces(layer, architecture.hidden_size, tensor_parallel) for layer in layers),
            default=0,
        ),
    )


@lru_cache(maxsize=4096)
def _block_width(layer: Layer, tensor_parallel: int) -> int:
    return _widest_block(layer.weights, tensor_parallel, Role.LINEAR)


def _widest_block(weights: tuple[Weight, ...], tensor_parallel: int, role: Role) -> int:
    """Widest of a layer's blocks: what feeds its row-parallel projection, and its input.

    A gated feed-forward of width I keeps 2 I (gate and up) and I (their product) at once;
    attention keeps queries, keys and values beside the heads' output.
    """
    produced: defaultdict[str, int] = defaultdict(int)
    consumed: defaultdict[str, int] = defaultdict(int)
    for weight in weights:
        if weight.role is not role or weight.columns == 1:
            continue
        block, _, name = weight.name.rpartition(".")
        ranks = 1 if weight.split is Split.REPLICATED else tensor_parallel
        if name in _CLOSING or weight.split is Split.ROW:
            consumed[block] = max(consumed[block], ceil_div(weight.columns, ranks))
        else:
            produced[block] += ceil_div(weight.rows, ranks)
    return max((produced[block] + consumed[block] for block in consumed), default=0)


def _workspaces(layer: Layer, hidden_size: int, tensor_parallel: int) -> int:
    """Elements per token of both expert workspaces: gate-up or output, activated or output."""
    if layer.moe is None:
        return 0
    intermediate = ceil_div(layer.moe.intermediate_size, tensor_parallel)
    rows = layer.moe.experts_per_token
    return rows * (max(2 * intermediate, hidden_size) + max(intermediate, hidden_size))


def padded_vocabulary(architecture: Architecture) -> int:
    """Columns of the logits: the vocabulary padded to a multiple of 64."""
    return round_up(architecture.vocab_size, 64)


@dataclass(frozen=True, slots=True)
class LatentContext:
    """The worst prefill context of latent attention: tokens, and elements on one rank."""

    tokens: int
    up_projected: int
    compressed: int


def latent_context(architecture: Architecture, launch: Launch) -> LatentContext | None:
    """What dense latent attention allocates once in the profile pass; None without it.

    Tokens: 8 × max_model_len, at least 4 blocks a sequence, at most 65,536.
    """
    caches = {cache for layer in architecture.layer_counts for cache in layer.caches}
    latent = [item for item in caches if isinstance(item, LatentCache) and not item.sparse]
    if not latent:
        return None
    widest = max(latent, key=lambda item: item.num_heads)
    block = launch.block_size or _CACHE_BLOCK
    tokens = min(
        max(8 * launch.max_model_len, 4 * launch.max_num_seqs * block), _LATENT_CHUNK_TOKENS
    )
    heads = ceil_div(widest.num_heads, launch.tensor_parallel_size)
    return LatentContext(
        tokens,
        tokens * heads * (widest.qk_nope_head_dim + widest.v_head_dim),
        tokens * (widest.kv_lora_rank + widest.qk_rope_head_dim),
    )


@dataclass(frozen=True, slots=True)
class EncoderPass:
    """The multimodal items of the profile pass.

    `items` dummy items become `tokens` positions of the language model out of `patches`
    positions of the encoder. `width` is a block's widest projection with its input,
    `hidden_size` the encoder's own.
    """

    kind: str
    items: int
    tokens: int
    patches: int
    width: int
    hidden_size: int


def encoder_pass(model: Model, launch: Launch) -> EncoderPass | None:
    """The encoder's work in the profile pass; None when it is skipped.

    vLLM fills a budget of max(max_num_batched_tokens, one item) tokens with items of the
    modality that has the largest ones (v1/core/encoder_cache_manager.py).
    """
    if launch.skip_mm_profiling:
        return None
    usable = [
        encoder for encoder in model.architecture.encoders if _items_allowed(encoder, launch) > 0
    ]
    if not usable:
        return None
    encoder = max(usable, key=lambda item: item.max_tokens_per_item or 0)
    # An item whose size the config does not tell is taken to fill the budget.
    per_item = encoder.max_tokens_per_item or launch.max_num_batched_tokens
    budget = max(launch.max_num_batched_tokens, per_item)
    allowed = launch.max_num_seqs * _items_allowed(encoder, launch)
    items = max(1, min(budget // per_item, allowed))
    return EncoderPass(
        kind=encoder.kind,
        items=items,
        tokens=items * per_item,
        patches=items * per_item * _patches_per_token(model, encoder),
        width=_encoder_width(encoder, launch),
        hidden_size=encoder.hidden_size,
    )


def _items_allowed(encoder: Encoder, launch: Launch) -> int:
    """Items of the encoder's modality one prompt may hold; vLLM's default is 999."""
    names = ("audio",) if encoder.kind == "audio" else ("image", "video")
    return max(launch.limit_mm_per_prompt.get(name, 999) for name in names)


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
    side = vision.integer(
        "spatial_merge_size", "merge_size", "pooling_kernel_size", default=2 if merges else 1
    )
    return side**2


def _encoder_width(encoder: Encoder, launch: Launch) -> int:
    """Widest of the tower's blocks on one rank; the projector sees fewer positions."""
    divided = launch.mm_encoder_tp_mode == "weights"
    tower = tuple(weight for weight in encoder.weights if weight.copies > 1)
    width = _widest_block(tower, launch.tensor_parallel_size if divided else 1, Role.VISION)
    return width or 4 * encoder.hidden_size
