"""The headers of safetensors files: exact bytes and elements by dtype, never a tensor.

A file starts with its header's length (8 bytes, little-endian) and the header, a JSON
object that gives each tensor's dtype, shape and place in the data that follows
(https://huggingface.co/docs/safetensors). Headers come from strangers: lengths are
capped, and places and shapes must agree with each other and with the file's size.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.models.config_files import as_object, parse_json_object

# The format's own limit (MAX_HEADER_SIZE of the safetensors library).
HEADER_CAP = 100_000_000
LENGTH_BYTES = 8
# Bits an element of each dtype takes; a dtype not listed is counted by its place alone.
DTYPE_BITS: Mapping[str, int] = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
_HINT = "Download the file again: it is damaged, incomplete, or not a safetensors file."


@dataclass(frozen=True)
class StoredTensors:
    """What safetensors files hold: bytes by dtype ("BF16") and the number of elements."""

    bytes_by_dtype: Mapping[str, int]
    elements: int

    @property
    def total_bytes(self) -> int:
        """Bytes of all tensors, headers not counted."""
        return sum(self.bytes_by_dtype.values())


def read_stored(path: Path) -> StoredTensors:
    """What one local file holds, from its header alone.

    Raises:
        InvalidRequest: the file is unreadable, cut short, or not a safetensors file.
    """
    if not path.is_file():  # A pipe would be waited for without end.
        raise InvalidRequest(f"{path} is not a file.", _HINT)
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = header_length(stream.read(LENGTH_BYTES), str(path))
            header = stream.read(length)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be read: {error.strerror or error}.", "Check the file's permissions."
        ) from error
    return parse_header(header, length, size, str(path))


def header_length(start: bytes, name: str) -> int:
    """Bytes of the header that follows the first 8 bytes of a file; raises InvalidRequest."""
    if len(start) < LENGTH_BYTES:
        raise InvalidRequest(f"{name} is too short to be a safetensors file.", _HINT)
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length > HEADER_CAP:
        raise InvalidRequest(
            f"{name} claims a header of {length:,} bytes; a safetensors file has at most "
            f"{HEADER_CAP:,}.",
            _HINT,
        )
    return length


def parse_header(header: bytes, length: int, file_size: int | None, name: str) -> StoredTensors:
    """What the tensors of a header add up to.

    `length` is what `header_length` said, `file_size` the whole file's bytes, None when
    not known.

    Raises:
        InvalidRequest: the header or the data is cut short, or they contradict each other.
    """
    if len(header) < length:
        raise InvalidRequest(f"The header of {name} is cut short.", _HINT)
    tensors = parse_json_object(header, f"The header of {name}")
    totals: Counter[str] = Counter()
    elements = 0
    data_end = 0
    for tensor, facts in tensors.items():
        if tensor == "__metadata__":
            continue
        dtype, count, begin, end = _tensor(facts, tensor, name)
        totals[dtype] += end - begin
        elements += count
        data_end = max(data_end, end)
    if file_size is not None and data_end > file_size - LENGTH_BYTES - length:
        present = max(0, file_size - LENGTH_BYTES - length)
        raise InvalidRequest(
            f"{name} is cut short: its header describes {data_end:,} bytes of tensors and the "
            f"file has {present:,}.",
            _HINT,
        )
    return StoredTensors(dict(totals), elements)


def combined(parts: Iterable[StoredTensors]) -> StoredTensors:
    """What several files hold together."""
    totals: Counter[str] = Counter()
    elements = 0
    for part in parts:
        totals.update(part.bytes_by_dtype)
        elements += part.elements
    return StoredTensors(dict(totals), elements)


def _tensor(facts: object, tensor: str, name: str) -> tuple[str, int, int, int]:
    """A tensor's dtype, number of elements, and the begin and end of its data."""
    entry = as_object(facts)
    dtype, shape, place = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (isinstance(dtype, str) and _are_counts(shape) and _are_counts(place)):
        raise _broken(name, tensor, "has no dtype, shape and data_offsets")
    count = math.prod(cast(list[int], shape))
    begin, end, *more = (*cast(list[int], place), -1, -1)
    if len(more) != 2 or end < begin:
        raise _broken(name, tensor, "has no valid data_offsets")
    bits = DTYPE_BITS.get(dtype)
    if bits is not None and (end - begin) * 8 != count * bits:
        raise _broken(name, tensor, f"takes {end - begin:,} bytes, not those of its {dtype} shape")
    return dtype, count, begin, end


def _are_counts(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return all(type(item) is int and item >= 0 for item in cast(list[object], value))


def _broken(name: str, tensor: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"In the header of {name}, the tensor {tensor[:80]!r} {what}.", _HINT)
