from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.base.errors import InvalidRequest, UnsupportedArchitecture
from vllm_preflight.models.config_files import with_modelopt
from vllm_preflight.models.quantization import read_quantization
from vllm_preflight.models.quantization_requests import REQUESTABLE, requested
from vllm_preflight.models.weight_scheme import Quantization, WeightScheme, normal_path

ATTENTION = "model.layers.3.self_attn.q_proj"
DOWN = "model.layers.3.mlp.down_proj"
EXPERT = "model.layers.3.mlp.experts.down_proj"


def read(**section: Any) -> Quantization:
    return read_quantization({"model_type": "llama", "quantization_config": section})


def compressed(weights: dict[str, Any], inputs: Any = None, **section: Any) -> Quantization:
    group = {"weights": weights, "input_activations": inputs, "targets": ["Linear"]}
    return read(quant_method="compressed-tensors", config_groups={"group_0": group}, **section)


def scheme_of(quantization: Quantization, path: str = DOWN) -> WeightScheme:
    scheme = quantization.scheme(path)
    assert scheme is not None
    return scheme


def test_a_config_without_the_section_is_not_quantised():
    plain = read_quantization({"model_type": "llama"})
    assert plain == Quantization()
    assert plain.scheme(DOWN) is None


def test_fp8_block_and_per_tensor_are_told_apart():
    block = read(quant_method="fp8", weight_block_size=[128, 128], activation_scheme="dynamic")
    assert scheme_of(block).block == (128, 128)
    assert block.label == "FP8 block 128x128"
    static = read(quant_method="fp8", weight_block_size=None, activation_scheme="static")
    assert scheme_of(static) == WeightScheme("fp8_tensor", static_inputs=True)


def test_the_section_is_found_in_the_text_config():
    section = {"quant_method": "awq", "bits": 4, "group_size": 64}
    nested = read_quantization({"text_config": {"quantization_config": section}})
    assert nested.label == "AWQ INT4 group 64"
    assert scheme_of(nested).zero_points


def test_awq_and_gptq_differ_in_zero_points_and_order():
    awq = scheme_of(read(quant_method="awq", bits=4, group_size=128, zero_point=True))
    gptq = read(quant_method="gptq", bits=4, group_size=128, desc_act=True, sym=True)
    assert (awq.zero_points, awq.act_order) == (True, False)
    assert (scheme_of(gptq).zero_points, scheme_of(gptq).act_order) == (False, True)
    per_channel = scheme_of(read(quant_method="gptq", bits=8, group_size=-1))
    assert (per_channel.bits, per_channel.group_size) == (8, 0)


def test_embeddings_and_head_stay_in_16_bit_unless_the_scheme_says_so():
    plain = read(quant_method="gptq", bits=4, group_size=128)
    with_head = read(quant_method="gptq", bits=4, group_size=128, lm_head=True)
    assert plain.scheme("lm_head", head=True) is None
    assert with_head.scheme("lm_head", head=True) is not None


@pytest.mark.parametrize(
    ("pattern", "path", "kept"),
    [
        ("lm_head", DOWN, False),
        ("model.layers.3.mlp.down_proj", DOWN, True),
        ("model.layers.30.mlp.down_proj", DOWN, False),
        ("model.layers.3.mlp", DOWN, True),
        ("re:.*self_attn.*", ATTENTION, True),
        ("re:.*self_attn.*", DOWN, False),
        (r"re:.*mlp\.(gate|up|gate_up|down)_proj.*", EXPERT, False),
        ("model.layers.*.self_attn", ATTENTION, True),
        ("language_model.model.layers.3.self_attn*", ATTENTION, True),
        ("gate", "model.layers.3.mlp.gate_proj", False),
        ("gate", "model.layers.3.mlp.gate", True),
        ("model.layers.3.block_sparse_moe.experts", EXPERT, True),
        ("model.layers.3.mlp.experts.17.down_proj", EXPERT, True),
        ("model.layers.3.mlp.shared_expert", "model.layers.3.mlp.shared_experts.up_proj", True),
    ],
)
def test_excluded_modules(pattern: str, path: str, kept: bool):
    quantization = read(quant_method="fp8", modules_to_not_convert=[pattern])
    assert (quantization.scheme(path, expert=path == EXPERT) is None) is kept


def test_joined_projections_are_known_by_their_joint_name():
    joined = read(quant_method="fp8", ignored_layers=["model.layers.3.self_attn.qkv_proj"])
    assert joined.scheme(ATTENTION) is not None
    assert joined.scheme(ATTENTION, fused="model.layers.3.self_attn.qkv_proj") is None


