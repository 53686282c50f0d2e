"""The Python sources of one unpacked vLLM wheel, looked up by name without importing them.

Only what vLLM's argument parser is made of is understood: modules, imports, constants,
literal and dataclass annotations, enumerations. What cannot be evaluated is `UNKNOWN`.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
# The platform whose parser is read.
PLATFORM = "cuda"


@dataclass(frozen=True)
class Symbol:
    """A function, class or name of a library that only its name matters of."""

    name: str


@dataclass
class Module:
    """One source file: its top-level names and where imported ones come from."""

    name: str
    path: Path
    names: dict[str, ast.AST] = field(default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        tree = ast.parse(self.path.read_text(encoding="utf-8"))
        self.package = (
            self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        )
        self._read(tree.body)

    def _read(self, body: list[ast.stmt]) -> None:
        for node in body:
            match node:
                case ast.ClassDef() | ast.FunctionDef():
                    self.names[node.name] = node
                case ast.Assign(targets=[ast.Name(id=name)]):
                    self.names[name] = node.value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.AST()):
                    self.names[name] = node.value
                case ast.ImportFrom():
                    base = self._absolute(node)
                    for alias in node.names:
                        if alias.name == "*":
                            self.stars.append(base)
                        else:
                            self.imports[alias.asname or alias.name] = (base, alias.name)
                case ast.Import():
                    for alias in node.names:
                        self.imports[alias.asname or alias.name] = (alias.name, None)
                case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                    # What runs is the other branch; without one the import still says
                    # which class is meant.
                    self._read(node.orelse or node.body)
                case ast.If() | ast.Try():
                    self._read([*node.body, *node.orelse])

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.package.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1])
        return f"{base}.{node.module}" if node.module else base


class Sources:
    """All modules of one wheel, read when they are asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        """The module of that dotted name, None where the wheel has no such file."""
        if name not in self._modules:
            base = self.root.joinpath(*name.split("."))
            paths = (base.with_suffix(".py"), base / "__init__.py")
            path = next((path for path in paths if path.is_file()), None)
            self._modules[name] = Module(name, path) if path else None
        return self._modules[name]

    def find(self, module: Module, name: str) -> tuple[Module, ast.AST] | None:
        """The definition that `name` stands for in `module`, through its imports."""
        if name in module.names:
            return module, module.names[name]
        if name not in module.imports:
            return self._starred(module, name)
        base, original = module.imports[name]
        source = self.module(base)
        if source is None or original is None:
            return None
        return self.find(source, original)

    def _starred(self, module: Module, name: str) -> tuple[Module, ast.AST] | None:
        for base in module.stars:
            source = self.module(base)
            found = self.find(source, name) if source else None
            if found:
                return found
        return None

    def evaluate(self, module: Module, node: ast.AST | None, env: Mapping[str, Any]) -> Any:
        """The value of an expression, as far as names and literals tell it."""
        return _Evaluator(self, module, env).value(node)


