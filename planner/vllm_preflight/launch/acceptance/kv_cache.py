"""Which KV cache dtypes a release takes, and which of them are sized here.

Source: vLLM config/cache.py (CacheDType) of the wheels named in quantization.json;
v1/attention/backends/flashinfer.py, triton_attn.py and mla/*sparse*.py for the GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.acceptance.tables import (
    CACHE_DTYPES,
    invalid_cache_dtype,
    names_in,
    releases_with,
    table,
)
from vllm_preflight.launch.launch import LaunchProblem, Version
from vllm_preflight.launch.notes import Notes

# Layouts whose bytes per token are described in memory.kv.pages.
_PLAIN = frozenset({"bfloat16", "float16"})
_FP8 = frozenset({"fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc"})
# One scale for each token and head, beside its data; Triton's attention alone has them.
_PER_TOKEN_HEAD = frozenset({"fp8_per_token_head", "int8_per_token_head", "int4_per_token_head"})
# Opaque rows of latent attention.
_LATENT_ROWS = frozenset({"fp8_ds_mla", "nvfp4_ds_mla"})
_NVFP4 = frozenset({"nvfp4", "nvfp4_4over6"})
_SIZED = frozenset({"auto"}) | _PLAIN | _FP8 | _PER_TOKEN_HEAD | _LATENT_ROWS | _NVFP4
# Back ends that only ROCm's list of them has (platforms/rocm.py).
_ROCM_ONLY = ("octave_", "ultraquant_")
# Methods whose attention layers read scales (BaseKVCacheMethod).
_SCALED_CHECKPOINTS = frozenset({"fp8", "modelopt"})
# The first release that refuses a 16-bit cache of another dtype than the model's.
_SAME_FLOAT_SINCE: Version = (0, 33, 0)
# Below capability 8.0 FlashInfer was the only back end with FP8, and left in this release.
_FP8_LEFT_TURING: Version = (0, 24, 0)
# FlashInfer's NVFP4: datacentre Blackwell first, then every generation from Ampere on.
_NVFP4_EVERYWHERE_SINCE: Version = (0, 32, 0)
_NVFP4_FIRST, _NVFP4_LATER = frozenset({10}), frozenset({8, 9, 10, 12})
_ROWS_OF_NVFP4_ON = 10
# The first release whose parser takes any word, and whose config refuses it.
_OPEN_SINCE: Version = (0, 33, 0)
# Sparse latent attention: Hopper and datacentre Blackwell first, then the other Blackwells.
_SPARSE_ON_SM120_SINCE: Version = (0, 24, 0)
_SPARSE_FIRST, _SPARSE_LATER = frozenset({9, 10}), frozenset({9, 10, 12})


def check_kv_cache_dtype(dtype: str, gpu: Gpu, notes: Notes) -> bool:
    """Whether the release takes this dtype by its long name; notes its refusal.

    Raises UnsupportedArchitecture for a dtype the release has and nobody here can size.
    """
    spans = table("quantization")["kv_cache_dtypes"]
    accepted = names_in(spans, notes.version)
    if dtype not in accepted:
        turn = releases_with(spans.get(dtype, ()), notes.version)
        choices = ", ".join(repr(name) for name in accepted)
        notes.refuse(
            invalid_cache_dtype(dtype, accepted)
            if notes.version >= _OPEN_SINCE
            else f"argument --kv-cache-dtype: invalid choice: {dtype!r} (choose from {choices})",
            f"--kv-cache-dtype {CACHE_DTYPES.get(dtype, 'auto')}",
            *((turn,) if turn else ()),
        )
        return False
    if dtype.startswith(_ROCM_ONLY) and gpu.vendor != "AMD":
        notes.refuse(
            f"No valid attention backend found for cuda with kv_cache_dtype={dtype}: its kernels "
            "are for ROCm.",
            "--kv-cache-dtype fp8",
        )
        return False
    if dtype not in _SIZED:
        why = ""
        if dtype.startswith("turboquant_"):
            why = ": the first and last layers stay in 16 bit, and share a pool with smaller pages"
        raise UnsupportedArchitecture(
            f"The pages of the KV cache dtype {dtype} are not described here{why}.",
            "Ask with --kv-cache-dtype fp8 or int4_per_token_head to see what a smaller cache "
            "holds.",
        )
    return True


def check_requested_cache(requested: str, dtype: str, stored: str, notes: Notes) -> None:
    """Note vLLM's refusal of a cache dtype beside the model's or the checkpoint's.

    `stored` is the checkpoint's quantisation method. Source: vLLM 0.33 config/vllm.py
    (_reject_mismatched_float_kv_cache); attention/layer.py of 0.8 on.
    """
    if requested == "fp8_e5m2" and stored in _SCALED_CHECKPOINTS:
        notes.refuse(
            "fp8_e5m2 kv-cache is not supported with fp8 checkpoints.", "--kv-cache-dtype fp8"
        )
    if requested not in _PLAIN or requested == dtype or notes.version < _SAME_FLOAT_SINCE:
        return
    notes.refuse(
        f'kv_cache_dtype="{requested}" is incompatible with dtype="{dtype}". Please set '
        "`--kv-cache-dtype` to `auto`.",
        "--kv-cache-dtype auto",
    )


@dataclass(frozen=True, slots=True)
class CacheKinds:
    """What a model caches.

    `sparse` latent attention picks its tokens with an indexer; `compressed` vectors are
    DeepSeek V4's; a `hybrid` has recurrent states beside attention; with `sinks` attention
    has learned sinks, and `narrow` heads are 64 wide.
    """

    latent: bool
    sparse: bool
    compressed: bool
    hybrid: bool
    sinks: bool = False
    narrow: bool = False


def check_attention_kernels(dtype: str, kinds: CacheKinds, gpu: Gpu, notes: Notes) -> None:
    """Refuse what no attention back end of the release does on this GPU.

    `dtype` is the resolved KV cache dtype. Raises UnsupportedArchitecture for what vLLM may
    run and nobody here can size.
    """
    latent, sparse, compressed = kinds.latent, kinds.sparse, kinds.compressed
    if dtype in _LATENT_ROWS and not (sparse or compressed):
        notes.refuse(
            f"No valid attention backend found for cuda with kv_cache_dtype={dtype}, "
            f"use_mla={latent}, use_sparse=False.",
            "--kv-cache-dtype fp8",
        )
        return
    if dtype in _NVFP4 and latent:
        notes.refuse(
            "nvfp4 KV cache is not supported with MLA (Multi-head Latent Attention) backends. "
            "Please use a different --kv-cache-dtype (e.g., 'fp8', 'auto', or 'nvfp4_ds_mla' with "
            "a sparse MLA backend) for MLA models such as DeepSeek.",
            "--kv-cache-dtype fp8",
        )
        return
    scaled = dtype in _PER_TOKEN_HEAD and (latent or kinds.hybrid)
    if scaled or (dtype == "nvfp4_ds_mla" and compressed):
        raise UnsupportedArchitecture(
            f"This model's attention with a KV cache in {dtype} is not described here.",
            "Ask with --kv-cache-dtype fp8.",
        )
    if gpu.compute_capability is None:
        return
    major, minor = gpu.compute_capability
    if dtype == "nvfp4_ds_mla" and major != _ROWS_OF_NVFP4_ON:
        notes.refuse(
            f"No valid attention backend found for cuda with kv_cache_dtype={dtype} on compute "
            f"capability {major}.{minor}.",
            "--kv-cache-dtype fp8" if major >= 9 else "--kv-cache-dtype auto",
        )
    newest = notes.version >= _SPARSE_ON_SM120_SINCE
    if sparse and major not in (_SPARSE_LATER if newest else _SPARSE_FIRST):
        notes.problems.append(
            LaunchProblem(
                "No valid attention backend found for cuda with use_mla=True, use_sparse=True on "
                f"compute capability {major}.{minor}.",
                kind="unsupported",
            )
        )
    if dtype.startswith("fp8") and major < 8 and notes.version >= _FP8_LEFT_TURING:
        notes.refuse(
            f"FP8 KV cache is not supported by the Triton attention backend on {gpu.device_name} "
            f"(compute capability {major}.{minor}); native FP8 (fp8e4nv) requires SM89+. Re-run "
            "with --kv-cache-dtype float16.",
            "--kv-cache-dtype float16",
        )
    later = notes.version >= _NVFP4_EVERYWHERE_SINCE and dtype == "nvfp4"
    if dtype in _NVFP4 and major not in (_NVFP4_LATER if later else _NVFP4_FIRST):
        notes.refuse(
            f"No valid attention backend found for cuda with kv_cache_dtype={dtype} on compute "
            f"capability {major}.{minor}.",
            "--kv-cache-dtype fp8" if major >= 8 else "--kv-cache-dtype auto",
        )
    elif dtype in _NVFP4 and major != _ROWS_OF_NVFP4_ON and (kinds.narrow or kinds.sinks):
        why = (
            "fa2 prefill misreads an NVFP4 KV cache at head_size 64"
            if kinds.narrow
            else "the sink prefill wrapper cannot read an NVFP4 KV cache"
        )
        notes.refuse(
            f"No valid attention backend found for cuda with kv_cache_dtype={dtype}. Reasons: "
            f"{{FLASHINFER: [{why}]}}.",
            "--kv-cache-dtype fp8",
        )
