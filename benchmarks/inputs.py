"""From a measured start-up to the request, model and GPU that predict it.

What a case's source printed of vLLM's resolved settings wins over our defaults: the
grading is about memory, not about guessing arguments that are not shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from benchmarks.cases import StartupCase

from vllm_preflight.base.units import gib_to_bytes
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.launch.speculation.drafting import find_drafting
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import read_quantization
from vllm_preflight.models.sources import load_model

# The LLM class batches more tokens than the server (engine/arg_utils.py:get_batch_defaults).
_OFFLINE_TOKENS = {True: 16384, False: 8192}
_SHORT_DTYPES = {"half": "float16", "float": "float32"}
# How a stand-in becomes the quantised checkpoint, by the makers' usual settings.
_STAND_IN_QUANTIZATION: Mapping[str, Mapping[str, Any]] = {
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True},
    "fp8": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "int8": {"quant_method": "gptq", "bits": 8, "group_size": 128, "desc_act": False, "sym": True},
}


@dataclass(frozen=True)
class Inputs:
    """One case, ready to be predicted."""

    case: StartupCase
    request: StartupRequest
    extra: Mapping[str, Any]
    model: Model
    gpu: Gpu
    launch: Launch


def inputs_of(case: StartupCase) -> Inputs:
    """The inputs of a case that names its model, GPU and version.

    Raises:
        PreflightError: the engine refuses the model or an argument.
        ValueError: the case does not say enough.
    """
    if case.model is None and case.stand_in is None:
        raise ValueError(f"{case.id} names no model")
    if case.version is None:
        raise ValueError(f"{case.id} names no version")
    model = _model(case.model or case.stand_in or "", case.stand_in_quantization)
    gpu = _gpu(case)
    request, extra = _request(case, gpu)
    launch = resolve_launch(
        request,
        model.architecture,
        gpu,
        extra=extra,
        config=model.config,
        checkpoint_kv_cache_dtype=model.quantization.kv_cache_dtype,
        drafting=find_drafting(model, request.speculative_config),
    )
    return Inputs(case, request, extra, model, gpu, launch)


def _gpu(case: StartupCase) -> Gpu:
    """The catalogued card with the total the run printed, or a plain card of that total."""
    total = None if case.total_gib is None else gib_to_bytes(case.total_gib)
    if case.gpu is None:
        if total is None:
            raise ValueError(f"{case.id} names no GPU and prints no total")
        return Gpu(
            case.gpu_as_written or "not named",
            "NVIDIA",
            total,
            "measured",
            compute_capability=(8, 6),
        )
    gpu = find_gpu(case.gpu)
    return gpu if total is None else replace(gpu, visible_bytes=total, visible_basis="measured")


@cache
def _model(name: str, quantization: str | None) -> Model:
    model = load_model(name, source="catalog")
    if quantization is None:
        return model
    config = {**model.config, "quantization_config": _STAND_IN_QUANTIZATION[quantization]}
    return replace(model, config=config, quantization=read_quantization(config))


def _request(case: StartupCase, gpu: Gpu) -> tuple[StartupRequest, dict[str, Any]]:
    """The case's arguments, split into what a request has fields for and the rest."""
    given = dict(case.args)
    for name in ("max_num_batched_tokens", "max_num_seqs", "max_model_len"):
        printed = getattr(case.resolved, name)
        if printed is not None:
            given[name] = printed
    if case.usage == "offline":
        large = gpu.visible_bytes >= gib_to_bytes(70) and "A100" not in gpu.name
        given.setdefault("max_num_batched_tokens", _OFFLINE_TOKENS[large])
    given["dtype"] = _SHORT_DTYPES.get(given.get("dtype", "auto"), given.get("dtype", "auto"))
    for name in ("speculative_config", "limit_mm_per_prompt"):
        if isinstance(given.get(name), Mapping):
            given[name] = json.dumps(given[name])
    fields: dict[str, Any] = {
        "model": case.model or case.stand_in,
        "gpu": gpu.name,
        "vram_gb": case.total_gib,
        "vllm_version": case.version,
        "compile_cache": case.compile_cache or "unknown",
    }
    known = {key: value for key, value in given.items() if key in StartupRequest.model_fields}
    extra = {key: value for key, value in given.items() if key not in known}
    return StartupRequest(**{**known, **fields}), extra