class _Evaluator:
    def __init__(self, sources: Sources, module: Module, env: Mapping[str, Any]) -> None:
        self.sources, self.module, self.env = sources, module, env

    def value(self, node: ast.AST | None) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.List() | ast.Tuple() | ast.Set():
                return self._items(node.elts)
            case ast.Dict():
                return self._dict(node)
            case ast.Name():
                return self._name(node.id)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                owner, key = self.value(node.value), self.value(node.slice)
                return owner.get(key, UNKNOWN) if isinstance(owner, dict) else UNKNOWN
            case ast.ListComp() | ast.GeneratorExp():
                return self._comprehension(node)
            case ast.Call():
                return self._call(node)
            case ast.Lambda():
                return Symbol(f"lambda {ast.unparse(node.body)}")
            case _:
                return self._combined(node)

    def _combined(self, node: ast.AST | None) -> Any:
        """Values made of others: sums, texts, comparisons, choices."""
        match node:
            case ast.BinOp(op=ast.Add()):
                left, right = self.value(node.left), self.value(node.right)
                same = isinstance(left, list | str) and type(left) is type(right)
                return left + right if same else UNKNOWN
            case ast.JoinedStr():
                parts = [self.value(part) for part in node.values]
                return UNKNOWN if UNKNOWN in parts else "".join(map(str, parts))
            case ast.FormattedValue():
                return self.value(node.value)
            case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[right]):
                owner = self.value(right)
                if not isinstance(owner, list | dict):
                    return UNKNOWN
                return (self.value(node.left) in owner) is isinstance(node.ops[0], ast.In)
            case ast.IfExp():
                test = self.value(node.test)
                return (
                    UNKNOWN if test is UNKNOWN else self.value(node.body if test else node.orelse)
                )
            case ast.Lambda():
                return Symbol(f"lambda {ast.unparse(node.body)}")
            case ast.Call():
                return self._call(node)
            case _:
                return UNKNOWN

    def _items(self, nodes: list[ast.expr]) -> Any:
        items: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self.value(node.value)
                if inner is UNKNOWN:
                    return UNKNOWN
                items += inner
            else:
                items.append(self.value(node))
        return items

    def _dict(self, node: ast.Dict) -> Any:
        result: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                inner = self.value(value)
                if not isinstance(inner, dict):
                    return UNKNOWN
                result.update(inner)
            else:
                result[self.value(key)] = self.value(value)
        return result

    def _name(self, name: str) -> Any:
        if name in self.env:
            return self.env[name]
        found = self.sources.find(self.module, name)
        if found is None:
            return Symbol(name)
        module, node = found
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            return Symbol(name)
        value = self.sources.evaluate(module, node, {})
        return Symbol(name) if value is UNKNOWN else value

    def _attribute(self, node: ast.Attribute) -> Any:
        text = ast.unparse(node)
        if text == "current_platform.device_type":
            return PLATFORM
        if isinstance(node.value, ast.Name):
            found = self.sources.find(self.module, node.value.id)
            if found and isinstance(found[1], ast.ClassDef):
                value = class_attribute(found[1], node.attr)
                return Symbol(text) if value is None else self.sources.evaluate(found[0], value, {})
        return Symbol(text)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> Any:
        (loop,) = node.generators
        values = self._iterated(loop.iter)
        if values is UNKNOWN or not isinstance(loop.target, ast.Name):
            return UNKNOWN
        result: list[Any] = []
        for value in values:
            if isinstance(node.elt, ast.Attribute) and node.elt.attr in {"value", "name"}:
                result.append(value)
            else:
                env = {**self.env, loop.target.id: value}
                result.append(_Evaluator(self.sources, self.module, env).value(node.elt))
        return result

    def _iterated(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            found = self.sources.find(self.module, node.id)
            if found and isinstance(found[1], ast.ClassDef):
                return enum_values(found[1])
        value = self.value(node)
        return value if isinstance(value, list) else UNKNOWN

    def _call(self, node: ast.Call) -> Any:
        name = ast.unparse(node.func)
        if name == "get_args" or name.endswith(".get_args"):
            hints = Hints(self.sources).of(self.module, node.args[0])
            return next((list(hint.options) for hint in hints if hint.kind == "literal"), UNKNOWN)
        if name in {"list", "sorted", "tuple"}:
            value = self._iterated(node.args[0]) if node.args else UNKNOWN
            if value is UNKNOWN:
                return UNKNOWN
            return sorted(value) if name == "sorted" else list(value)
        if name == "permutations":
            return [list(p) for p in itertools.permutations(self.value(node.args[0]), 2)]
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value)
            arguments = [self.value(argument) for argument in node.args]
            known = isinstance(owner, str) and node.func.attr in {"replace", "lower", "join"}
            if known and UNKNOWN not in arguments:
                return getattr(owner, node.func.attr)(*arguments)
            if isinstance(owner, dict) and node.func.attr == "pop":
                return owner.pop(*arguments)
            return UNKNOWN
        if name in {"optional_type", "parse_type"}:
            return Symbol(f"{name}({self.value(node.args[0]).name})")
        return UNKNOWN


def class_attribute(node: ast.ClassDef, name: str) -> ast.expr | None:
    """The expression a class gives an attribute, None where it gives none."""
    for item in node.body:
        match item:
            case ast.AnnAssign(target=ast.Name(id=found), value=value) if found == name:
                return value
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return value
    return None


def enum_values(node: ast.ClassDef) -> list[str]:
    """The string values of an enumeration's members, in their order."""
    values = [item.value for item in node.body if isinstance(item, ast.Assign)]
    return [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]


@dataclass(frozen=True)
class Hint:
    """One of the types an annotation allows.

    `kind`: builtin, none, literal, dataclass, enum or other; `arguments` are the hints of
    the elements of a container, `node` and `module` where a class is defined.
    """

    kind: str
    name: str = ""
    options: tuple[Any, ...] = ()
    arguments: tuple[tuple[Hint, ...], ...] = ()
    module: Module | None = field(default=None, compare=False)
    node: ast.ClassDef | None = field(default=None, compare=False)


