from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.architecture import (
    Architecture,
    IndexerCache,
    LatentCache,
    Layer,
    Weight,
)

Resolve = Callable[..., Launch]
Models = dict[str, Architecture]
Gpus = dict[str, Gpu]

LATENT = LatentCache(128, 512, 64, 128, 128)


@pytest.mark.parametrize(
    ("stored", "card", "version", "dtype"),
    [
        ("bfloat16", "H100-80GB-SXM", "0.33.0", "bfloat16"),
        ("float16", "H100-80GB-SXM", "0.33.0", "float16"),
        ("float32", "H100-80GB-SXM", "0.33.0", "bfloat16"),
        ("float32", "T4", "0.33.0", "float16"),
        ("bfloat16", "T4", "0.33.0", "float16"),
        ("", "H100-80GB-SXM", "0.33.0", "bfloat16"),
        ("float32", "H100-80GB-SXM", "0.8.5", "float16"),
    ],
)
def test_auto_is_the_checkpoints_dtype_in_sixteen_bits(
    resolve: Resolve,
    models: Models,
    gpus: Gpus,
    stored: str,
    card: str,
    version: str,
    dtype: str,
) -> None:
    model = replace(models["llama"], dtype=stored)
    launch = resolve(model, gpus[card], vllm_version=version)
    assert launch.dtype == dtype
    assert launch.problems == ()


def test_bfloat16_needs_capability_8(resolve: Resolve, gpus: Gpus) -> None:
    (problem,) = resolve(gpu=gpus["T4"], dtype="bfloat16").problems
    assert problem.message.startswith("Bfloat16 is only supported on GPUs with compute capability")
    assert "Your T4 GPU has compute capability 7.5" in problem.message
    # Before 0.8.5 not even a bfloat16 checkpoint was cast.
    assert resolve(gpu=gpus["T4"], vllm_version="0.8.4").problems
    assert not resolve(gpu=gpus["T4"], vllm_version="0.10.2").problems


def test_gemma_never_runs_in_float16(resolve: Resolve, models: Models, gpus: Gpus) -> None:
    gemma = replace(models["llama"], model_type="gemma2")
    assert "does not support float16" in resolve(gemma, dtype="half").problems[0].message
    assert resolve(gemma, gpus["T4"]).dtype == "float32"


def test_a_pooling_models_float32_becomes_float16(resolve: Resolve, models: Models) -> None:
    decoder = replace(models["llama"], dtype="float32")
    assert resolve(decoder, extra={"runner": "pooling"}).dtype == "float16"


@pytest.mark.parametrize(("given", "full"), [("half", "float16"), ("bf16", "bfloat16")])
def test_short_names_are_written_out(resolve: Resolve, given: str, full: str) -> None:
    assert resolve(dtype=given).dtype == full


def test_the_kv_cache_follows_the_user_then_the_checkpoint(resolve: Resolve) -> None:
    assert resolve(kv_cache_dtype="fp8").kv_cache_dtype == "fp8"
    assert resolve(checkpoint_kv_cache_dtype="fp8_e4m3").kv_cache_dtype == "fp8_e4m3"
    given = resolve(kv_cache_dtype="bfloat16", checkpoint_kv_cache_dtype="fp8_e4m3")
    assert given.kv_cache_dtype == "bfloat16"


def test_sparse_latent_caches_have_a_format_of_their_own(
    resolve: Resolve, models: Models, gpus: Gpus
) -> None:
    layer = Layer((replace(LATENT, sparse=True), IndexerCache(128)), ())
    model = replace(models["llama"], layers=(layer,) * 4, architecture="GlmMoeDsaForCausalLM")
    assert resolve(model, kv_cache_dtype="fp8").kv_cache_dtype == "fp8_ds_mla"
    assert resolve(model).kv_cache_dtype == "auto"
    assert resolve(model, gpus["B200"]).kv_cache_dtype == "fp8_e4m3"


@pytest.mark.parametrize("kind", ["latent", "sinks", "wide"])
def test_fp8_caches_that_only_triton_could_read_need_capability_8_9(
    resolve: Resolve, models: Models, gpus: Gpus, kind: str
) -> None:
    (cache,) = models["llama"].layers[0].caches
    layers = {
        "latent": Layer((LATENT,), ()),
        "sinks": Layer((cache,), (Weight("self_attn.sinks", 32),)),
        "wide": Layer((replace(cache, head_dim=512, head_dim_v=512),), ()),  # pyright: ignore[reportCallIssue]
    }
    model = replace(models["llama"], layers=(layers[kind],) * 4)
    (problem,) = resolve(model, gpus["A100-80GB-SXM"], kv_cache_dtype="fp8").problems
    assert "FP8 KV cache is not supported" in problem.message
    assert resolve(model, gpus["L40S"], kv_cache_dtype="fp8").problems == ()
    assert resolve(model, gpus["A100-80GB-SXM"]).problems == ()
    assert resolve(gpu=gpus["A100-80GB-SXM"], kv_cache_dtype="fp8").problems == ()
