"""Parallel and block sizes that vLLM refuses whatever the memory.

Source: vLLM 0.33 config/model.py (verify_with_parallel_config), layers/linear.py
(QKVParallelLinear), layers/vocab_parallel_embedding.py, config/parallel.py.
"""

from __future__ import annotations

from functools import lru_cache

from vllm_preflight.base.units import round_up
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.notes import Notes
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    CompressedCache,
    LatentCache,
)

_VOCAB_MULTIPLE = 64
_CONTEXT_CHECKED_SINCE: Version = (0, 11, 1)


def check_parallel_sizes(
    architecture: Architecture,
    tensor_parallel_size: int,
    pipeline_parallel_size: int,
    decode_context_parallel_size: int,
    notes: Notes,
    *,
    whole_towers: bool = False,
) -> None:
    """Note vLLM's refusals of the parallel sizes for this model.

    TP must divide the attention heads and the padded vocabulary, be a divisor or a
    multiple of the KV heads of every attention layer, and divide the heads of towers that
    are not kept whole (`whole_towers`); DCP must divide TP; there must be a layer for each
    pipeline stage.
    """
    tp = tensor_parallel_size
    heads = architecture.num_attention_heads
    accepted = _accepted_sizes(architecture, tp)
    if heads and heads % tp:
        notes.refuse(
            f"Total number of attention heads ({heads}) must be divisible by tensor parallel "
            f"size ({tp}).",
            *accepted,
        )
    elif uneven := [kv for kv in sorted(_kv_heads(architecture)) if kv % tp and tp % kv]:
        notes.refuse(
            f"{max(uneven[0], tp)} is not divisible by {min(uneven[0], tp)}: the tensor parallel "
            f"size must be a divisor or a multiple of the {uneven[0]} KV heads.",
            *accepted,
        )
    elif _padded_vocabulary(architecture) % tp:
        notes.refuse(
            f"{_padded_vocabulary(architecture)} is not divisible by {tp}: the padded vocabulary "
            "is divided over the tensor parallel ranks.",
            *accepted,
        )
    elif not whole_towers and (uneven := _uneven_towers(architecture, tp)):
        notes.refuse(
            f"{uneven[0]} is not divisible by {tp}: the heads of the model's vision or audio "
            "tower are divided over the tensor parallel ranks.",
            "--mm-encoder-tp-mode data",
            *accepted,
        )
    if tp % decode_context_parallel_size:
        notes.refuse(
            f"tp_size={tp} must be divisible by dcp_size={decode_context_parallel_size}.",
            "--decode-context-parallel-size 1",
        )
    elif decode_context_parallel_size > 1:
        _check_context_parallelism(architecture, tp, decode_context_parallel_size, notes)
    if pipeline_parallel_size > len(architecture.layers) > 0:
        notes.refuse(
            f"pipeline_parallel_size ({pipeline_parallel_size}) is larger than the number of "
            f"layers ({len(architecture.layers)}).",
            "--pipeline-parallel-size 1",
        )


def _check_context_parallelism(architecture: Architecture, tp: int, dcp: int, notes: Notes) -> None:
    """Note that decode context parallelism of keys and values needs ranks that repeat them.

    Source: vLLM 0.11.1 and 0.33 config/model.py (verify_with_parallel_config).
    """
    kv_heads = max(_kv_heads(architecture), default=0)
    if not kv_heads or notes.version < _CONTEXT_CHECKED_SINCE or _is_latent(architecture):
        return
    one = "--decode-context-parallel-size 1"
    per_head = architecture.num_attention_heads // kv_heads
    if tp <= kv_heads:
        notes.refuse(
            f"Decode context parallelism for GQA/MQA requires `--tensor-parallel-size` ({tp}) to "
            f"be greater than the model's total number of KV heads ({kv_heads}).",
            one,
        )
    elif dcp > tp // kv_heads:
        notes.refuse(
            f"`--decode-context-parallel-size` ({dcp}) exceeds the maximum supported value "
            f"({tp // kv_heads}) for `--tensor-parallel-size` ({tp}) and {kv_heads} model KV "
            "heads.",
            one,
        )
    elif per_head % dcp:
        notes.refuse(
            f"The model's number of query heads per KV head ({per_head}) must be divisible by "
            f"`--decode-context-parallel-size` ({dcp}) for GQA/MQA.",
            one,
        )


def _is_latent(architecture: Architecture) -> bool:
    kinds = {type(cache) for cache in architecture.caches}
    return not kinds.isdisjoint({LatentCache, CompressedCache})


def check_expert_parallelism(architecture: Architecture, enabled: bool, notes: Notes) -> None:
    """Note vLLM's refusal of expert parallelism for a model without experts.

    Source: vLLM config/model.py, _verify_with_expert_parallelism.
    """
    if enabled and architecture.moe is None:
        notes.refuse(
            "Number of experts in the model must be greater than 0 when expert parallelism is "
            "enabled.",
        )


def check_block_size(
    architecture: Architecture, block_size: int | None, gpu: Gpu, notes: Notes
) -> None:
    """Note that CUDA's attention kernels take blocks of 16 tokens and their multiples alone.

    Models with recurrent states choose their own; other platforms have kernels of their own
    (ROCm's for latent attention take blocks of one token). Source: vLLM 0.33
    v1/attention/backends (get_kv_cache_shape, get_supported_kernel_block_sizes).
    """
    if not platform_of(gpu).modelled:
        return
    if block_size is not None and block_size % 16 and not architecture.is_hybrid:
        notes.refuse(
            f"Block size must be a multiple of 16 (it is {block_size}).",
            f"--block-size {round_up(block_size, 16)}",
        )


@lru_cache(maxsize=1024)
def divides_model(architecture: Architecture, tensor_parallel_size: int) -> bool:
    """Whether vLLM accepts this tensor-parallel size for the model's heads and vocabulary.

    With towers divided over the ranks, as they are by default.
    """
    tp = tensor_parallel_size
    return (
        architecture.num_attention_heads % tp == 0
        and all(kv % tp == 0 or tp % kv == 0 for kv in _kv_heads(architecture))
        and _padded_vocabulary(architecture) % tp == 0
        and not _uneven_towers(architecture, tp)
    )


@lru_cache(maxsize=256)
def _accepted_sizes(architecture: Architecture, tensor_parallel_size: int) -> tuple[str, ...]:
    """The nearest accepted sizes below and above the refused one."""
    below = next(
        (tp for tp in range(tensor_parallel_size - 1, 0, -1) if divides_model(architecture, tp)), 1
    )
    above = next(
        (
            tp
            for tp in range(tensor_parallel_size + 1, 2 * tensor_parallel_size + 1)
            if divides_model(architecture, tp)
        ),
        None,
    )
    sizes = (below,) if above is None else (below, above)
    return tuple(f"--tensor-parallel-size {size}" for size in sizes)


def _kv_heads(architecture: Architecture) -> set[int]:
    return {
        cache.num_kv_heads
        for cache in architecture.caches
        if isinstance(cache, AttentionCache) and cache.num_kv_heads
    }


def _uneven_towers(architecture: Architecture, tensor_parallel_size: int) -> list[int]:
    heads = (encoder.divided_heads for encoder in architecture.encoders)
    return [count for count in heads if count % tensor_parallel_size]


def _padded_vocabulary(architecture: Architecture) -> int:
    return round_up(architecture.vocab_size, _VOCAB_MULTIPLE)
