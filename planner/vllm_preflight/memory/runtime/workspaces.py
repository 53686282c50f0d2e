"""Workspaces that kernels share and keep: experts', latent decoding's, an indexer's.

vLLM keeps one buffer for all of them, as large as the largest (v1/worker/workspace.py).
Source: fused_moe/modular_kernel.py and its back ends, v1/attention/backends/mla,
model_executor/layers/sparse_attn_indexer.py, vLLM 0.19 to 0.33.
"""

from __future__ import annotations

from vllm_preflight.base.units import BYTES_TO_MIB, ceil_div
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.kv.attention_backend import has_flashinfer_prefill
from vllm_preflight.memory.kv.launch import kv_launch
from vllm_preflight.memory.kv.layout import choose_block_size
from vllm_preflight.memory.runtime.chips import chip_of
from vllm_preflight.memory.runtime.contributions import Contribution, Phase, tensor
from vllm_preflight.memory.runtime.releases import ProfileRules
from vllm_preflight.memory.runtime.shapes import latent_caches
from vllm_preflight.models.architecture import IndexerCache, LatentCache, Layer, StateCache
from vllm_preflight.models.model import Model

_ELEMENT = {"float32": 4, "bfloat16": 2, "float16": 2}
# Tokens the expert kernels take at once: a group of eight ranks with 8,192 tokens each was
# not cut up in 0.13.
_EXPERT_CHUNK_TOKENS = 64 * 1024
# VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE, which latent prefill on Blackwell shares.
_FLASHINFER_WORKSPACE = 394 * BYTES_TO_MIB
# Lengths whose keys a sparse indexer gathers at once (get_max_prefill_buffer_size).
_GATHERED_LENGTHS = 40
_SCALE_BYTES = 4
_DECODE_SPLIT_TOKENS = 512


def shared_workspace(model: Model, launch: Launch, gpu: Gpu, rules: ProfileRules) -> Phase:
    """The largest workspace of the profile pass, which stays allocated; () without any."""
    found = [_gathered_keys(model, launch), _prefill_workspace(model, launch, gpu)]
    if rules.expert_workspaces_kept:
        found.append(_expert_buffer(model, launch, gpu, rules))
    if rules.latent_decode == "profiled":
        found.append(latent_decode_buffer(model, launch, gpu))
        found.append(_state_checkpoints(model, launch, gpu))
    largest = max((item for item in found if item), key=lambda item: item.bytes, default=None)
    return () if largest is None else (largest,)


def _expert_buffer(
    model: Model, launch: Launch, gpu: Gpu, rules: ProfileRules
) -> Contribution | None:
    """What the expert kernels of this GPU and release keep."""
    if model.architecture.moe is None:
        return None
    if _flashinfer_on_hopper(model, launch, gpu, rules):
        return tensor(
            "expert_outputs",
            _ELEMENT[launch.dtype],
            (launch.max_num_batched_tokens, "tokens"),
            (model.architecture.hidden_size, "elements"),
        )
    return None if _experts_in_library(model, gpu) else expert_workspace(model, launch)


def expert_workspace(model: Model, launch: Launch) -> Contribution | None:
    """Both buffers of the expert kernels for every token of the batch, once per expert.

    One holds the gate and up projections or the output, the other the activated product
    or the output. Data-parallel ranks share the experts, sliced or (expert parallelism)
    whole, and gather the batches of all ranks, in chunks.
    """
    tokens = launch.max_num_batched_tokens
    if launch.data_parallel_size > 1:
        tokens = min(tokens * launch.data_parallel_size, max(tokens, _EXPERT_CHUNK_TOKENS))
    widest = max(
        (
            (layer.moe.experts_per_token, _expert_width(model, launch, layer))
            for layer in model.architecture.layer_counts
            if layer.moe is not None
        ),
        key=lambda pair: pair[0] * pair[1],
        default=None,
    )
    if widest is None:
        return None
    visited, width = widest
    return tensor(
        "expert_workspaces",
        _ELEMENT[launch.dtype],
        (tokens * visited, "visits of an expert"),
        (width, "elements"),
    )


def _expert_width(model: Model, launch: Launch, layer: Layer) -> int:
    assert layer.moe is not None
    ranks = launch.tensor_parallel_size * launch.data_parallel_size
    intermediate = ceil_div(
        layer.moe.intermediate_size, 1 if launch.enable_expert_parallel else ranks
    )
    gated = any(
        "experts." in weight.name and weight.name.endswith("gate_proj") for weight in layer.weights
    ) or not any("experts." in weight.name for weight in layer.weights)
    hidden = model.architecture.hidden_size
    opening = 2 * intermediate if gated else intermediate
    return max(opening, hidden) + max(intermediate, hidden)


