"""Which --quantization a release takes on which checkpoint, GPU and dtype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.models.sources import load_model

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
SPARSE = {"sparsity_config": {"format": "sparse-24-bitmask", "targets": ["Linear"]}}
PACKED = {
    "quant_method": "compressed-tensors",
    "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
}


def launch_of(
    quantization: str = "auto",
    *,
    model: str = "Qwen/Qwen3-8B",
    gpu: str = "H100",
    version: str | None = None,
    section: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Launch:
    found = load_model(model, source="catalog")
    request = StartupRequest(model=model, vllm_version=version, quantization=quantization, **fields)
    config = dict(found.config)
    if section is not None:
        config["quantization_config"] = section
    card = find_gpu(gpu)
    return resolve_launch(request, found.architecture, card, config=config, extra=extra)


def message_of(*given: Any, **named: Any) -> str:
    """Why it is refused, "" where it is not."""
    return " ".join(problem.message for problem in launch_of(*given, **named).problems)


@pytest.mark.parametrize(
    "name", ["awq", "awq_marlin", "gptq", "auto_gptq", "modelopt", "modelopt_fp4"]
)
def test_a_method_that_loads_what_is_stored_needs_a_quantised_checkpoint(name: str) -> None:
    assert message_of(name).startswith(f"Cannot find the config file for {name}")


def test_compressed_tensors_cannot_be_made_without_its_config() -> None:
    assert "compressed-tensors" in message_of("compressed-tensors")


@pytest.mark.parametrize("name", ["nvfp4", "int8", "int4", "w4a16", "nonsense", "none-such"])
def test_a_word_that_is_no_method_is_unknown(name: str) -> None:
    assert message_of(name).startswith(f"Unknown quantization method: {name}.")


@pytest.mark.parametrize(
    ("name", "version", "taken"),
    [
        ("fp8", "0.8.5", True),
        ("fp8_per_tensor", "0.19.1", False),
        ("fp8_per_tensor", "0.20.0", True),
        ("fp8_per_channel", "0.23.0", False),
        ("fp8_per_channel", "0.33.0", True),
        ("int8_per_channel_weight_only", "0.33.0", True),
        ("nvfp4_per_token", "0.25.1", False),
        ("nvfp4_per_token", "0.33.0", True),
        ("mxfp8", "0.33.0", True),
        ("mxfp4", "0.10.0", False),
        ("mxfp4", "0.33.0", True),
        ("bitsandbytes", "0.27.1", True),
        ("bitsandbytes", "0.28.0", False),
    ],
)
def test_online_methods_come_and_go(name: str, version: str, taken: bool) -> None:
    assert (message_of(name, version=version) == "") is taken


def test_a_later_method_names_its_release() -> None:
    assert "vLLM 0.24.0 or later has it" in message_of("fp8_per_channel", version="0.20.0")


def test_what_quantises_experts_alone_leaves_a_dense_model_in_16_bit() -> None:
    launch = launch_of("mxfp4", version="0.19.0")
    assert launch.quantization == "none" and launch.problems == ()
    assert any("16 bit" in warning for warning in launch.warnings)
    (problem,) = launch_of("mxfp4", model="Qwen/Qwen3-30B-A3B", version="0.19.0").problems
    assert problem.kind == "not_modelled"


def test_nvfp4_of_experts_is_for_datacentre_blackwell() -> None:
    mixture = "Qwen/Qwen3-30B-A3B"
    assert "requires a Blackwell (SM100) GPU" in message_of("nvfp4_per_token", model=mixture)
    assert message_of("nvfp4_per_token", model=mixture, gpu="B200") == ""


@pytest.mark.parametrize(
    ("model", "name", "taken"),
    [
        ("Qwen/Qwen3-32B-AWQ", "awq", True),
        ("Qwen/Qwen3-32B-AWQ", "awq_marlin", True),
        ("Qwen/Qwen3-32B-AWQ", "fp8", False),
        ("Qwen/Qwen3-32B-FP8", "fp8", True),
        ("Qwen/Qwen3-32B-FP8", "fp8_per_tensor", False),
        ("openai/gpt-oss-20b", "mxfp4", True),
        ("openai/gpt-oss-20b", "awq", False),
        ("nvidia/Qwen3-235B-A22B-NVFP4", "modelopt_fp4", True),
    ],
)
def test_the_method_asked_for_must_be_the_checkpoints(model: str, name: str, taken: bool) -> None:
    message = message_of(name, model=model)
    assert (message == "") is taken
    assert taken or "does not match the quantization method specified" in message


def test_a_deprecated_method_needs_a_flag() -> None:
    section = {"quant_method": "fbgemm_fp8"}
    (problem,) = launch_of(section=section).problems
    assert problem.remedies == ("--allow-deprecated-quantization",)
    assert launch_of(section=section, extra={"allow_deprecated_quantization": True}).problems == ()
    assert launch_of(section=section, version="0.13.0").problems == ()


def test_a_stored_method_the_release_lacks_is_unsupported() -> None:
    (problem,) = launch_of(model="openai/gpt-oss-20b", version="0.10.0").problems[-1:]
    assert problem.message.startswith("Unknown quantization method: mxfp4.")
    assert problem.kind == "unsupported" and problem.remedies[0] == "vLLM 0.10.1 or later"


@pytest.mark.parametrize(
    ("changes", "version", "said"),
    [
        ({}, "0.33.0", ""),
        ({"bits": 8}, "0.33.0", ""),
        ({"bits": 3}, "0.33.0", "Unsupported quantization config: bits=3, sym=True"),
        ({"sym": False}, "0.33.0", "Unsupported quantization config: bits=4, sym=False"),
        ({"group_size": 16}, "0.33.0", "Marlin does not support group_size = 16"),
        ({"bits": 5}, "0.21.0", "only 2/3/4/8-bit weight quantization is supported for GPTQ"),
    ],
)
def test_gptq_has_kernels_for_some_bits(changes: dict[str, Any], version: str, said: str) -> None:
    message = message_of(section={**GPTQ, **changes}, version=version, dtype="float16")
    assert said in message and bool(said) == bool(message)


def test_before_marlin_alone_odd_gptq_ran_in_float16() -> None:
    section = {**GPTQ, "bits": 3}
    assert message_of(section=section, version="0.21.0", dtype="float16") == ""
    refused = launch_of(section=section, version="0.21.0").problems[0]
    assert refused.message == (
        "torch.bfloat16 is not supported for quantization method gptq. Supported dtypes: "
        "[torch.float16]"
    )
    assert refused.remedies == ("--dtype float16",)


@pytest.mark.parametrize(
    ("version", "said"), [("0.33.0", "Unsupported num_bits = 8"), ("0.19.0", "only 4-bit")]
)
def test_awq_has_4_bits(version: str, said: str) -> None:
    assert said in message_of(section={**AWQ, "bits": 8}, version=version, dtype="float16")


@pytest.mark.parametrize(("version", "refused"), [("0.21.0", False), ("0.22.0", True)])
def test_sparsity_left_compressed_tensors(version: str, refused: bool) -> None:
    assert ("without sparsity" in message_of(section={**PACKED, **SPARSE}, version=version)) is (
        refused
    )
    dense: dict[str, Any] = {**PACKED, "sparsity_config": {"format": "dense", "targets": []}}
    assert message_of(section=dense, version=version) == ""


@pytest.mark.parametrize(
    ("model", "gpu", "version", "said"),
    [
        ("Qwen/Qwen3-32B-AWQ", "Tesla V100 PCIe 32GB", "0.19.0", "Minimum capability: 75"),
        ("Qwen/Qwen3-32B-AWQ", "T4", "0.19.0", ""),
        ("Qwen/Qwen3-32B-FP8", "T4", "0.13.0", "Minimum capability: 80"),
        ("Qwen/Qwen3-32B-FP8", "T4", "0.14.0", ""),
        ("openai/gpt-oss-20b", "T4", "0.33.0", "Minimum capability: 80"),
        ("nvidia/Llama-3.1-70B-Instruct-FP8", "A100 SXM4 80GB", "0.26.0", "capability: 89"),
        ("nvidia/Llama-3.1-70B-Instruct-FP8", "A100 SXM4 80GB", "0.27.0", ""),
    ],
)
def test_methods_need_a_capability_by_release(
    model: str, gpu: str, version: str, said: str
) -> None:
    message = message_of(model=model, gpu=gpu, version=version)
    assert said in message and bool(said) == bool(message)
