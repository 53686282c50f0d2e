"""GPUs that a release has no kernels for, vendors not described, KV cache dtypes."""

from __future__ import annotations

import pytest
from tests.launch.acceptance.test_methods import launch_of

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.launch.acceptance.tables import names_in, table
from vllm_preflight.launch.versions import NEWEST_KNOWN


def test_the_kernels_of_new_releases_begin_at_turing() -> None:
    (problem,) = launch_of(gpu="Tesla V100 PCIe 32GB").problems
    assert problem.kind == "unsupported"
    assert "no kernel image is available" in problem.message and "7.5" in problem.message
    assert problem.remedies == ("vLLM 0.19.1",)
    assert launch_of(gpu="Tesla V100 PCIe 32GB", version="0.19.1").problems == ()


def test_pascal_never_had_kernels() -> None:
    (problem,) = launch_of(gpu="P40", version="0.11.0").problems
    assert problem.kind == "unsupported" and problem.remedies == ()


@pytest.mark.parametrize(
    ("gpu", "version", "warned"),
    [("B200", "0.8.5", True), ("B200", "0.9.0", False), ("RTX 5090", "0.9.0", True),
     ("RTX 5090", "0.9.2", False), ("B300", "0.33.0", False), ("GB10", "0.33.0", False)],
)  # fmt: skip
def test_a_gpu_newer_than_the_kernels_is_warned_of(gpu: str, version: str, warned: bool) -> None:
    launch = launch_of(gpu=gpu, version=version)
    assert launch.problems == ()
    assert any("only a build from source" in text for text in launch.warnings) is warned


@pytest.mark.parametrize("gpu", ["MI300X", "TPU v6e", "Gaudi 3", "Arc B580", "Ascend 910B1"])
def test_other_vendors_are_not_modelled(gpu: str) -> None:
    (problem,) = launch_of(gpu=gpu).problems
    assert problem.kind == "not_modelled"


@pytest.mark.parametrize(
    ("dtype", "version", "taken"),
    [
        ("auto", "0.8.4", True),
        ("fp8", "0.10.0", True),
        ("bfloat16", "0.10.2", False),
        ("bfloat16", "0.11.0", True),
        ("float16", "0.17.1", False),
        ("float16", "0.18.0", True),
        ("fp8_per_token_head", "0.19.1", False),
        ("int4_per_token_head", "0.24.0", False),
        ("nvfp4", "0.19.1", False),
        ("int8", "0.32.0", False),
    ],
)
def test_kv_cache_dtypes_by_release(dtype: str, version: str, taken: bool) -> None:
    problems = launch_of(version=version, kv_cache_dtype=dtype).problems
    assert (problems == ()) is taken
    assert taken or f"invalid choice: '{dtype}'" in problems[0].message


@pytest.mark.parametrize(
    ("dtype", "meant"), [("bf16", "bfloat16"), ("fp16", "float16"), ("int8", "fp8")]
)
def test_a_short_name_is_no_kv_cache_dtype(dtype: str, meant: str) -> None:
    (problem,) = launch_of(version="0.33.0", kv_cache_dtype=dtype).problems
    assert problem.message.startswith(f"Invalid kv_cache_dtype: {dtype!r}. Valid values are: [")
    assert problem.remedies[0] == f"--kv-cache-dtype {meant}"


def test_a_dtype_that_vllm_has_and_nobody_sizes_is_not_guessed() -> None:
    with pytest.raises(UnsupportedArchitecture, match="turboquant_k8v4"):
        launch_of(kv_cache_dtype="turboquant_k8v4")
    (problem,) = launch_of(kv_cache_dtype="turboquant_k8v4", version="0.19.0").problems
    assert problem.remedies[-1] == "vLLM 0.20.0 or later"


