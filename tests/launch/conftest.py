"""A plain model, its variations, and the GPUs whose defaults differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    StateCache,
)

ATTENTION = AttentionCache(num_kv_heads=8, head_dim=128, head_dim_v=128, num_heads=32)
STATE = StateCache(kind="mamba2", conv_channels=4096, conv_kernel=4, state_shape=(64, 64, 128))

LLAMA = Architecture(
    model_type="llama",
    architecture="LlamaForCausalLM",
    dtype="bfloat16",
    hidden_size=4096,
    vocab_size=128256,
    max_position=131072,
    num_attention_heads=32,
    num_kv_heads=8,
    embeddings=(),
    layers=(Layer((ATTENTION,), ()),) * 32,
    head=(),
    tied_embeddings=False,
)
HYBRID = replace(
    LLAMA,
    model_type="granitemoehybrid",
    layers=(Layer((STATE,), ()), Layer((ATTENTION,), ())) * 16,
)
ENCODER = replace(
    LLAMA,
    model_type="bert",
    architecture="BertModel",
    dtype="float32",
    max_position=8194,
    task="embed",
    layers=(Layer((replace(ATTENTION, kind="encoder_only"),), ()),) * 12,
)


def make_gpu(name: str, gib: float, capability: tuple[int, int]) -> Gpu:
    """A GPU of which only what the defaults look at is set."""
    return Gpu(name, "NVIDIA", int(gib * 2**30), "measured", compute_capability=capability)


H100 = make_gpu("H100-80GB-SXM", 79.19, (9, 0))
A100 = make_gpu("A100-80GB-SXM", 79.25, (8, 0))
L40S = make_gpu("L40S", 44.4, (8, 9))
T4 = make_gpu("T4", 14.56, (7, 5))
B200 = make_gpu("B200", 178.4, (10, 0))
GB10 = make_gpu("GB10", 119.7, (12, 1))

Resolve = Callable[..., Launch]


@pytest.fixture
def resolve() -> Resolve:
    """resolve_launch with a plain model on an H100 unless told otherwise."""

    def run(
        architecture: Architecture = LLAMA,
        gpu: Gpu = H100,
        *,
        extra: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
        checkpoint_kv_cache_dtype: str | None = None,
        **fields: Any,
    ) -> Launch:
        return resolve_launch(
            StartupRequest.model_validate({"model": "any", **fields}),
            architecture,
            gpu,
            extra=extra,
            environment=environment,
            config=config,
            checkpoint_kv_cache_dtype=checkpoint_kv_cache_dtype,
        )

    return run


@pytest.fixture
def models() -> dict[str, Architecture]:
    """A plain decoder, a hybrid of state and attention, and an encoder."""
    return {"llama": LLAMA, "hybrid": HYBRID, "encoder": ENCODER}


@pytest.fixture
def gpus() -> dict[str, Gpu]:
    """GPUs whose defaults or dtypes differ."""
    return {gpu.name: gpu for gpu in (H100, A100, L40S, T4, B200, GB10)}