@pytest.mark.parametrize("name", ["w2", "down_proj"])
def test_experts_are_known_by_either_of_their_names(name: str):
    mixed = read(
        quant_method="modelopt",
        quant_algo="MIXED_PRECISION",
        quantized_layers={
            f"model.layers.3.block_sparse_moe.experts.5.{name}": {"quant_algo": "NVFP4"}
        },
    )
    assert mixed.scheme(EXPERT, expert=True) is not None


def test_only_numbered_rules_depend_on_the_layer():
    assert read(quant_method="fp8", ignored_layers=["model.layers.3.mlp"]).depends_on_layer
    assert not read(quant_method="fp8", ignored_layers=["lm_head", "re:.*mlp.*"]).depends_on_layer


@pytest.mark.parametrize(
    ("weights", "inputs", "label"),
    [
        ({"num_bits": 4, "type": "int", "group_size": 32}, None, "INT4 group 32"),
        ({"num_bits": 8, "type": "int"}, None, "INT8 per channel"),
        ({"num_bits": 8, "type": "int"}, {"num_bits": 8}, "INT8 per channel"),
        ({"num_bits": 8, "type": "float", "strategy": "channel"}, {}, "FP8 per channel"),
        ({"num_bits": 8, "type": "float", "strategy": "tensor"}, {}, "FP8 per tensor"),
        ({"num_bits": 4, "type": "float", "group_size": 16}, {"num_bits": 4}, "NVFP4"),
        ({"num_bits": 4, "type": "float", "group_size": 32}, None, "MXFP4"),
    ],
)
def test_compressed_tensors_schemes(weights: dict[str, Any], inputs: Any, label: str):
    assert compressed(weights, inputs).label == f"compressed-tensors {label}"


def test_compressed_tensors_integer_weights_differ_with_their_activations():
    weights = {"num_bits": 8, "type": "int", "strategy": "channel"}
    assert scheme_of(compressed(weights)).kind == "int_group"
    assert scheme_of(compressed(weights, {"num_bits": 8})).kind == "int8_channel"


def test_compressed_tensors_targets_and_cache():
    groups = {
        "group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}},
        "group_1": {
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
            "targets": ["re:.*self_attn.*"],
        },
    }
    read_groups = read(
        quant_method="compressed-tensors",
        config_groups=groups,
        kv_cache_scheme={"num_bits": 8, "type": "float"},
    )
    assert scheme_of(read_groups, DOWN).kind == "int_group"
    assert scheme_of(read_groups, ATTENTION).kind == "fp8_channel"
    assert read_groups.kv_cache_dtype == "fp8"


def test_modelopt_files_are_merged_and_imply_the_cache():
    merged = with_modelopt(
        {"model_type": "llama"},
        {
            "quantization": {
                "quant_algo": "FP8",
                "kv_cache_quant_algo": "FP8",
                "exclude_modules": ["lm_head"],
            }
        },
    )
    quantization = read_quantization(merged)
    assert (quantization.method, quantization.kv_cache_dtype) == ("modelopt", "fp8_e4m3")
    assert quantization.label == "ModelOpt FP8 per tensor"


def test_modelopt_mixed_precision_goes_module_by_module():
    mixed = read(
        quant_method="modelopt",
        quant_algo="MIXED_PRECISION",
        quantized_layers={
            "model.layers.3.self_attn.q_proj": {"quant_algo": "FP8"},
            "model.layers.3.mlp.experts": {"quant_algo": "W4A16_NVFP4", "group_size": 16},
        },
    )
    assert scheme_of(mixed, ATTENTION).kind == "fp8_tensor"
    expert = mixed.scheme(EXPERT, expert=True)
    assert expert is not None and expert.weight_only and expert.kind == "nvfp4"
    assert mixed.scheme(DOWN) is None


def test_mxfp4_is_for_experts_alone():
    mxfp4 = read(quant_method="mxfp4", modules_to_not_convert=["model.layers.*.self_attn"])
    assert mxfp4.scheme(DOWN) is None
    assert mxfp4.scheme(EXPERT, expert=True) is not None


def test_fp8_checkpoints_with_fp4_experts_say_so():
    config = {
        "expert_dtype": "fp4",
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    }
    quantization = read_quantization(config)
    expert = quantization.scheme("model.layers.3.ffn.experts.down_proj", expert=True)
    assert expert is not None and expert.kind == "mxfp4"
    assert scheme_of(quantization, "model.layers.3.ffn.shared_experts.up_proj").kind == "fp8_block"


