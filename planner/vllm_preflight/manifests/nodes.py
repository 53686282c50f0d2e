"""YAML and JSON as plain values that know their line.

Events of the parser are put together here, so that size, depth and aliases are bounded, no
object is ever constructed and unknown tags mean nothing. A scalar stays the text it is
written as, for what "8192" or "yes" means is for its reader to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias, cast

import yaml

from vllm_preflight.base.errors import InvalidRequest

MOST_CHARACTERS = 2_000_000
_MOST_NODES = 200_000
# A text counts as one value more for so many characters: aliases repeat texts too.
_CHARACTERS_A_NODE = 100
# Longer ones are no numbers, whatever YAML takes them for.
_LONGEST_NUMBER = 40
_DEEPEST = 60
# The quicker parser, where it was built; it does not recurse in `parse`.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PARSE: Any = cast(Any, yaml).parse
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class Text(str):
    """A scalar as written: its first and last line (from 1), and whether it has no quotes."""

    line: int
    last: int
    plain: bool

    @classmethod
    def at(cls, text: str, line: int, last: int | None = None, *, plain: bool = False) -> Text:
        """`text` that stands on these lines."""
        made = cls(text)
        made.line, made.last, made.plain = line, line if last is None else last, plain
        return made

    def moved(self, text: str) -> Text:
        """Another text in the same place."""
        return Text.at(text, self.line, self.last, plain=self.plain)

    def line_of(self, inner: int) -> int:
        """The file's line of a line inside the text; the first one's for quoted text."""
        block = self.last - self.line >= self.count("\n")
        return self.line + inner if block else self.line


class Fields(dict[str, "Node"]):
    """A mapping; `line` is its first, `lines` those of its keys."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class Items(list["Node"]):
    """A sequence and its first line."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


Node: TypeAlias = Text | Fields | Items | None


def read_nodes(text: str) -> list[Node]:
    """The documents of a YAML or JSON text, empty ones left out.

    Raises:
        InvalidRequest: no YAML, or more of it than a manifest has.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(
            f"The manifest has {len(text):,} characters, more than {MOST_CHARACTERS:,}.",
            "Give only the objects that start vLLM.",
        )
    try:
        return [node for node in _Composer(text).documents() if node is not None]
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None)
        what = f" ({problem})" if problem else ""
        raise InvalidRequest(f"The text is no YAML{place}{what}.", "Correct it.") from error


