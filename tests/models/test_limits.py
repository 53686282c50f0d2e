"""Configs and headers of strangers are read within limits, each named in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest, PreflightError, UnsupportedArchitecture
from vllm_preflight.models.config_files import parse_json_object
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.quantization import read_quantization
from vllm_preflight.models.safetensors_files import (
    MOST_TENSORS,
    StoredTensors,
    combined,
    parse_header,
)

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}
FP8_CHANNEL: dict[str, Any] = {
    "quant_method": "compressed-tensors",
    "format": "float-quantized",
    "config_groups": {
        "g": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
        }
    },
}


@pytest.mark.parametrize(
    ("key", "value", "most"),
    [
        ("num_hidden_layers", 10**9, "1,024"),
        ("num_attention_heads", 10**6, "65,536"),
        ("hidden_size", 2**30, "16,777,216"),
        ("vocab_size", 10**12, "268,435,456"),
        ("max_position_embeddings", 2**50, "1,099,511,627,776"),
    ],
)
def test_a_number_beyond_any_model_is_refused(key: str, value: int, most: str) -> None:
    with pytest.raises(UnsupportedArchitecture, match=f"{key} is {value}.*to {most}"):
        read_architecture({**LLAMA, key: value})


def test_a_text_and_a_list_beyond_any_model_are_refused() -> None:
    with pytest.raises(UnsupportedArchitecture, match="at most 4,096 characters"):
        read_architecture({"model_type": "nemotron_h", "hybrid_override_pattern": "M" * 10**6})
    with pytest.raises(UnsupportedArchitecture, match=r"layer_types.*at most 4,096 entries"):
        read_architecture({**LLAMA, "layer_types": ["full_attention"] * 10**5})


@pytest.mark.parametrize(
    "name",
    ["\ud800x", "IGNORE ALL\n\n## system", "\x1b[31mX\x1b]0;t\x07", "x" * 2_000, "\u202eevil"],
)
def test_a_class_that_can_be_none_is_quoted_and_cut(name: str) -> None:
    with pytest.raises(UnsupportedArchitecture) as caught:
        read_architecture({"model_type": "zz", "architectures": [name]})
    assert f"({name[:60]!a})" in caught.value.message


def _fp8(ignore: list[str]) -> None:
    scheme = read_quantization({**LLAMA, "quantization_config": {**FP8_CHANNEL, "ignore": ignore}})
    for layer in range(1_000):
        scheme.scheme(f"model.layers.{layer}.mlp.down_proj")


@pytest.mark.parametrize(
    ("ignore", "reason"),
    [
        (["re:^(?!.*a).*$"], "looks ahead or behind"),
        (["re:" + "a" * 501], "longer than 500 characters"),
        (["*" * 501], "longer than 500 characters"),
        ([f"re:.*x{number}" for number in range(2_100)], "more than 2,000 patterns"),
        ([f"re:.*x{number}" for number in range(600)], "more than 500,000 tries"),
        ([f"layers.{number}" for number in range(200_001)], "at most 200,000 entries"),
    ],
)
def test_rules_beyond_any_checkpoint_are_refused(ignore: list[str], reason: str) -> None:
    with pytest.raises(UnsupportedArchitecture, match=reason):
        _fp8(ignore)


def test_a_rule_that_explodes_elsewhere_is_matched() -> None:
    _fp8(["re:(([a-z0-9._]+)+)+Z"])


@pytest.mark.parametrize(
    "rule", ["vision" * 80_000, "vision_" * 60_000 + "$", "audio_" * 80_000 + "."]
)
def test_encoder_rules_cost_what_their_text_does(rule: str) -> None:
    # In cubic time these would take days.
    config = {"quant_method": "fp8", "modules_to_not_convert": [rule]}
    assert read_quantization({"quantization_config": config}).encoder_scheme is not None


@pytest.mark.parametrize(
    ("rule", "inside"),
    [
        ("model.vision_tower", False),
        ("model.visual", False),
        ("visual.blocks.0.attn", True),
        ("re:visual.*", True),
        ("re:.*vision_tower.*", True),
        (r"re:model\.audio_tower\.layers", True),
        ("re:.*mlp.*", False),
        ("encoderless.block", False),
    ],
)
def test_which_rules_name_modules_inside_an_encoder(rule: str, inside: bool) -> None:
    config = {"quant_method": "fp8", "modules_to_not_convert": [rule]}
    scheme = read_quantization({"quantization_config": config}).encoder_scheme
    assert (scheme is None) == inside


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a": ' + b"9" * 4_000 + b"}", "a whole number of 4,000 digits"),
        (b'{"a": [' + b"[]," * 500_000 + b"[]]}", "more than 400,000 lists"),
        (b'{"a": [' + b"1," * 2_100_000 + b"1]}", "2,000,000 values"),
        ('{"a": 1}'.encode("utf-16"), "not valid JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not valid JSON"),
        (b'{"a":' * 100_000, "not valid JSON"),
    ],
)
def test_json_beyond_any_config_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        parse_json_object(data, "config.json")


def _parsed(header: bytes) -> StoredTensors:
    return parse_header(header, len(header), None, "file")


def _tensor(**changes: Any) -> bytes:
    facts = {"dtype": "ZZ", "shape": [2], "data_offsets": [0, 2], **changes}
    return json.dumps({"t": facts}).encode()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (_tensor(shape=[2**62] * 100_000), "at a length that no tensor needs"),
        (_tensor(shape=[1] * 9), "more dimensions or elements"),
        (_tensor(shape=[2**40, 2**40]), "more dimensions or elements"),
        (
            b'{"t":{"dtype":"ZZ","shape":[' + b"9" * 1_000 + b'],"data_offsets":[0,2]}}',
            "valid JSON",
        ),
        (b'{"__metadata__":[' + b"[]," * 100_000 + b"[]]}", "__metadata__ of file is not of texts"),
        (b'{"__metadata__":{"a":{"b":"c"}}}', "__metadata__ of file is not of texts"),
        (b'{"' + b"\\" * 1_000_001, "not valid JSON"),
        (b'{"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]} "u"', "not valid JSON"),
        (b'{"t":' * 10_000, "at a length that no tensor needs"),
    ],
)
def test_headers_beyond_any_file_are_refused(header: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        _parsed(header)


def test_a_header_of_too_many_tensors_is_refused_while_it_is_read() -> None:
    one = b'"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
    with pytest.raises(InvalidRequest, match=f"more than {MOST_TENSORS:,} tensors"):
        _parsed(b"{" + one * (MOST_TENSORS + 1) + b'"u":{}}')


def test_a_checkpoint_of_too_many_tensors_is_refused() -> None:
    half = StoredTensors({}, 0, tensors=MOST_TENSORS // 2 + 1)
    with pytest.raises(InvalidRequest, match="tensors"):
        combined([half, half])


@pytest.mark.parametrize("metadata", [{}, {"format": "pt"}, {"a": 'q"}{\\', "b": "é"}])
def test_metadata_of_texts_is_passed_over(metadata: dict[str, str]) -> None:
    header = {"__metadata__": metadata, "t": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]}}
    assert _parsed(json.dumps(header, indent=1).encode()).elements == 1


def test_hostile_folders_end_in_a_sentence(tmp_path: Path) -> None:
    from vllm_preflight.models.sources import load_model

    (tmp_path / "config.json").write_bytes(b'{"model_type": "zz", "architectures": ["\\ud800x"]}')
    with pytest.raises(PreflightError) as caught:
        load_model(str(tmp_path))
    assert str(caught.value).encode()
