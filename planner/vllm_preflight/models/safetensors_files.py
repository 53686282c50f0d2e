"""The headers of safetensors files: exact bytes and elements by dtype, never a tensor.

A file starts with its header's length (8 bytes, little-endian) and the header, a JSON
object that gives each tensor's dtype, shape and place in the data that follows
(https://huggingface.co/docs/safetensors). Headers come from strangers: lengths are
capped, tensors are read one by one, and places and shapes must agree with each other and
with the file's size.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.models.config_files import as_object, parse_json_object, whole_number

# A third of what the safetensors library takes. A checkpoint of a thousand billion
# parameters, expert by expert in one file, would have 30 MB.
HEADER_CAP = 32_000_000
LENGTH_BYTES = 8
# Of a whole checkpoint; the largest published has 100,000 and some.
MOST_TENSORS = 300_000
_MOST_DIMENSIONS = 8
_MOST_ELEMENTS = 2**63
_LONGEST_TENSOR = 2_000
# Quantifiers are possessive: a match costs one walk.
_TEXT = r'"(?:[^"\\]++|\\.)*+"'
_METADATA = re.compile(
    rf"\{{\s*+(?:{_TEXT}\s*+:\s*+{_TEXT}\s*+(?:,\s*+(?=\")|(?=\}})))*+\}}", re.DOTALL
)
_NAME = re.compile(rf"\s*+({_TEXT})\s*+:\s*+", re.DOTALL)
_TENSOR = re.compile(rf"\{{[^{{}}]{{0,{_LONGEST_TENSOR}}}+\}}")
_TENSORS_A_TURN = 500
_SHOWN_HEADER = 4_096
_NEXT = re.compile(r"\s*+([,}])")
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
    """What safetensors files hold: bytes by dtype ("BF16"), elements, and tensors."""

    bytes_by_dtype: Mapping[str, int]
    elements: int
    tensors: int = 0

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
    totals: Counter[str] = Counter()
    elements = 0
    data_end = 0
    number = 0
    for number, (tensor, facts) in enumerate(_entries(header, name), start=1):
        if number > MOST_TENSORS:
            raise _too_many_tensors(name)
        if not number % _TENSORS_A_TURN:
            check_stop()
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
    return StoredTensors(dict(totals), elements, number)


def combined(parts: Iterable[StoredTensors]) -> StoredTensors:
    """What several files hold together; raises InvalidRequest above MOST_TENSORS."""
    totals: Counter[str] = Counter()
    elements = tensors = 0
    for part in parts:
        totals.update(part.bytes_by_dtype)
        elements += part.elements
        tensors += part.tensors
        if tensors > MOST_TENSORS:
            raise _too_many_tensors("The checkpoint")
    return StoredTensors(dict(totals), elements, tensors)


def _entries(header: bytes, name: str) -> Generator[tuple[str, object]]:
    """The tensors of a header with their facts, one by one; raises InvalidRequest."""
    try:
        text = header.decode()
    except UnicodeDecodeError:
        text = ""
    start = re.match(r"\s*+\{\s*+", text)
    if start is None:
        raise _no_object(header, name)
    position, more = start.end(), text[start.end() : start.end() + 1] != "}"
    while more:
        named = _NAME.match(text, position)
        if named is None:
            raise _no_json(name)
        tensor = _parsed(named[1], name)
        is_metadata = tensor == "__metadata__"
        body = (_METADATA if is_metadata else _TENSOR).match(text, named.end())
        if body is None and is_metadata:
            raise InvalidRequest(f"The __metadata__ of {name} is not of texts.", _HINT)
        if body is None:
            raise _broken(name, str(tensor), _why_no_tensor(text, named.end()))
        if not is_metadata:
            yield str(tensor), _parsed(body[0], name)
        following = _NEXT.match(text, body.end())
        if following is None:
            raise _no_json(name)
        position, more = following.end(), following[1] == ","


def _why_no_tensor(text: str, position: int) -> str:
    end = text.find("}", position, position + _LONGEST_TENSOR)
    if text[position : position + 1] == "{" and end < 0:
        return "is described at a length that no tensor needs"
    return "has no dtype, shape and data_offsets"


def _parsed(text: str, name: str) -> object:
    try:
        return json.loads(text, parse_int=whole_number)
    except (ValueError, RecursionError) as error:
        raise _no_json(name) from error


def _no_json(name: str) -> InvalidRequest:
    return InvalidRequest(f"The header of {name} is not valid JSON.", _HINT)


def _no_object(header: bytes, name: str) -> InvalidRequest:
    """Why a header that does not begin as an object is none."""
    try:
        parse_json_object(header[:_SHOWN_HEADER], f"The header of {name}", _HINT)
    except InvalidRequest as error:
        return error
    return _no_json(name)


def _too_many_tensors(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name} has more than {MOST_TENSORS:,} tensors, more than any model.", _HINT
    )


def _tensor(facts: object, tensor: str, name: str) -> tuple[str, int, int, int]:
    """A tensor's dtype, number of elements, and the begin and end of its data."""
    entry = as_object(facts)
    dtype, shape, place = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (isinstance(dtype, str) and _are_counts(shape) and _are_counts(place)):
        raise _broken(name, tensor, "has no dtype, shape and data_offsets")
    count = _product(cast(list[int], shape))
    if count is None:
        raise _broken(name, tensor, "has a shape of more dimensions or elements than a tensor has")
    begin, end, *more = (*cast(list[int], place), -1, -1)
    if len(more) != 2 or end < begin:
        raise _broken(name, tensor, "has no valid data_offsets")
    bits = DTYPE_BITS.get(dtype)
    if bits is not None and (end - begin) * 8 != count * bits:
        raise _broken(name, tensor, f"takes {end - begin:,} bytes, not those of its {dtype} shape")
    return dtype, count, begin, end


def _product(shape: list[int]) -> int | None:
    """The elements of a shape, None where it cannot be a tensor's."""
    if len(shape) > _MOST_DIMENSIONS:
        return None
    count = 1
    for size in shape:
        count *= size
        if count > _MOST_ELEMENTS:
            return None
    return count


def _are_counts(value: object) -> bool:
    if not isinstance(value, list):
        return False
    return all(type(item) is int and item >= 0 for item in cast(list[object], value))


def _broken(name: str, tensor: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"In the header of {name}, the tensor {tensor[:80]!r} {what}.", _HINT)
