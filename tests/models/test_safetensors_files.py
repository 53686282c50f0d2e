from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.models.safetensors_files import (
    HEADER_CAP,
    combined,
    header_length,
    parse_header,
    read_stored,
)


def safetensors_file(tensors: dict[str, Any], data_bytes: int) -> bytes:
    header = json.dumps(tensors).encode()
    return len(header).to_bytes(8, "little") + header + bytes(data_bytes)


TWO_TENSORS = {
    "__metadata__": {"format": "pt"},
    "norm": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
    "proj": {"dtype": "BF16", "shape": [2, 5], "data_offsets": [12, 32]},
}


def test_counts_bytes_and_elements_by_dtype(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_file(TWO_TENSORS, 32))
    stored = read_stored(path)
    assert stored.bytes_by_dtype == {"F32": 12, "BF16": 20}
    assert stored.elements == 13
    assert stored.total_bytes == 32


def test_agrees_with_the_safetensors_library(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors")
    tensors = {
        "scalar": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]},
        "empty": {"dtype": "BF16", "shape": [0, 4], "data_offsets": [8, 8]},
        "weight": {"dtype": "F8_E4M3", "shape": [4, 4], "data_offsets": [8, 24]},
        "blocks": {"dtype": "F4", "shape": [8, 2], "data_offsets": [24, 32]},
    }
    content = safetensors_file(tensors, 32)
    (tmp_path / "model.safetensors").write_bytes(content)
    read = dict(library.deserialize(content))
    assert set(read) == set(tensors)
    stored = read_stored(tmp_path / "model.safetensors")
    assert stored.total_bytes == sum(len(tensor["data"]) for tensor in read.values())
    assert stored.bytes_by_dtype == {"I64": 8, "BF16": 0, "F8_E4M3": 16, "F4": 8}
    assert stored.elements == 1 + 0 + 16 + 16


def test_reads_no_tensor_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    size = 400 * 2**30  # A sparse file: reading its data would take minutes.
    tensors = {"w": {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}}
    content = safetensors_file(tensors, 0)
    path.write_bytes(content)
    os.truncate(path, len(content) + size)
    assert read_stored(path).total_bytes == size


def test_a_file_cut_short_says_how_much_is_there(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_file(TWO_TENSORS, 31))
    with pytest.raises(InvalidRequest, match="describes 32 bytes of tensors and the file has 31"):
        read_stored(path)


def test_an_unknown_dtype_counts_by_its_place() -> None:
    tensors = {"w": {"dtype": "F8_NEW", "shape": [4], "data_offsets": [0, 5]}}
    header = json.dumps(tensors).encode()
    assert parse_header(header, len(header), None, "w").bytes_by_dtype == {"F8_NEW": 5}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "too short"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8", "claims a header"),
        ((50).to_bytes(8, "little") + b"{}", "cut short"),
        ((4).to_bytes(8, "little") + b"}{}{", "not valid JSON"),
        ((2).to_bytes(8, "little") + b"[]", "holds a list"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match=words) as caught:
        read_stored(path)
    assert str(path) in caught.value.message
    assert "Download the file again" in caught.value.hint


@pytest.mark.parametrize(
    "tensor",
    [
        [],
        {"dtype": "BF16", "shape": [2]},
        {"dtype": "BF16", "shape": [-1, -2], "data_offsets": [0, 4]},
        {"dtype": "BF16", "shape": [2.0], "data_offsets": [0, 4]},
        {"dtype": "BF16", "shape": [2], "data_offsets": [4, 0]},
        {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4, 8]},
        {"dtype": "BF16", "shape": [2], "data_offsets": [0]},
        {"dtype": "BF16", "shape": [10**12], "data_offsets": [0, 4]},
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(tensor: object) -> None:
    header = json.dumps({"w": tensor}).encode()
    with pytest.raises(InvalidRequest, match="the tensor 'w'"):
        parse_header(header, len(header), None, "file")


def test_the_header_cap_is_the_formats_own() -> None:
    assert header_length(HEADER_CAP.to_bytes(8, "little"), "file") == HEADER_CAP
    with pytest.raises(InvalidRequest):
        header_length((HEADER_CAP + 1).to_bytes(8, "little"), "file")


def test_files_add_up() -> None:
    header = json.dumps(TWO_TENSORS).encode()
    one = parse_header(header, len(header), None, "file")
    both = combined([one, one])
    assert both.bytes_by_dtype == {"F32": 24, "BF16": 40}
    assert both.elements == 26
