"""inspect_model, and the model and hardware part of every answer."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

from vllm_preflight.base.terms import Term
from vllm_preflight.base.units import BYTES_TO_GIB, bytes_to_gib
from vllm_preflight.contract.answer import report_terms
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.hardware import HardwareReport
from vllm_preflight.contract.inspect import InspectReport, InspectRequest, ModelReport
from vllm_preflight.hardware.gpu import ComputeCapability, Gpu
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.memory.kv.cache import stage_caches
from vllm_preflight.models.architecture import (
    AttentionCache,
    Cache,
    IndexerCache,
    LatentCache,
    Layer,
    StateCache,
)
from vllm_preflight.models.model import Model
from vllm_preflight.models.parameters import ParameterCount, Part, count_parameters
from vllm_preflight.models.sources import load_model

# inspect_model describes dtypes and caches as on a GPU that has every kernel.
_CAPABILITY: ComputeCapability = (9, 0)
_REFERENCE = Gpu("H100", "NVIDIA", 80 * BYTES_TO_GIB, "given", compute_capability=_CAPABILITY)


def inspect_model(
    request: InspectRequest,
    *,
    model: Model | None = None,
    progress: Callable[[str], None] | None = None,
) -> InspectReport:
    """What a model is made of: parameters by part, layers by kind, and the sources.

    `model` saves reading it again when the caller has it.

    Raises:
        PreflightError: the model is unknown, unreachable, damaged or not understood.
    """
    model = model or load_model(request.model, revision=request.revision, progress=progress)
    count = count_parameters(model.architecture)
    given = {name: getattr(request, name) for name in InspectRequest.model_fields}
    launch = resolve_launch(
        StartupRequest.model_construct(**given),
        model.architecture,
        _REFERENCE,
        config=model.config,
        checkpoint_kv_cache_dtype=model.quantization.kv_cache_dtype,
    )
    return InspectReport(
        model=model_report(model, launch, _CAPABILITY),
        parameters={"active": count.active, **_by_part(count)},
        layer_groups=[
            f"{layers} × {_layer_kind(layer)}"
            for layer, layers in model.architecture.layer_counts.items()
        ],
        terms=report_terms(_parameter_terms(model, count)),
        warnings=[*model.notes, *model.remarks],
    )


def model_report(model: Model, launch: Launch, capability: ComputeCapability) -> ModelReport:
    """The model as an answer shows it, in the dtypes of `launch`."""
    architecture = model.architecture
    (caches,) = stage_caches(architecture, _whole(launch), capability)
    moe = architecture.moe
    return ModelReport(
        model=model.id,
        origin=model.origin,
        revision=model.revision,
        provenance=model.provenance,
        architecture=architecture.architecture,
        model_type=architecture.model_type,
        params_total=round(count_parameters(model.architecture).total * model.weight_scale),
        params_published=model.params_published,
        checkpoint_bytes=model.checkpoint_bytes,
        dtype=launch.dtype,
        quantization=launch.quantization or model.quantization.label,
        max_position=architecture.max_position,
        layers=len(architecture.layers),
        attention=_attention(model),
        kv_bytes_per_token=caches.bytes_per_token(architecture.max_position),
        experts=None
        if moe is None
        else f"{moe.num_experts} experts, {moe.experts_per_token} per token",
    )


def hardware_report(hardware: Hardware, launch: Launch | None) -> HardwareReport:
    """The GPUs as an answer shows them; `launch` says how many are used."""
    gpu = hardware.gpu
    used = 1 if launch is None else launch.world_size * launch.data_parallel_size
    capability = gpu.compute_capability
    free = None if launch is None else launch.free_bytes
    return HardwareReport(
        gpu=gpu.name,
        gpus=used,
        gpus_available=hardware.gpus,
        visible_gib_per_gpu=bytes_to_gib(gpu.visible_bytes),
        visible_basis=gpu.visible_basis,
        free_gib_per_gpu=None if free is None or free >= gpu.visible_bytes else bytes_to_gib(free),
        compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
        memory_bandwidth_gb_s=gpu.memory_bandwidth_gb_s,
        interconnect=hardware.interconnect,
        nodes=hardware.nodes,
    )


def _whole(launch: Launch) -> Launch:
    return replace(launch, tensor_parallel_size=1, pipeline_parallel_size=1)


@functools.lru_cache(maxsize=256)
def _attention(model: Model) -> str:
    kinds = Counter(_layer_kind(layer) for layer in model.architecture.layers)
    return ", ".join(f"{number} × {kind}" for kind, number in kinds.items())


def _layer_kind(layer: Layer) -> str:
    caches = " + ".join(dict.fromkeys(_cache_kind(cache) for cache in layer.caches))
    experts = " with experts" if layer.moe else ""
    return f"{caches or 'no cache'}{experts}"


def _cache_kind(cache: Cache) -> str:
    if isinstance(cache, AttentionCache):
        heads = f"{cache.num_kv_heads} KV heads of {cache.head_dim}"
        if cache.window:
            return f"sliding window {cache.window}, {heads}"
        if cache.chunk:
            return f"chunks of {cache.chunk}, {heads}"
        kind = {"decoder": "full", "encoder_only": "encoder", "cross": "cross"}[cache.kind]
        return f"{kind} attention, {heads}"
    if isinstance(cache, LatentCache):
        return f"latent attention (MLA), {cache.kv_lora_rank} + {cache.qk_rope_head_dim}"
    if isinstance(cache, IndexerCache):
        return f"sparse indexer of {cache.head_dim}"
    if isinstance(cache, StateCache):
        return f"recurrent state ({cache.kind})"
    return type(cache).__name__.removesuffix("Cache").lower()


def _by_part(count: ParameterCount) -> dict[str, int]:
    parts: dict[str, int] = {part: getattr(count, part) for part in get_args(Part)}
    return {part: number for part, number in parts.items() if number}


def _parameter_terms(model: Model, count: ParameterCount) -> list[Term]:
    source = f"shapes of {model.id} ({model.provenance})"
    return [
        Term(
            name=f"parameters_{name}",
            value=number,
            unit="parameters",
            formula="sum of rows × columns of the checkpoint's tensors",
            basis="derived",
            source=source,
        )
        for name, number in _by_part(count).items()
    ]
