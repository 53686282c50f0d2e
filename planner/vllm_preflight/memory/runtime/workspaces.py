"""Workspaces that kernels share and keep: experts', latent decoding's, an indexer's.

vLLM keeps one buffer for all of them, as large as the largest (v1/worker/workspace.py).
Source: fused_moe/modular_kernel.py and its back ends, v1/attention/backends/mla,
model_executor/layers/sparse_attn_indexer.py, vLLM 0.19 to 0.33.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vllm_preflight.base.units import BYTES_TO_MIB, ceil_div
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch, Version
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
# The first releases that ran experts as modular kernels, whose workspace is kept, by how
# their weights are stored (fused_moe/unquantized_fused_moe_method.py and quantization/).
_WORKSPACES_KEPT: Version = (0, 14, 0)
_MXFP4_KEPT: Version = (0, 17, 0)
_INT4_KEPT: dict[str, Version] = {
    "gptq": (0, 20, 0),
    "awq": (0, 22, 0),
    "compressed-tensors": (0, 23, 0),
}
_EXCHANGED_KEPT: Version = (0, 12, 0)
# The term of what FlashInfer's expert kernels allocate where vLLM does not see it.
IN_LIBRARY = "expert_library"


def shared_workspace(model: Model, launch: Launch, gpu: Gpu, rules: ProfileRules) -> Phase:
    """The largest workspace of the profile pass, which stays allocated; () without any."""
    found = [_gathered_keys(model, launch), _prefill_workspace(model, launch, gpu)]
    if _experts_keep(model, launch):
        found.append(_expert_buffer(model, launch, gpu, rules))
    if rules.latent_decode == "profiled":
        found.append(latent_decode_buffer(model, launch, gpu))
        found.append(_state_checkpoints(model, launch, gpu))
    largest = max((item for item in found if item), key=lambda item: item.bytes, default=None)
    return () if largest is None else (largest,)


def _experts_keep(model: Model, launch: Launch) -> bool:
    """Whether the expert kernels' workspace outlives their layer.

    It does since the weights' method runs them as a modular kernel, and did before where
    ranks exchange tokens.
    """
    quantization = model.quantization
    scheme = quantization.default if launch.quantization != "none" else None
    kept = _WORKSPACES_KEPT
    if scheme is not None and scheme.kind == "int_group":
        kept = _INT4_KEPT.get(quantization.method, max(_INT4_KEPT.values()))
    elif scheme is not None and scheme.kind == "mxfp4":
        kept = _MXFP4_KEPT
    if launch.data_parallel_size > 1:
        kept = min(kept, _EXCHANGED_KEPT)
    return launch.version >= kept


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
    or the output.
    """
    hidden = model.architecture.hidden_size
    return _visited(
        model,
        launch,
        "expert_workspaces",
        lambda opening, product: max(opening, hidden) + max(product, hidden),
    )


def _visited(
    model: Model, launch: Launch, name: str, width: Callable[[int, int], int]
) -> Contribution | None:
    """`width` elements for each visit of an expert, in the layer that needs most.

    `width` is of the gate and up projections and of their product, on one rank.
    Data-parallel ranks share the experts, sliced or (expert parallelism) whole, and gather
    the batches of all ranks, in chunks.
    """
    tokens = launch.max_num_batched_tokens
    if launch.data_parallel_size > 1:
        tokens = min(tokens * launch.data_parallel_size, max(tokens, _EXPERT_CHUNK_TOKENS))
    widest = max(
        (
            (layer.moe.experts_per_token, width(*_expert_widths(launch, layer)))
            for layer in model.architecture.layer_counts
            if layer.moe is not None
        ),
        key=lambda pair: pair[0] * pair[1],
        default=None,
    )
    if widest is None:
        return None
    visited, elements = widest
    return tensor(
        name,
        _ELEMENT[launch.dtype],
        (tokens * visited, "visits of an expert"),
        (elements, "elements"),
    )


def _expert_widths(launch: Launch, layer: Layer) -> tuple[int, int]:
    """Elements of an expert's gate and up projections, and of their product, on one rank."""
    assert layer.moe is not None
    ranks = launch.tensor_parallel_size * launch.data_parallel_size
    intermediate = ceil_div(
        layer.moe.intermediate_size, 1 if launch.enable_expert_parallel else ranks
    )
    gated = any(
        "experts." in weight.name and weight.name.endswith("gate_proj") for weight in layer.weights
    ) or not any("experts." in weight.name for weight in layer.weights)
    return 2 * intermediate if gated else intermediate, intermediate


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


def experts_in_kernel(
    model: Model, launch: Launch, gpu: Gpu, rules: ProfileRules
) -> Contribution | None:
    """What the expert kernels hold for one layer alone, where nothing outlives it.

    Triton's MXFP4 experts on Hopper hold their product and their output; those of the early
    releases share one buffer between projections and output, beside the product. FlashInfer
    allocates inside: CUTLASS as Triton's kernels do, TensorRT-LLM's as MXFP4 on Hopper.
    """
    hidden = model.architecture.hidden_size
    if _flashinfer_on_hopper(model, launch, gpu, rules):
        workspace = expert_workspace(model, launch)
        return replace(workspace, name=IN_LIBRARY) if workspace else None
    if model.architecture.moe is None:
        return None
    if _experts_in_library(model, gpu):
        hopper = (gpu.compute_capability or (0, 0))[0] == 9
        name = "expert_products" if hopper else IN_LIBRARY
        return _visited(model, launch, name, lambda _, product: product + hidden)
    if _experts_keep(model, launch):
        return None
    return _visited(
        model,
        launch,
        "expert_buffers",
        lambda opening, product: max(opening, hidden) + product,
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
