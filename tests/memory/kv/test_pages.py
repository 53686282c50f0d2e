"""Bytes of one token in the packed KV dtypes, counted from vLLM's layouts."""

from __future__ import annotations

import pytest

from vllm_preflight.memory.kv.pages import KvLaunch, attention_token_bytes, latent_token_bytes
from vllm_preflight.models.architecture import AttentionCache, LatentCache


def launch(dtype: str) -> KvLaunch:
    return KvLaunch("bfloat16", dtype, 1, (10, 0))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("auto", 8 * 256 * 2),
        ("fp8", 8 * 256),
        # Data of one byte an element, and a float32 scale for keys and one for values.
        ("int8_per_token_head", 8 * (256 + 8)),
        ("fp8_per_token_head", 8 * (256 + 8)),
        ("int4_per_token_head", 8 * (128 + 8)),
        # Two elements a byte, and a scale of one byte for 16 of them.
        ("nvfp4", 8 * (128 + 16)),
        ("nvfp4_4over6", 8 * (128 + 16)),
    ],
)
def test_attention_of_eight_heads_of_128(dtype: str, expected: int) -> None:
    assert attention_token_bytes(AttentionCache(8, 128, 128, 32), launch(dtype)) == expected


@pytest.mark.parametrize(
    ("dtype", "expected"), [("auto", 1152), ("fp8_ds_mla", 656), ("nvfp4_ds_mla", 352)]
)
def test_latent_rows_of_512_and_64(dtype: str, expected: int) -> None:
    assert latent_token_bytes(LatentCache(16, 512, 64, 128, 128), launch(dtype)) == expected
