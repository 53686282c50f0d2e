"""Words with the variables that the text itself sets put in their place.

The real environment is never looked at. What the text does not say (an unset variable, the
output of a command, a `<placeholder>`) stays as written and is named in `missing`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vllm_preflight.launch.words.split import Piece, Span, Word

_REFERENCE = re.compile(
    r"""
      \\(?P<escaped>\$)
    | \$\(\( (?P<arithmetic> [^\n]{0,300}? ) \)\)
    | (?P<output> \$\( (?: [^()\n]++ | \( [^()\n]*+ \) )*+ \) | `[^`\n]*` )
    | \$\{ (?P<name> [A-Za-z_]\w* | [0-9@*] ) (?P<index> \[[@*]\] )?
          (?: (?P<rule> :?[-+=?] ) (?P<word> (?: [^{}\n]++ | \{[^{}\n]*+\} )*+ ) )? \}
    | \$(?P<plain> [A-Za-z_]\w* | [0-9@*] )
    | (?P<other> \$\{ [^}\n]{0,300}+ \} )
    | (?P<template> \{\{ [^{}\n]{0,100}+ \}\} | \{ (?: [A-Za-z_][\w.]* | \.\.\. ) \} )
    | (?P<usage> (?<![^\s=]) \[ [A-Za-z_ -]+ \] (?![^\s]) )
    """,
    re.VERBOSE,
)
# What blanks leave together: the output of a command is not known, so it stays whole.
_APART = re.compile(r"(?:\$\((?:[^()\n]++|\([^()\n]*+\))*+\)|`[^`\n]*+`|\S)+")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=(.*)", re.DOTALL)
_LONGEST_VALUE = 10_000
# How deep a default may hold another variable.
_DEEPEST = 4
_OPERATORS: Mapping[type[ast.AST], Callable[[int, int], int]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left // right,
    ast.Mod: lambda left, right: left % right,
}


@dataclass(frozen=True, slots=True)
class Expanded:
    """One word as a program gets it; `missing` names what the text does not say.

    `span` is where the word that it came from is written, which several may share.
    """

    text: str
    missing: tuple[str, ...] = ()
    span: Span | None = None


@dataclass
class Variables:
    """What the text has done so far: variables and arrays set, a vLLM installed.

    Only what is exported reaches the programs that the text starts; `changed` had another
    value before. `installed` is what
    follows the name in `pip install vllm==0.19.0`, `built_for` the platform of that build.
    """

    values: dict[str, Expanded] = field(default_factory=dict[str, Expanded])
    arrays: dict[str, list[Expanded]] = field(default_factory=dict[str, list[Expanded]])
    exported: set[str] = field(default_factory=set[str])
    exports_all: bool = False
    changed: set[str] = field(default_factory=set[str])
    aliases: dict[str, tuple[Expanded, ...]] = field(
        default_factory=dict[str, tuple[Expanded, ...]]
    )
    installed: str | None = None
    built_for: str | None = None

    def copy(self) -> Variables:
        """The same, to be changed apart."""
        arrays = {name: list(items) for name, items in self.arrays.items()}
        return replace(
            self,
            values=dict(self.values),
            arrays=arrays,
            exported=set(self.exported),
            changed=set(self.changed),
            aliases=dict(self.aliases),
        )

    def environment(self, handed: Collection[str] = ()) -> dict[str, str]:
        """The variables a program sees: those exported, and those set before its name."""
        return {
            name: value.text
            for name, value in self.values.items()
            if self.exports_all or name in self.exported or name in handed
        }

    def assign(self, name: str, value: Expanded, *, appended: bool = False) -> None:
        """Set a variable, or add to it."""
        if appended and name in self.values:
            before = self.values[name]
            value = Expanded(before.text + value.text, before.missing + value.missing)
        elif name in self.values and self.values[name].text != value.text:
            self.changed.add(name)
        # A value of that length is no setting, and doubling it would never end.
        self.values[name] = value if len(value.text) <= _LONGEST_VALUE else Expanded("")


def assignment(word: Word) -> tuple[str, bool, Word] | None:
    """Name, whether it is added to, and value of a word that sets a variable."""
    if not word or word[0].mode != "bare":
        return None
    match = _ASSIGNMENT.fullmatch(word[0].text)
    if match is None:
        return None
    rest = (Piece(match[3], "bare"),) if match[3] else ()
    return match[1], bool(match[2]), (*rest, *word[1:])


def set_variable(word: Word, variables: Variables) -> bool:
    """Do what an assigning word says; false for a word that is none."""
    found = assignment(word)
    if found is None:
        return False
    name, appended, value = found
    if value and value[0].mode == "array":
        before = variables.arrays.get(name, []) if appended else []
        items = [e for item in value[0].items for e in expand(item, variables)]
        variables.arrays[name] = [*before, *items]
    else:
        # An assignment's value is never split.
        whole = tuple(Piece(p.text, "double") if p.mode == "bare" else p for p in value)
        (first, *_) = expand(whole, variables) or [Expanded("")]
        variables.assign(name, first, appended=appended)
    return True


