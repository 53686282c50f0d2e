"""A lossless short form for the repetitive parts of a `config.json`.

A config of sixty layers says the same thing sixty times. Four forms, each an object
with one key that starts with `$` (no config key does), stand for the long ones:

- `{"$runs": [[value, count], ...]}`: a list of equal neighbours;
- `{"$cycle": [[a, b, ...], length]}`: a list that repeats a pattern, cut at `length`;
- `{"$names": ["layers.<0-59>.mlp.gate", ...]}`: a set of module names;
- `{"$map": [[names, value], ...]}`: an object whose many names share few values.

The order of module names carries nothing and is not kept; everything else comes back
exactly as it was.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

# Shorter lists are easier to read as they are.
_SHORTEST = 8
_LONGEST_CYCLE = 16
# A number with a leading zero would not survive int(); it stays text.
_NUMBER = re.compile(r"(?<!\d)(0|[1-9]\d{0,8})(?!\d)")
_RANGES = re.compile(r"<([\d,-]+)>")


def encode(value: Any) -> Any:
    """The short form of a JSON value; `decode` undoes it."""
    if isinstance(value, Mapping):
        members = cast(Mapping[str, Any], value)
        plain = {key: encode(member) for key, member in members.items()}
        return _shortest(plain, *_as_map(members))
    if isinstance(value, list):
        items = cast(list[Any], value)
        plain_items = [encode(item) for item in items]
        if len(items) < _SHORTEST:
            return plain_items
        return _shortest(plain_items, *_as_names(items), _as_runs(plain_items), *_as_cycle(items))
    return value


def decode(value: Any) -> Any:
    """The JSON value a short form stands for."""
    if isinstance(value, list):
        return [decode(item) for item in cast(list[Any], value)]
    if not isinstance(value, Mapping):
        return value
    members = cast(Mapping[str, Any], value)
    if len(members) == 1:
        (form, body), *_ = members.items()
        if form == "$runs":
            return [decode(item) for item, count in body for _ in range(count)]
        if form == "$cycle":
            pattern, length = cast(tuple[list[Any], int], body)
            return list(itertools.islice(itertools.cycle(pattern), length))
        if form == "$names":
            return list(_expand(body))
        if form == "$map":
            return {name: shared for names, shared in body for name in _expand(names)}
    return {key: decode(member) for key, member in members.items()}


def _shortest(*forms: Any) -> Any:
    return min(forms, key=lambda form: len(json.dumps(form, separators=(",", ":"))))


def _as_runs(items: Sequence[Any]) -> dict[str, Any]:
    groups = itertools.groupby(items, key=json.dumps)
    runs: list[list[Any]] = []
    for _, group in groups:
        members = list(group)
        runs.append([members[0], len(members)])
    return {"$runs": runs}


def _as_cycle(items: Sequence[Any]) -> list[dict[str, Any]]:
    # Only scalars: the pattern is stored as it is.
    if any(isinstance(item, dict | list) for item in items):
        return []
    for size in range(2, _LONGEST_CYCLE + 1):
        if all(_same(item, items[place % size]) for place, item in enumerate(items)):
            return [{"$cycle": [list(items[:size]), len(items)]}]
    return []


def _same(left: Any, right: Any) -> bool:
    # 1, 1.0 and True are equal to Python and different in JSON.
    return type(left) is type(right) and left == right


def _as_names(items: Sequence[Any]) -> list[dict[str, Any]]:
    if not _are_module_names(items):
        return []
    return [{"$names": _fold(cast(Sequence[str], items))}]


def _as_map(members: Mapping[str, Any]) -> list[dict[str, Any]]:
    if len(members) < _SHORTEST or not _are_module_names(list(members)):
        return []
    by_value: dict[str, list[str]] = {}
    for name, shared in members.items():
        by_value.setdefault(json.dumps(shared, sort_keys=True), []).append(name)
    return [{"$map": [[_fold(names), json.loads(shared)] for shared, names in by_value.items()]}]


def _are_module_names(items: Sequence[Any]) -> bool:
    """Whether the order of `items` carries nothing: distinct dotted names with numbers."""
    if not all(isinstance(item, str) and not _RANGES.search(item) for item in items):
        return False
    names = cast(Sequence[str], items)
    dotted = sum("." in name and _NUMBER.search(name) is not None for name in names)
    return len(set(names)) == len(names) and dotted * 2 > len(names)


def _fold(names: Iterable[str]) -> list[str]:
    """Names with the same words folded into templates with number ranges."""
    by_words: dict[tuple[str, ...], set[tuple[int, ...]]] = {}
    for name in names:
        parts = _NUMBER.split(name)
        numbers = tuple(int(part) for part in parts[1::2])
        by_words.setdefault(tuple(parts[0::2]), set()).add(numbers)
    templates: list[str] = []
    for words, places in by_words.items():
        for ranges in _products(places, len(words) - 1):
            holes = [*(f"<{text}>" for text in ranges), ""]
            templates.append("".join(word + hole for word, hole in zip(words, holes, strict=True)))
    return sorted(templates)


def _products(places: set[tuple[int, ...]], width: int) -> list[tuple[str, ...]]:
    """A set of number tuples as few products of ranges, merged from the last number on."""
    products: list[tuple[tuple[int, ...] | str, ...]] = [
        tuple((number,) for number in place) for place in sorted(places)
    ]
    for column in reversed(range(width)):
        merged: dict[tuple[Any, ...], list[int]] = {}
        for product in products:
            rest = product[:column] + product[column + 1 :]
            merged.setdefault(rest, []).extend(cast(tuple[int, ...], product[column]))
        products = [
            (*rest[:column], _ranges(numbers), *rest[column:]) for rest, numbers in merged.items()
        ]
    return cast(list[tuple[str, ...]], products)


def _ranges(numbers: Iterable[int]) -> str:
    """`[0, 1, 2, 5]` as `"0-2,5"`."""
    pieces: list[str] = []
    ordered = sorted(set(numbers))
    # Neighbours in a run share the difference between value and place.
    for _, run in itertools.groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        first, last = members[0], members[-1]
        pieces.append(str(first) if first == last else f"{first}-{last}")
    return ",".join(pieces)


def _expand(templates: Iterable[str]) -> Iterable[str]:
    for template in templates:
        parts = _RANGES.split(template)
        columns = [_numbers(part) if odd % 2 else [part] for odd, part in enumerate(parts)]
        for pieces in itertools.product(*columns):
            yield "".join(pieces)


def _numbers(ranges: str) -> list[str]:
    numbers: list[str] = []
    for piece in ranges.split(","):
        first, _, last = piece.partition("-")
        numbers += [str(number) for number in range(int(first), int(last or first) + 1)]
    return numbers