_BUILTINS = {"int", "float", "str", "bool", "dict", "list", "tuple", "set", "bytes"}
_ALIASES = {"List": "list", "Dict": "dict", "Tuple": "tuple", "Set": "set", "Type": "type"}


class Hints:
    """Annotations, taken apart into the types they allow."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources

    def of(self, module: Module, node: ast.AST) -> list[Hint]:
        """Every type that the annotation allows; unions and aliases are flattened."""
        match node:
            case ast.Constant(value=None):
                return [Hint("none")]
            case ast.Constant(value=str(text)):
                return self.of(module, ast.parse(text, mode="eval").body)
            case ast.BinOp(op=ast.BitOr()):
                return [*self.of(module, node.left), *self.of(module, node.right)]
            case ast.Subscript():
                return self._subscript(module, node)
            case ast.Name():
                return self._name(module, node.id)
            case ast.Attribute():
                return [Hint("other", ast.unparse(node))]
            case _:
                return [Hint("other", ast.unparse(node))]

    def _subscript(self, module: Module, node: ast.Subscript) -> list[Hint]:
        name = ast.unparse(node.value).rpartition(".")[2]
        name = _ALIASES.get(name, name)
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Union":
            return [hint for part in arguments for hint in self.of(module, part)]
        if name == "Optional":
            return [*self.of(module, arguments[0]), Hint("none")]
        if name in {"Annotated", "SkipValidation"}:
            return self.of(module, arguments[0])
        if name == "Literal":
            return [Hint("literal", options=tuple(self._options(module, arguments)))]
        inner = tuple(tuple(self.of(module, part)) for part in arguments)
        return [Hint("builtin" if name in _BUILTINS else "other", name, arguments=inner)]

    def _options(self, module: Module, nodes: list[ast.expr]) -> list[Any]:
        options: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Constant):
                options.append(node.value)
            else:
                for hint in self.of(module, node):
                    options += hint.options
        return list(dict.fromkeys(options))

    def _name(self, module: Module, name: str) -> list[Hint]:
        if name in _BUILTINS and name not in module.names:
            return [Hint("builtin", name)]
        found = self.sources.find(module, name)
        if found is None:
            return [Hint("other", name)]
        where, node = found
        if isinstance(node, ast.ClassDef):
            return [self._class(where, node)]
        if isinstance(node, ast.FunctionDef):
            return [Hint("other", name)]
        return self.of(where, node)

    def _class(self, module: Module, node: ast.ClassDef) -> Hint:
        decorators = [ast.unparse(item).partition("(")[0] for item in node.decorator_list]
        bases = [ast.unparse(base).partition("[")[0] for base in node.bases]
        if any(name.rpartition(".")[2] in {"config", "dataclass"} for name in decorators):
            return Hint("dataclass", node.name, module=module, node=node)
        if any(base.rpartition(".")[2].endswith("Enum") for base in bases):
            return Hint("enum", node.name, tuple(enum_values(node)))
        if "dict" in bases:
            return Hint("builtin", "dict")
        return Hint("other", node.name)

    def fields(
        self, module: Module, node: ast.ClassDef, *, as_keys: bool = False
    ) -> dict[str, list[Hint]]:
        """The fields of a dataclass and its bases, in order, with what each allows.

        With `as_keys` those that its constructor takes: InitVar too, but none with
        init=False, and anything where validation is skipped.
        """
        result: dict[str, list[Hint]] = {}
        for base in node.bases:
            found = (
                self.sources.find(module, ast.unparse(base)) if isinstance(base, ast.Name) else None
            )
            if found and isinstance(found[1], ast.ClassDef):
                result.update(self.fields(found[0], found[1], as_keys=as_keys))
        for item in node.body:
            if not (isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)):
                continue
            text = ast.unparse(item.annotation)
            if "ClassVar" in text or (text.startswith("InitVar") and not as_keys):
                continue
            if as_keys and item.value is not None and "init=False" in ast.unparse(item.value):
                result.pop(item.target.id, None)
            elif as_keys and ("SkipValidation" in text or text.startswith("InitVar")):
                result[item.target.id] = [Hint("other", "Any")]
            else:
                result[item.target.id] = self.of(module, item.annotation)
        return result