def _experts_in_library(model: Model, gpu: Gpu) -> bool:
    """Whether the experts run in kernels that keep nothing vLLM sees.

    FlashInfer's on datacentre Blackwell; Triton's for MXFP4 on Hopper.
    """
    major = (gpu.compute_capability or (0, 0))[0]
    scheme = model.quantization.default
    return major == 10 or (major == 9 and scheme is not None and scheme.kind == "mxfp4")


def _flashinfer_on_hopper(model: Model, launch: Launch, gpu: Gpu, rules: ProfileRules) -> bool:
    """Whether 16-bit experts run in FlashInfer, of which vLLM keeps the output alone."""
    plain = model.quantization.default is None or launch.quantization == "none"
    return rules.flashinfer_experts and plain and (gpu.compute_capability or (0, 0))[0] == 9


def experts_in_kernel(model: Model, launch: Launch, gpu: Gpu) -> Contribution | None:
    """What Triton's MXFP4 experts hold for one layer: their product and their output."""
    moe = model.architecture.moe
    scheme = model.quantization.default
    hopper = (gpu.compute_capability or (0, 0))[0] == 9
    if moe is None or not hopper or scheme is None or scheme.kind != "mxfp4":
        return None
    intermediate = ceil_div(moe.intermediate_size, launch.tensor_parallel_size)
    return tensor(
        "expert_products",
        _ELEMENT[launch.dtype],
        (launch.max_num_batched_tokens * moe.experts_per_token, "visits of an expert"),
        (intermediate + model.architecture.hidden_size, "elements"),
    )


def latent_decode_buffer(model: Model, launch: Launch, gpu: Gpu) -> Contribution | None:
    """Partial outputs of latent decoding in Triton, for every sequence, head and split.

    Only where no other decoding kernel runs: not on Hopper nor datacentre Blackwell.
    """
    capability = gpu.compute_capability
    latent = latent_caches(model.architecture)
    if not latent or capability is None or capability[0] in {9, 10}:
        return None
    cache = max(latent, key=lambda item: item.num_heads)
    heads = ceil_div(cache.num_heads, launch.tensor_parallel_size)
    pieces = max(1, launch.max_model_len // _DECODE_SPLIT_TOKENS)
    splits = min(1 << (pieces - 1).bit_length(), 2 * chip_of(gpu).multiprocessors)
    return tensor(
        "latent_decoding",
        4,
        (launch.max_num_seqs, "sequences"),
        (heads, "heads"),
        (splits, "splits"),
        (cache.kv_lora_rank + 1, "elements"),
    )


def _gathered_keys(model: Model, launch: Launch) -> Contribution | None:
    """Keys that the indexer of sparse latent attention gathers for a prefill."""
    for layer in model.architecture.layer_counts:
        latent = any(isinstance(cache, LatentCache) for cache in layer.caches)
        for cache in layer.caches:
            if latent and isinstance(cache, IndexerCache):
                return tensor(
                    "gathered_keys",
                    1,
                    (_GATHERED_LENGTHS * launch.max_model_len, "tokens"),
                    (cache.head_dim + _SCALE_BYTES, "bytes"),
                )
    return None


def _prefill_workspace(model: Model, launch: Launch, gpu: Gpu) -> Contribution | None:
    """FlashInfer's workspace for latent prefill on datacentre Blackwell (0.33)."""
    dense = [cache for cache in latent_caches(model.architecture) if not cache.sparse]
    blackwell = (gpu.compute_capability or (0, 0))[0] == 10
    if not dense or not blackwell or launch.version < (0, 33, 0):
        return None
    return tensor("latent_prefill_workspace", 1, (_FLASHINFER_WORKSPACE, "bytes"))


def _state_checkpoints(model: Model, launch: Launch, gpu: Gpu) -> Contribution | None:
    """Checkpoints of the states of a gated-delta prefill, one per aligned block."""
    capability = gpu.compute_capability
    states = {cache for layer in model.architecture.layer_counts for cache in layer.caches}
    for cache in states:
        if not isinstance(cache, StateCache) or cache.kind != "gdn" or capability is None:
            continue
        if launch.mamba_cache_mode != "align" or not has_flashinfer_prefill(cache, capability):
            continue
        heads, *shape = cache.state_shape
        elements = ceil_div(heads, launch.tensor_parallel_size)
        for size in shape:
            elements *= size
        sizes = kv_launch(launch, model.architecture, capability)
        grid = choose_block_size(model.architecture, sizes)
        return tensor(
            "state_checkpoints",
            4,
            (ceil_div(launch.max_num_batched_tokens, grid), "checkpoints"),
            (elements, "elements"),
        )
    return None