def expand(word: Word, variables: Variables, span: Span | None = None) -> list[Expanded]:
    """The words that one word becomes: none, one, or several where a variable splits."""
    fields: list[tuple[str, tuple[str, ...]]] = []
    started = False
    for piece in word:
        if piece.mode in {"literal", "placeholder"}:
            missing = (piece.text,) if piece.mode == "placeholder" else ()
            _append(fields, piece.text, missing)
            started = True
            continue
        for part in _parts(piece.text, variables, _DEEPEST):
            if isinstance(part, list):
                _append_items(fields, part)
            elif piece.mode == "bare" and part.from_variable and not part.missing:
                _append_split(fields, part)
            else:
                _append(fields, part.text, part.missing)
        started = started or piece.mode == "double"
    if not fields and started and not _is_empty_list(word, variables):
        return [Expanded("", (), span)]
    return [Expanded(text, missing, span) for text, missing in fields]


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    missing: tuple[str, ...] = ()
    from_variable: bool = False


def _append(fields: list[tuple[str, tuple[str, ...]]], text: str, missing: tuple[str, ...]) -> None:
    if not fields:
        fields.append(("", ()))
    before = fields[-1]
    fields[-1] = (before[0] + text, before[1] + missing)


def _append_split(fields: list[tuple[str, tuple[str, ...]]], part: _Part) -> None:
    """An unquoted variable's value: every blank in it ends a word."""
    words = _APART.findall(part.text)
    if not words:
        return
    if part.text[0].isspace() and fields:
        fields.append(("", ()))
    for index, word in enumerate(words):
        if index:
            fields.append(("", ()))
        _append(fields, word, tuple(name for name in part.missing if name in word))
    if part.text[-1].isspace():
        fields.append(("", ()))


def _append_items(fields: list[tuple[str, tuple[str, ...]]], items: Sequence[Expanded]) -> None:
    for index, item in enumerate(items):
        if index:
            fields.append(("", ()))
        _append(fields, item.text, item.missing)


def _is_empty_list(word: Word, variables: Variables) -> bool:
    """Whether a quoted word is nothing but `"${ARGS[@]}"` or `"$@"` of no words."""
    return len(word) == 1 and any(
        isinstance(part, list) and not part for part in _parts(word[0].text, variables, _DEEPEST)
    )


def _parts(text: str, variables: Variables, depth: int) -> Iterator[_Part | list[Expanded]]:
    """Plain text and the values of references, a list where a reference is several words."""
    place = 0
    for match in _REFERENCE.finditer(text):
        if match.start() > place:
            yield _Part(text[place : match.start()])
        place = match.end()
        yield _referenced(match, variables, depth)
    if place < len(text):
        yield _Part(text[place:])


def _referenced(match: re.Match[str], variables: Variables, depth: int) -> _Part | list[Expanded]:
    if match["escaped"]:
        return _Part("$")
    if match["arithmetic"] is not None:
        value = _arithmetic(_within(match["arithmetic"], variables, depth), variables)
        return _unknown(match[0]) if value is None else _Part(value)
    name = match["name"] or match["plain"]
    if name is None:
        return _unknown(match[0])
    if match["index"]:
        known = name in variables.arrays
        return variables.arrays[name] if known else _unknown(match[0])
    if name in {"@", "*"}:
        # Arguments of the script: what is handed on is not in the text.
        return variables.arrays.get("@", [])
    return _variable(match, name, variables, depth)


def _variable(match: re.Match[str], name: str, variables: Variables, depth: int) -> _Part:
    value = variables.values.get(name)
    if value is None and name in variables.arrays:
        items = variables.arrays[name]
        value = items[0] if items else Expanded("")
    rule = match["rule"] or ""
    given = value is not None and (bool(value.text) or not rule.startswith(":"))
    if rule.endswith("+"):
        return _default(match["word"], variables, depth) if given else _Part("", (), True)
    if given and value is not None:
        return _Part(value.text, value.missing, True)
    if rule.endswith(("-", "=")):
        default = _default(match["word"], variables, depth)
        if rule.endswith("="):
            variables.assign(name, Expanded(default.text, default.missing))
        return default
    return _Part("", (), True) if value is not None else _unknown(match[0])


def _default(word: str, variables: Variables, depth: int) -> _Part:
    text = word.strip("\"'")
    if depth == 0:
        return _unknown(word)
    parts = [p for p in _parts(text, variables, depth - 1) if isinstance(p, _Part)]
    missing = tuple(name for part in parts for name in part.missing)
    return _Part("".join(part.text for part in parts), missing, True)


def _within(text: str, variables: Variables, depth: int) -> str:
    """Text with the variables in it replaced, as far as they are known."""
    parts = _parts(text, variables, depth - 1) if depth else iter(())
    return "".join(part.text for part in parts if isinstance(part, _Part)) or text


def _unknown(text: str) -> _Part:
    return _Part(text, (text,))


def _arithmetic(text: str, variables: Variables) -> str | None:
    """The value of `$((…))` of whole numbers and known variables; None for anything else."""
    known = {name: value.text for name, value in variables.values.items() if not value.missing}
    plain = re.sub(
        r"\$?\{?([A-Za-z_]\w*)\}?", lambda match: known.get(match[1], match[0]), text.strip()
    )
    try:
        return str(_calculated(ast.parse(plain, mode="eval").body))
    except (ValueError, SyntaxError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _calculated(node: ast.AST) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_calculated(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_calculated(left), _calculated(right))
        case _:
            raise ValueError(ast.dump(node))
