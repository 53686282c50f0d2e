"""Which KV cache dtypes a release takes, and which of them are sized here.

Source: vLLM config/cache.py (CacheDType) of the wheels named in quantization.json;
v1/attention/backends/flashinfer.py, triton_attn.py and mla/*sparse*.py for the GPUs.
"""

from __future__ import annotations

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.acceptance.tables import names_in, releases_with, table
from vllm_preflight.launch.launch import LaunchProblem, Version
from vllm_preflight.launch.notes import Notes

# Layouts whose bytes per token are described in memory.kv.pages.
_SIZED = frozenset(
    {"auto", "bfloat16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "fp8_ds_mla", "nvfp4"}
)
# Below capability 8.0 FlashInfer was the only back end with FP8, and left in this release.
_FP8_LEFT_TURING: Version = (0, 24, 0)
# FlashInfer's NVFP4: datacentre Blackwell first, then every generation from Ampere on.
_NVFP4_EVERYWHERE_SINCE: Version = (0, 32, 0)
_NVFP4_FIRST, _NVFP4_LATER = frozenset({10}), frozenset({8, 9, 10, 12})
# Sparse latent attention: Hopper and datacentre Blackwell first, then the other Blackwells.
_SPARSE_ON_SM120_SINCE: Version = (0, 24, 0)
_SPARSE_FIRST, _SPARSE_LATER = frozenset({9, 10}), frozenset({9, 10, 12})


def check_kv_cache_dtype(dtype: str, notes: Notes) -> bool:
    """Whether the release takes this dtype by its long name; notes its refusal.

    Raises UnsupportedArchitecture for a dtype the release has and nobody here can size.
    """
    spans = table("quantization")["kv_cache_dtypes"]
    accepted = names_in(spans, notes.version)
    if dtype not in accepted:
        turn = releases_with(spans.get(dtype, ()), notes.version)
        notes.refuse(
            f"argument --kv-cache-dtype: invalid choice: {dtype!r} (choose from "
            f"{', '.join(repr(name) for name in accepted)})",
            "--kv-cache-dtype fp8" if dtype == "int8" else "--kv-cache-dtype auto",
            *((turn,) if turn else ()),
        )
        return False
    if dtype not in _SIZED:
        raise UnsupportedArchitecture(
            f"The pages of the KV cache dtype {dtype} are not described here.",
            "Ask with --kv-cache-dtype fp8 or nvfp4 to see what a smaller cache holds.",
        )
    return True


def check_attention_kernels(dtype: str, latent: bool, sparse: bool, gpu: Gpu, notes: Notes) -> None:
    """Refuse what no attention back end of the release does on this GPU.

    `dtype` is the resolved KV cache dtype; `latent` says that the model has latent
    attention, `sparse` that it picks its tokens with an indexer.
    """
    if dtype == "fp8_ds_mla" and not latent:
        notes.refuse(
            "No valid attention backend found for cuda with kv_cache_dtype=fp8_ds_mla, "
            "use_mla=False.",
            "--kv-cache-dtype fp8",
        )
    if gpu.compute_capability is None:
        return
    major, minor = gpu.compute_capability
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
    later = notes.version >= _NVFP4_EVERYWHERE_SINCE
    if dtype == "nvfp4" and major not in (_NVFP4_LATER if later else _NVFP4_FIRST):
        notes.refuse(
            f"No valid attention backend found for cuda with kv_cache_dtype=nvfp4 on compute "
            f"capability {major}.{minor}.",
            "--kv-cache-dtype fp8" if major >= 8 else "--kv-cache-dtype auto",
        )
