"""Which KV cache dtypes a release takes, and which of them are sized here.

Source: vLLM config/cache.py (CacheDType) of the wheels named in quantization.json.
"""

from __future__ import annotations

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.launch.acceptance.tables import names_in, releases_with, table
from vllm_preflight.launch.notes import Notes

# Layouts whose bytes per token are described in memory.kv.pages.
_SIZED = frozenset(
    {"auto", "bfloat16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "fp8_ds_mla", "nvfp4"}
)


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
