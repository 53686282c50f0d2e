"""Widths of the tensors a forward pass keeps at once, from a model's layers.

All in elements on one rank. vLLM 0.33: layers/linear.py (fused outputs), fused_moe
(workspaces of the modular kernels), layers/attention/mla_attention.py (prefill context).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from vllm_preflight.base.units import ceil_div, round_up
from vllm_preflight.hardware.gpu import Gpu
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

_LATENT_CHUNK_TOKENS = 64 * 1024
_CACHE_BLOCK = 16
# Tokens the expert kernels take at once (a group of eight ranks with 8,192 tokens each was
# not cut up in 0.13), and DeepGEMM's block of rows.
_EXPERT_CHUNK_TOKENS = 64 * 1024
_TILE_ROWS = 128
# Projections that end a block where tensor parallelism does not divide it.
_CLOSING = frozenset({"o_proj", "down_proj", "out_proj", "proj", "fc2"})


def widest_block(architecture: Architecture, tensor_parallel: int) -> int:
    """Elements per token on one rank at the widest block of any layer.

    A block is a projection's fused output with the activated input to the next one.
    """
    layers = architecture.layer_counts
    return max((_block_width(layer, tensor_parallel) for layer in layers), default=0)


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


@dataclass(frozen=True, slots=True)
class ExpertWorkspaces:
    """Both buffers of the expert kernels: rows (a token once per visited expert) × width."""

    rows: int
    width: int


def expert_workspaces(model: Model, launch: Launch, gpu: Gpu) -> ExpertWorkspaces | None:
    """The largest expert workspaces of any layer; None without routed experts.

    One buffer holds the gate and up projections or the output, the other the activated
    product or the output. Data-parallel ranks share the experts, sliced or (expert
    parallelism) whole, and gather the batches of all ranks, in chunks. DeepGEMM, which
    vLLM takes for block-wise FP8 on compute capability 9 and 10, rounds each expert's
    rows up to a tile.
    """
    whole = launch.enable_expert_parallel
    tokens = launch.max_num_batched_tokens
    if launch.data_parallel_size > 1:
        tokens = min(tokens * launch.data_parallel_size, max(tokens, _EXPERT_CHUNK_TOKENS))
    scheme = model.quantization.default
    major = (gpu.compute_capability or (0, 0))[0]
    tiled = scheme is not None and scheme.kind == "fp8_block" and major in {9, 10}
    # The Triton kernels for MXFP4 on Hopper keep only the activated product outside.
    in_kernel = scheme is not None and scheme.kind == "mxfp4" and major == 9
    ranks = launch.tensor_parallel_size * launch.data_parallel_size
    hidden = model.architecture.hidden_size
    found: list[ExpertWorkspaces] = []
    for layer in model.architecture.layer_counts:
        if layer.moe is None:
            continue
        intermediate = ceil_div(layer.moe.intermediate_size, 1 if whole else ranks)
        experts = ceil_div(layer.moe.num_experts, ranks if whole else 1)
        rows = tokens * layer.moe.experts_per_token
        if tiled:
            rows += experts * (_TILE_ROWS - 1)
        width = max(2 * intermediate, hidden) + max(intermediate, hidden)
        if in_kernel:
            width = intermediate
        found.append(ExpertWorkspaces(rows, width))
    return max(found, key=lambda item: item.rows * item.width, default=None)


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