@pytest.mark.parametrize(
    ("dtype", "gpu", "version", "taken"),
    [
        ("fp8", "T4", "0.23.0", True),
        ("fp8", "T4", "0.24.0", False),
        ("fp8", "A100 SXM4 80GB", "0.33.0", True),
        ("nvfp4", "H100", "0.31.0", False),
        ("nvfp4", "H100", "0.33.0", True),
        ("nvfp4", "B200", "0.20.0", True),
        ("nvfp4", "T4", "0.33.0", False),
        ("nvfp4_4over6", "H100", "0.33.0", False),
        ("nvfp4_4over6", "B200", "0.28.0", True),
        ("int8_per_token_head", "RTX 3090", "0.33.0", True),
        ("int4_per_token_head", "H100", "0.25.0", True),
        ("fp8_per_token_head", "RTX 3090", "0.33.0", False),
        ("fp8_per_token_head", "L40S", "0.20.0", True),
        # Their kernels are for ROCm.
        ("octave_k3v3", "H100", "0.33.0", False),
        ("ultraquant_4bit", "H100", "0.33.0", False),
        # Qwen3 is in bfloat16; refused since 0.33.
        ("float16", "H100", "0.32.0", True),
        ("float16", "H100", "0.33.0", False),
    ],
)
def test_kv_cache_dtypes_need_a_back_end(dtype: str, gpu: str, version: str, taken: bool) -> None:
    problems = launch_of(gpu=gpu, version=version, kv_cache_dtype=dtype).problems
    assert (problems == ()) is taken


def test_every_dtype_of_the_newest_release_can_be_asked_for() -> None:
    newest = names_in(table("quantization")["kv_cache_dtypes"], NEWEST_KNOWN)
    assert len(newest) == 22
    for dtype in newest:
        assert StartupRequest(model="m", kv_cache_dtype=dtype).kv_cache_dtype == dtype  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gpu", "version", "taken"),
    [
        ("H200", "0.11.0", True),
        ("B200", "0.33.0", True),
        ("A100 SXM4 80GB", "0.33.0", False),
        ("L40S", "0.33.0", False),
        ("RTX PRO 6000 Server", "0.23.0", False),
        ("RTX PRO 6000 Server", "0.24.0", True),
    ],
)
def test_sparse_latent_attention_has_kernels_on_some_gpus(
    gpu: str, version: str, taken: bool
) -> None:
    launch = launch_of(model="deepseek-ai/DeepSeek-V3.2", gpu=gpu, version=version)
    found = any("use_sparse=True" in problem.message for problem in launch.problems)
    assert found is not taken


def test_the_layout_of_latent_attention_is_for_latent_attention() -> None:
    (problem,) = launch_of(kv_cache_dtype="fp8_ds_mla").problems
    assert "use_mla=False" in problem.message
    latent = launch_of(model="deepseek-ai/DeepSeek-V3.2", kv_cache_dtype="fp8_ds_mla", gpu="H200")
    assert latent.problems == ()


@pytest.mark.parametrize(
    ("model", "dtype", "gpu", "said"),
    [
        ("deepseek-ai/DeepSeek-V3.2", "nvfp4_ds_mla", "B200", None),
        ("deepseek-ai/DeepSeek-V3.2", "nvfp4_ds_mla", "H200", "compute capability 9.0"),
        ("deepseek-ai/DeepSeek-V2-Lite", "fp8_ds_mla", "H200", "use_sparse=False"),
        ("deepseek-ai/DeepSeek-V2-Lite", "nvfp4", "B200", "not supported with MLA"),
    ],
)
def test_latent_caches_have_dtypes_of_their_own(
    model: str, dtype: str, gpu: str, said: str | None
) -> None:
    messages = [p.message for p in launch_of(model=model, kv_cache_dtype=dtype, gpu=gpu).problems]
    assert (messages == []) if said is None else any(said in message for message in messages)


def test_a_checkpoint_with_scales_takes_no_cache_in_e5m2() -> None:
    (problem,) = launch_of(model="Qwen/Qwen3-8B-FP8", kv_cache_dtype="fp8_e5m2").problems
    assert problem.message == "fp8_e5m2 kv-cache is not supported with fp8 checkpoints."
    assert launch_of(kv_cache_dtype="fp8_e5m2").problems == ()


@pytest.mark.parametrize(
    "model", ["deepseek-ai/DeepSeek-V2-Lite", "Qwen/Qwen3-Next-80B-A3B-Instruct"]
)
def test_scales_per_token_beside_latents_or_states_are_not_guessed(model: str) -> None:
    with pytest.raises(UnsupportedArchitecture, match="int8_per_token_head"):
        launch_of(model=model, kv_cache_dtype="int8_per_token_head")
