from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.models.repository_files import (
    missing_shards,
    other_formats,
    read_index,
    weight_files,
    without_config,
)


def test_mistrals_second_copy_of_the_weights_does_not_count_twice() -> None:
    names = ["consolidated.safetensors", "model-00001-of-00002.safetensors", "tokenizer.json"]
    assert weight_files(names) == ("model-00001-of-00002.safetensors",)
    assert weight_files(["consolidated.safetensors"]) == ("consolidated.safetensors",)


def test_adapters_and_subfolders_are_not_the_models_weights() -> None:
    assert weight_files(["adapter_model.safetensors", "original/model.safetensors"]) == ()


def test_shard_names_say_which_shards_are_missing() -> None:
    names = ["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"]
    assert missing_shards(names) == ("model-00002-of-00003.safetensors",)
    assert missing_shards(["model.safetensors"]) == ()
    assert missing_shards(["model-00001-of-99999.safetensors"]) == ()


@pytest.mark.parametrize(
    ("total", "wanted"), [(12, 12), (12.0, 12), ("12", None), (0, None), (None, None), (1.5, None)]
)
def test_an_index_names_files_and_their_bytes(total: object, wanted: int | None) -> None:
    index = {
        "metadata": {"total_size": total},
        "weight_map": {"a": "x.safetensors", "b": "x.safetensors"},
    }
    read = read_index(index, "index")
    assert read.files == ("x.safetensors",)
    assert read.total_size == wanted


def test_an_index_may_have_no_metadata() -> None:
    assert read_index({"weight_map": {"a": "x"}, "metadata": []}, "index").total_size is None


@pytest.mark.parametrize(
    "index",
    [
        {},
        {"weight_map": []},
        {"weight_map": {"a": 1}},
        {"weight_map": {"a": "../x.safetensors"}},
        {"weight_map": {"a": "/etc/passwd"}},
        {"weight_map": {"a": ".."}},
        {"weight_map": {"a": "sub/x.safetensors"}},
    ],
)
def test_an_index_that_leads_nowhere_or_elsewhere_is_refused(index: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="weight_map of the index"):
        read_index(index, "the index")


@pytest.mark.parametrize(
    ("names", "reason", "advice"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "adapter", "base model"),
        (["model_index.json"], "diffusers", "language model"),
        (["model-Q4_K_M.gguf", "README.md"], "only GGUF", "original model"),
        (["pytorch_model.bin"], "only pickle", "safetensors"),
        (["README.md"], "no file describes", "config.json"),
    ],
)
def test_a_repository_without_config_says_what_it_is(
    names: list[str], reason: str, advice: str
) -> None:
    why, hint = without_config(names)
    assert reason in why
    assert advice in hint


def test_formats_other_than_safetensors_are_named() -> None:
    assert other_formats(["a.GGUF", "b.bin"]) == "GGUF and pickle"
    assert other_formats(["a.safetensors"]) == ""