class _Composer:
    """Nodes from the parser's events, counted as if no alias stood for another."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = _PARSE(text, Loader=_LOADER)
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0

    def documents(self) -> Iterator[Node]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                yield self._node(next(self._events), 0)[0]

    def _node(self, event: Any, depth: int) -> tuple[Node, int]:
        """A node and how much it counts, with all that it holds."""
        if isinstance(event, yaml.AliasEvent):
            # An alias of what is still being read would be endless.
            found = self._anchors.get(str(event.anchor))
            if found is None:
                raise InvalidRequest(f"The alias *{event.anchor} has no anchor before it.")
            self._add(found[1])
            return found
        if depth > _DEEPEST:
            raise InvalidRequest(f"The manifest is nested deeper than {_DEEPEST} levels.")
        if isinstance(event, yaml.ScalarEvent):
            count = 1 + len(event.value) // _CHARACTERS_A_NODE
            self._add(count)
            found = (_scalar(event), count)
        elif isinstance(event, yaml.SequenceStartEvent):
            found = self._sequence(event, depth)
        else:
            found = self._mapping(event, depth)
        if event.anchor:
            self._anchors[str(event.anchor)] = found
        return found

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > _MOST_NODES:
            raise InvalidRequest(f"The manifest has more than {_MOST_NODES:,} values.")

    def _sequence(self, start: Any, depth: int) -> tuple[Node, int]:
        self._add(1)
        items, held = Items(start.start_mark.line + 1), 1
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            node, count = self._node(event, depth + 1)
            items.append(node)
            held += count
        return items, held

    def _mapping(self, start: Any, depth: int) -> tuple[Node, int]:
        self._add(1)
        fields, held = Fields(start.start_mark.line + 1), 1
        merged: list[Fields] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            key, named = self._node(event, depth + 1)
            value, count = self._node(next(self._events), depth + 1)
            held += named + count
            if isinstance(key, Fields | Items):
                # What `{{ … }}` of a template amounts to.
                raise InvalidRequest(f"The key in line {line} is itself a mapping or a list.")
            if key == "<<":
                sources = value if isinstance(value, Items) else [value]
                merged += [source for source in sources if isinstance(source, Fields)]
            else:
                fields[str(key or "")] = value
                fields.lines[str(key or "")] = line
        for source in merged:
            for name, value in source.items():
                if name not in fields:
                    fields[name], fields.lines[name] = value, source.lines.get(name, source.line)
        return fields, held


def _scalar(event: Any) -> Text | None:
    plain = event.style in (None, "") and not event.tag
    if plain and event.value in _NULLS:
        return None
    first, last = event.start_mark.line + 1, event.end_mark.line + 1
    if event.end_mark.column == 0 and last > first:
        last -= 1
    return Text.at(event.value, first, last, plain=plain)


def fields_of(node: Node) -> Fields:
    """The mapping, an empty one for anything else."""
    return node if isinstance(node, Fields) else Fields(getattr(node, "line", 1))


def items_of(node: Node) -> list[Node]:
    """The sequence, an empty one for anything else."""
    return node if isinstance(node, Items) else []


def at(node: Node, *path: str) -> Node:
    """What stands under these keys, one in the other; None where one is missing."""
    for key in path:
        if not isinstance(node, Fields):
            return None
        node = node.get(key)
    return node


def text_at(node: Node, *path: str) -> Text | None:
    """The scalar under these keys."""
    found = at(node, *path)
    return found if isinstance(found, Text) else None


def number_at(node: Node, *path: str) -> int | None:
    """The whole number under these keys, quoted or not."""
    found = text_at(node, *path)
    match = re.fullmatch(r"\s*(\d{1,9})(?:\.0+)?\s*", found) if found is not None else None
    return int(match[1]) if match else None


def digits(text: str | None) -> int | None:
    """The whole number that a text is, of a plausible size; None for anything else."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text) else None


def is_true(node: Node) -> bool:
    """Whether a scalar says yes."""
    return isinstance(node, Text) and node.lower() in {"true", "yes", "on", "1"}


def is_false(node: Node) -> bool:
    """Whether a scalar says no."""
    return isinstance(node, Text) and node.lower() in {"false", "no", "off", "0"}


_RESOLVER: Any = yaml.SafeLoader("")
_KEPT = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null"))


def plain_value(node: Node) -> Any:
    """The node as YAML's own numbers, booleans, text, lists and dicts."""
    if isinstance(node, Fields):
        return {key: plain_value(value) for key, value in node.items()}
    if isinstance(node, Items):
        return [plain_value(item) for item in node]
    if node is None:
        return None
    if not node.plain or len(node) > _LONGEST_NUMBER:
        return str(node)
    tag = _RESOLVER.resolve(yaml.ScalarNode, str(node), (True, False))
    if tag not in _KEPT:
        return str(node)
    try:
        return _RESOLVER.construct_object(yaml.ScalarNode(tag, str(node)))
    except ValueError:
        return str(node)


def walk(node: Node, path: tuple[Node, ...] = ()) -> Iterator[tuple[Fields, tuple[Node, ...]]]:
    """Every mapping below a node with those above it, outermost first."""
    if isinstance(node, Fields):
        yield node, path
        for value in node.values():
            yield from walk(value, (*path, node))
    elif isinstance(node, Items):
        for item in node:
            yield from walk(item, path)