def test_fp8_quantises_an_encoder_that_is_only_excluded_as_a_whole():
    whole = read(quant_method="fp8", modules_to_not_convert=["model.vision_tower"])
    inside = read(quant_method="fp8", modules_to_not_convert=["model.visual.blocks.0.attn.proj"])
    assert whole.encoder_scheme is not None
    assert inside.encoder_scheme is None
    assert read(quant_method="awq").encoder_scheme is None


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"quant_method": "aqlm"}, "quant_method"),
        ({"quant_method": "gguf"}, "quant_method"),
        ({"quant_method": "hqq"}, "quant_method"),
        ({"quant_method": "gptq", "bits": 5}, "bits"),
        ({"quant_method": "modelopt", "quant_algo": "W3A3"}, "quant_algo"),
        ({"quant_method": "quark"}, "global_quant_config"),
    ],
)
def test_unknown_schemes_are_refused_with_their_keys(section: dict[str, Any], key: str):
    with pytest.raises(UnsupportedArchitecture) as refusal:
        read(**section)
    assert any(key in name for name in refusal.value.keys)
    assert refusal.value.hint


def test_an_online_request_quantises_a_16_bit_checkpoint():
    online = requested(Quantization(), "fp8")
    assert online.online
    assert scheme_of(online).kind == "fp8_tensor"
    assert online.scheme("lm_head", head=True) is None


def test_an_offline_request_means_such_a_checkpoint():
    awq = requested(Quantization(), "awq_marlin")
    assert awq.label == "AWQ INT4 group 128"
    assert not awq.online


def test_the_checkpoints_own_scheme_is_kept_when_named():
    own = read(quant_method="gptq", bits=8, group_size=128)
    for name in (None, "auto", "gptq", "gptq_marlin"):
        assert requested(own, name) is own
    assert requested(own, "none") == Quantization()


def test_mixing_schemes_is_refused():
    with pytest.raises(InvalidRequest, match="quantised already"):
        requested(read(quant_method="awq"), "fp8")


def test_methods_nobody_sizes_are_not_modelled():
    with pytest.raises(UnsupportedArchitecture, match="humming"):
        requested(Quantization(), "humming")
    with pytest.raises(UnsupportedArchitecture):
        requested(Quantization(), "gguf")


def test_every_requestable_scheme_has_a_label_and_can_key_a_cache():
    found = {requested(Quantization(), name) for name in REQUESTABLE}
    assert all(quantization.label for quantization in found)
    assert len(found) == len(REQUESTABLE) - 1  # auto and none are the same here


_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.text(max_size=6),
    st.lists(st.one_of(st.integers(-1, 200), st.text(max_size=4)), max_size=3),
    st.sampled_from(
        ["re:(", "re:*", "[", "fp8", "NVFP4", "float", "int", "block", "MIXED_PRECISION"]
    ),
    st.dictionaries(st.sampled_from(["weights", "targets", "num_bits"]), st.integers(), max_size=2),
)


@given(
    method=st.sampled_from(
        ["fp8", "awq", "gptq", "compressed-tensors", "modelopt", "quark", "auto-round", "", "mxfp4"]
    ),
    values=st.dictionaries(
        st.sampled_from(
            [
                "bits",
                "group_size",
                "weight_block_size",
                "ignore",
                "modules_to_not_convert",
                "config_groups",
                "quant_algo",
                "quantized_layers",
                "kv_cache_scheme",
                "desc_act",
                "extra_config",
                "global_quant_config",
                "kv_cache_quant_algo",
                "exclude_modules",
            ]
        ),
        st.one_of(_ODD, st.lists(_ODD, max_size=2)),
        max_size=4,
    ),
)
def test_odd_sections_are_read_or_refused(method: str, values: dict[str, Any]):
    try:
        quantization = read(quant_method=method, **values)
        quantization.scheme(DOWN)
    except UnsupportedArchitecture as refusal:
        assert refusal.keys


def test_paths_are_compared_without_wrappers():
    assert normal_path("model.language_model.layers.3.mlp.experts.17.up_proj") == (
        "layers.3.mlp.experts.up_proj"
    )
    assert normal_path("layers.3.ffn.experts") == "layers.3.mlp.experts"


def test_every_collected_config_is_read(shared_dir: Path):
    lines = (shared_dir / "data" / "models" / "configs.jsonl").read_text(encoding="utf-8")
    labels = {
        row["model"]: read_quantization(row["config"]).label
        for row in map(json.loads, lines.splitlines())
    }
    assert labels["Qwen/Qwen3-32B-FP8"] == "FP8 block 128x128"
    assert labels["moonshotai/Kimi-K2.5"] == "compressed-tensors INT4 group 32"
    assert labels["openai/gpt-oss-20b"] == "MXFP4"


def test_a_damaged_group_is_no_unquantised_checkpoint() -> None:
    section = {"quant_method": "compressed-tensors", "config_groups": {"group_0": None}}
    with pytest.raises(UnsupportedArchitecture, match="damaged group"):
        read_quantization({"quantization_config": section})
    kept = read_quantization({"quantization_config": {**section, "config_groups": {}}})
    assert kept.default is None
