"""Which dtype vLLM computes in and which it caches keys and values in.

Source: vLLM 0.33 config/model.py (_get_and_verify_dtype, _resolve_auto_dtype) and
utils/torch_utils.py (resolve_kv_cache_dtype_string).
"""

from __future__ import annotations

from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.acceptance.attention import has_sinks
from vllm_preflight.launch.acceptance.kv_cache import (
    CacheKinds,
    check_attention_kernels,
    check_kv_cache_dtype,
)
from vllm_preflight.launch.defaults import model_fact
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.notes import Notes
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    CompressedCache,
    IndexerCache,
)

_SHORT = {
    "half": "float16",
    "fp16": "float16",
    "bf16": "bfloat16",
    "float": "float32",
    "fp32": "float32",
}
_AMPERE = (8, 0)
_ADA = (8, 9)
# The first release that casts a bfloat16 checkpoint to float16 on a GPU without bfloat16.
_FALLBACK_SINCE: Version = (0, 8, 5)
_NAMED_FLOAT16_REFUSAL_SINCE: Version = (0, 9, 0)


def full_dtype_name(name: str) -> str:
    """The long name of a dtype: "half" and "fp16" are "float16"."""
    return _SHORT.get(name, name)


def resolve_dtype(
    requested: str, architecture: Architecture, gpu: Gpu, pooling: bool, notes: Notes
) -> str:
    """The dtype of weights and activations; refusals are noted.

    "auto" is the checkpoint's, except that float32 (and a config that names none)
    becomes the GPU's preferred 16-bit dtype, float16 for pooling models, and that
    bfloat16 falls back to float16 below capability 8.0.
    """
    dtype = full_dtype_name(requested)
    if dtype == "auto":
        return _auto_dtype(architecture, gpu, pooling, notes)
    notes.given("dtype")
    if dtype == "bfloat16" and not _has_bfloat16(gpu):
        _refuse_bfloat16(gpu, notes)
    if (
        dtype == "float16"
        and notes.version >= _NAMED_FLOAT16_REFUSAL_SINCE
        and architecture.model_type in model_fact("no_float16")
    ):
        notes.refuse(
            f"The model type {architecture.model_type!r} does not support float16. Reason: "
            "Numerical instability. Please use bfloat16 or float32 instead.",
            "--dtype bfloat16" if _has_bfloat16(gpu) else "--dtype float32",
        )
    return dtype


def _auto_dtype(architecture: Architecture, gpu: Gpu, pooling: bool, notes: Notes) -> str:
    stored = full_dtype_name(architecture.dtype)
    if stored not in {"float16", "bfloat16"}:
        dtype = _for_float32(architecture, gpu, pooling, notes)
        notes.default("dtype", f"the checkpoint is {stored or 'float32'}; vLLM casts it to {dtype}")
        return dtype
    if stored == "bfloat16" and not _has_bfloat16(gpu):
        if notes.version < _FALLBACK_SINCE:
            _refuse_bfloat16(gpu, notes)
        dtype = _sixteen_bits(architecture, gpu)
        notes.default("dtype", f"the GPU has no bfloat16; vLLM falls back to {dtype}")
        return dtype
    notes.default("dtype", "the checkpoint's own")
    return stored


def _for_float32(architecture: Architecture, gpu: Gpu, pooling: bool, notes: Notes) -> str:
    unstable = architecture.model_type in model_fact("no_float16")
    if pooling and not unstable:
        return "float16"
    if notes.versioned("float32_becomes") == "float16" and not unstable:
        return "float16"
    return _sixteen_bits(architecture, gpu)


def _sixteen_bits(architecture: Architecture, gpu: Gpu) -> str:
    """The first of bfloat16, float16, float32 that both GPU and model accept."""
    if _has_bfloat16(gpu):
        return "bfloat16"
    return "float32" if architecture.model_type in model_fact("no_float16") else "float16"


def _has_bfloat16(gpu: Gpu) -> bool:
    return gpu.compute_capability is None or gpu.compute_capability >= _AMPERE


def _refuse_bfloat16(gpu: Gpu, notes: Notes) -> None:
    major, minor = gpu.compute_capability or (0, 0)
    notes.refuse(
        "Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your "
        f"{gpu.device_name} GPU has compute capability {major}.{minor}. You can use float16 "
        "instead by explicitly setting the `dtype` flag in CLI, for example: --dtype=half.",
        "--dtype half",
    )


def resolve_kv_cache_dtype(
    requested: str,
    architecture: Architecture,
    gpu: Gpu,
    checkpoint_kv_cache_dtype: str | None,
    notes: Notes,
) -> str:
    """The KV cache's dtype as vLLM resolves it; "auto" means the model's dtype.

    `checkpoint_kv_cache_dtype` is what the checkpoint's quantisation asks for
    (ModelOpt's kv_cache_quant_algo, compressed-tensors' kv_cache_scheme), as vLLM's name.
    """
    caches = architecture.caches
    # Sparse latent attention; hybrids with it keep plain pages.
    sparse = (
        architecture.uses_latent_attention
        and not architecture.is_hybrid
        and any(isinstance(cache, IndexerCache) for cache in caches)
    )
    major = (gpu.compute_capability or (0, 0))[0]
    dtype = requested
    if dtype == "auto":
        dtype = _auto_kv_dtype(architecture, major, checkpoint_kv_cache_dtype, notes)
    else:
        notes.given("kv_cache_dtype")
        if not check_kv_cache_dtype(dtype, gpu, notes):
            return "auto"
        if dtype == "fp8" and sparse and major != 10:
            dtype = "fp8_ds_mla"
    if architecture.model_type == "deepseek_v4" and (dtype == "auto" or dtype.startswith("fp8")):
        dtype = "fp8_ds_mla"
    if sparse and major == 12:
        dtype = "fp8_ds_mla"
    kinds = CacheKinds(
        latent=architecture.uses_latent_attention,
        sparse=sparse,
        compressed=any(isinstance(cache, CompressedCache) for cache in caches),
        hybrid=architecture.is_hybrid,
        sinks=has_sinks(architecture),
        narrow=any(isinstance(cache, AttentionCache) and cache.head_dim == 64 for cache in caches),
    )
    before = len(notes.problems)
    check_attention_kernels(dtype, kinds, gpu, notes)
    if len(notes.problems) > before:
        # What is refused has no pages to size.
        return "auto"
    if dtype.startswith("fp8"):
        _check_fp8_kernels(architecture, dtype, gpu, notes)
    return dtype


def _auto_kv_dtype(
    architecture: Architecture, major: int, from_checkpoint: str | None, notes: Notes
) -> str:
    if from_checkpoint and from_checkpoint != "auto":
        notes.default("kv_cache_dtype", "what the checkpoint's quantisation asks for")
        return from_checkpoint
    if architecture.architecture == "GlmMoeDsaForCausalLM" and major == 10:
        notes.default("kv_cache_dtype", "vLLM's choice for this architecture on capability 10.x")
        return "fp8_e4m3"
    notes.default("kv_cache_dtype", "the model's dtype")
    return "auto"


def _check_fp8_kernels(architecture: Architecture, dtype: str, gpu: Gpu, notes: Notes) -> None:
    """Refuse an FP8 cache where only Triton's attention fits and the GPU has no FP8.

    Latent attention, attention sinks, heads wider than 256 and scales per token and head
    leave Triton below capability 8.9 (vLLM 0.33; FlashInfer, which the others get, converts
    in software).
    """
    if gpu.compute_capability is None or not _AMPERE <= gpu.compute_capability < _ADA:
        return
    scaled = dtype.endswith("per_token_head")
    latent = architecture.uses_latent_attention
    wide = any(
        isinstance(cache, AttentionCache) and cache.head_dim > 256 for cache in architecture.caches
    )
    sinks = has_sinks(architecture)
    if not (latent or wide or sinks or scaled):
        return
    major, minor = gpu.compute_capability
    backend = "Triton MLA" if latent else "Triton attention"
    notes.refuse(
        f"FP8 KV cache is not supported by the {backend} backend on {gpu.device_name} (compute "
        f"capability {major}.{minor}); native FP8 (fp8e4nv) requires SM89+. Re-run with "
        "--kv-cache-dtype bfloat16.",
        "--kv-cache-dtype bfloat16",
    )
