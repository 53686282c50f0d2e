"""The arguments of `vllm serve` in one release, read from the sources of its wheel.

The code that builds the parser is followed statement by statement (`add_cli_args`,
`make_arg_parser`, the `serve` subcommand), with vLLM's own rule that derives an argument
from the annotation of a config's field (`engine/arg_utils.py:get_kwargs`).
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from vllm_sources import UNKNOWN, Hint, Hints, Module, Sources, Symbol, class_attribute

_ENGINE = "vllm.engine.arg_utils"
_FRONTENDS = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)
_SERVE = "vllm.entrypoints.cli.serve"


class ParserReader:
    """Collects what the parser of one release is told to accept."""

    def __init__(self, root: Path) -> None:
        self.sources = Sources(root)
        self.hints = Hints(self.sources)
        self.engine = self._module(_ENGINE)
        self.frontend = next(m for m in map(self.sources.module, _FRONTENDS) if m)
        self.arguments: list[dict[str, Any]] = []
        self.configs: dict[str, Hint] = {}
        node = self.engine.names.get("_compute_kwargs") or self.engine.names.get("get_kwargs")
        self.rule = ast.unparse(node) if node else ""
        literals = self.engine.names.get("literal_to_kwargs")
        self.open_literals = literals is not None and "metavar" in ast.unparse(literals)
        # Some releases read key=value pairs where an argument's JSON is no object.
        readers = [self.engine.names.get(name) for name in ("parse_type", "optional_type")]
        texts = [ast.unparse(node) for node in readers if isinstance(node, ast.AST)]
        self.takes_pairs = any("nullable_kvs" in text for text in texts)
        self.scaled = set(re.findall(r"'([a-z_]+)'", self._scaled_text()))

    def _scaled_text(self) -> str:
        sets = re.findall(r"\{'[a-z_', ]+'\}", self.rule.replace("\n", " "))
        return " ".join(text for text in sets if "max_" in text)

    def _module(self, name: str) -> Module:
        module = self.sources.module(name)
        if module is None:
            raise SystemExit(f"{self.sources.root} has no {name}")
        return module

    def read(self) -> list[dict[str, Any]]:
        """Every argument, in the parser's order."""
        serve = self._module(_SERVE)
        commands = (item for item in serve.names.values() if isinstance(item, ast.ClassDef))
        body = next(filter(None, (_method(item, "subparser_init") for item in commands)))
        self._run(serve, body.body, {})
        return self.arguments

    # The statements that build a parser.

    def _run(self, module: Module, body: list[ast.stmt], env: dict[str, Any]) -> Any:
        for node in body:
            match node:
                case ast.If():
                    test = self._value(module, node.test, env)
                    self._run(module, node.orelse if test is False else node.body, env)
                case ast.For():
                    self._loop(module, node, env)
                case ast.With():
                    self._run(module, node.body, env)
                case ast.Return(value=value) if value is not None:
                    return self._value(module, value, env)
                case _:
                    self._do(module, node, env)
        return None

    def _do(self, module: Module, node: ast.stmt, env: dict[str, Any]) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                env[name] = self._value(module, value, env)
            case ast.Assign(targets=[ast.Subscript() as target], value=value):
                self._store(module, target, self._value(module, value, env), env)
            case ast.AugAssign(target=ast.Subscript() as target, value=value):
                self._extend(module, target, value, env)
            case ast.Delete(targets=targets):
                for target in (item for item in targets if isinstance(item, ast.Subscript)):
                    owner = self._value(module, target.value, env)
                    owner.pop(self._value(module, target.slice, env), None)
            case ast.Expr(value=ast.Call() as call):
                self._call(module, call, env)
            case _:
                pass

    def _store(
        self, module: Module, target: ast.Subscript, value: Any, env: dict[str, Any]
    ) -> None:
        owner = self._value(module, target.value, env)
        if isinstance(owner, dict):
            owner[self._value(module, target.slice, env)] = value

    def _extend(
        self, module: Module, target: ast.Subscript, value: ast.expr, env: dict[str, Any]
    ) -> None:
        owner, key = self._value(module, target.value, env), self._value(module, target.slice, env)
        more = self._value(module, value, env)
        if isinstance(owner, dict) and isinstance(owner.get(key), list) and isinstance(more, list):
            owner[key] = owner[key] + more

    def _loop(self, module: Module, node: ast.For, env: dict[str, Any]) -> None:
        match node.iter:
            case ast.Call(func=ast.Attribute(value=owner, attr="items")):
                table = self._value(module, owner, env)
            case _:
                return
        if not isinstance(table, dict) or not isinstance(node.target, ast.Tuple):
            return
        names = [item.id for item in node.target.elts if isinstance(item, ast.Name)]
        for pair in list(table.items()):
            self._run(module, node.body, {**env, **dict(zip(names, pair, strict=True))})

    def _value(self, module: Module, node: ast.expr, env: dict[str, Any]) -> Any:
        if isinstance(node, ast.Call):
            result = self._call(module, node, env)
            if result is not UNKNOWN:
                return result
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call):
            return self._value(module, node.value, env)[self._value(module, node.slice, env)]
        return self.sources.evaluate(module, node, env)

    def _call(self, module: Module, node: ast.Call, env: dict[str, Any]) -> Any:
        if isinstance(node.func, ast.Name):
            return self._function(module, node, env)
        if not isinstance(node.func, ast.Attribute):
            return UNKNOWN
        name = node.func.attr
        if name == "add_argument":
            self._add(module, node, env)
            return None
        if name in {"add_cli_args", "_customize_cli_kwargs"}:
            return self._classmethod(module, node, env)
        if name in {"remove", "append", "update"}:
            owner = self._value(module, node.func.value, env)
            value = self._value(module, node.args[0], env) if node.args else UNKNOWN
            if isinstance(owner, list | dict) and value is not UNKNOWN:
                if name != "remove" or value in owner:
                    getattr(owner, name)(value)
                return None
        return UNKNOWN

    def _function(self, module: Module, node: ast.Call, env: dict[str, Any]) -> Any:
        assert isinstance(node.func, ast.Name)
        if node.func.id == "get_kwargs":
            if isinstance(node.args[0], ast.Name) and node.args[0].id == "cls":
                owner, definition = env["cls"]
            else:
                found = self.sources.find(module, ast.unparse(node.args[0]))
                if found is None or not isinstance(found[1], ast.ClassDef):
                    raise SystemExit(f"{module.name}: {ast.unparse(node)} names no class")
                owner, definition = found
            return self.kwargs(owner, definition)
        if node.func.id == "make_arg_parser":
            found = self.sources.find(module, "make_arg_parser")
            assert found and isinstance(found[1], ast.FunctionDef)
            self._run(found[0], found[1].body, {})
            return None
        return UNKNOWN

    def _classmethod(self, module: Module, node: ast.Call, env: dict[str, Any]) -> Any:
        assert isinstance(node.func, ast.Attribute)
        owner = node.func.value
        match owner:
            case ast.Call(func=ast.Name(id="super")):
                where, definition = env["super"]
            case ast.Name(id="cls"):
                where, definition = env["cls"]
            case ast.Name(id=name):
                found = self.sources.find(module, name)
                if found is None or not isinstance(found[1], ast.ClassDef):
                    return UNKNOWN
                where, definition = found
            case _:
                return UNKNOWN
        return self._run_method(where, definition, node, module, env)

    def _run_method(
        self,
        where: Module,
        definition: ast.ClassDef,
        node: ast.Call,
        module: Module,
        env: dict[str, Any],
    ) -> Any:
        assert isinstance(node.func, ast.Attribute)
        cls = env.get("cls", (where, definition))
        if isinstance(node.func.value, ast.Name) and node.func.value.id not in {"cls"}:
            cls = (where, definition)
        at, owner = where, definition
        while (method := _method(owner, node.func.attr)) is None:
            base = self.sources.find(at, ast.unparse(owner.bases[0]))
            assert base and isinstance(base[1], ast.ClassDef)
            at, owner = base
        parent = self.sources.find(at, ast.unparse(owner.bases[0])) if owner.bases else None
        names = [
            argument.arg for argument in method.args.args if argument.arg not in {"cls", "self"}
        ]
        values = [self._value(module, argument, env) for argument in node.args]
        inner = {**dict(zip(names, values, strict=False)), "cls": cls}
        inner["async_args_only"] = False
        if parent and isinstance(parent[1], ast.ClassDef):
            inner["super"] = parent
        return self._run(at, method.body, inner)

    # One argument.

    def _add(self, module: Module, node: ast.Call, env: dict[str, Any]) -> None:
        spellings: list[str] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                spellings += self._value(module, argument.value, env)
            else:
                spellings.append(self._value(module, argument, env))
        given: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self._value(module, keyword.value, env)
            if keyword.arg is None:
                given.update(value if isinstance(value, dict) else {})
            else:
                given[keyword.arg] = value
        self.arguments.append({"spellings": spellings, **given})

    def kwargs(self, module: Module, node: ast.ClassDef) -> dict[str, dict[str, Any]]:
        """What vLLM derives for every field of a config: action, type, choices, nargs."""
        result: dict[str, dict[str, Any]] = {}
        for name, hints in self.hints.fields(module, node).items():
            default = class_attribute(node, name)
            result[name] = self._derived(name, hints)
            if isinstance(default, ast.Constant):
                result[name]["default"] = default.value
        return result

    def _derived(self, name: str, hints: list[Hint]) -> dict[str, Any]:
        kwargs: dict[str, Any] = {}
        builtins = {hint.name: hint for hint in hints if hint.kind == "builtin"}
        literal = next((hint for hint in hints if hint.kind == "literal"), None)
        config = next((hint for hint in hints if hint.kind == "dataclass"), None)
        optional = any(hint.kind == "none" for hint in hints)
        others = [hint for hint in hints if hint.kind in {"other", "enum", "dataclass"}]
        collection = next((builtins[k] for k in ("tuple", "list", "set") if k in builtins), None)
        if config is not None and "dataclass_cls" in self.rule:
            self.configs[config.name] = config
            kwargs["type"] = Symbol(f"config {config.name}")
        elif set(builtins) == {"bool", "str"} and optional and "{bool, str" in self.rule:
            kwargs.update(type=Symbol("str"), nargs="?")
        elif "bool" in builtins:
            return {"action": Symbol("argparse.BooleanOptionalAction")}
        elif literal is not None:
            kwargs["type"] = Symbol(type(literal.options[0]).__name__)
            if not ("str" in builtins and self.open_literals):
                kwargs["choices"] = sorted(literal.options)
        elif collection is not None:
            kwargs.update(self._collection(collection))
        elif "int" in builtins:
            kwargs["type"] = Symbol(self._integer(name))
        elif "float" in builtins:
            kwargs["type"] = Symbol("float")
        elif "dict" in builtins:
            open_text = ("str" in builtins or others) and "union_dict_and_str" in self.rule
            text = "union_dict_and_str" if open_text else "parse_type(json.loads)"
            kwargs["type"] = Symbol(text)
        else:
            kwargs["type"] = Symbol("str")
        # A boolean is left to argparse, None or not.
        if optional and "bool" not in builtins:
            kwargs["type"] = Symbol(f"optional_type({kwargs['type'].name})")
            if "choices" in kwargs:
                kwargs["choices"] = [*kwargs["choices"], "None"]
        return kwargs

    def _integer(self, name: str) -> str:
        if name == "max_model_len" and "human_readable_int_or_auto" in self.rule:
            return "human_readable_int_or_auto"
        return "human_readable_int" if name in self.scaled else "int"

    def _collection(self, hint: Hint) -> dict[str, Any]:
        elements = hint.arguments[0] if hint.arguments else (Hint("builtin", "str"),)
        kwargs: dict[str, Any] = {"type": Symbol("str"), "nargs": "+"}
        if len(elements) == 1:
            (element,) = elements
            if element.kind == "literal":
                kwargs["choices"] = sorted(element.options)
            elif element.kind == "builtin" and element.name in {"int", "float"}:
                kwargs["type"] = Symbol(element.name)
        if hint.name == "tuple" and not any(
            h.name == "..." or h.name == "Ellipsis" for part in hint.arguments for h in part
        ):
            kwargs["nargs"] = len(hint.arguments)
        return kwargs


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((i for i in node.body if isinstance(i, ast.FunctionDef) and i.name == name), None)


_UNPACKED = "json.loads(x)"
_MADE_FROM_JSON = ("SpeculativeConfig",)
_SCALARS = ("int", "float", "str", "bool")


def config_schema(reader: ParserReader) -> dict[str, dict[str, Any]]:
    """What the JSON of every config argument may hold: keys, their types, closed or not.

    A key's types are names, {"choices": [...]} for literals, "config NAME" for an object
    of another config and "any" (or "no object") where vLLM itself converts what is given:
    validators that run before, classes that JSON cannot hold.
    """
    schema: dict[str, dict[str, Any]] = {}
    used = " ".join(getattr(item.get("type"), "name", "") for item in reader.arguments)
    queue = [hint for name, hint in reader.configs.items() if f"config {name}" in used]
    queue += _made_from_json(reader)
    # Early releases hand the object to the class as it is: no type is looked at.
    unchecked = _UNPACKED in reader.rule
    while queue:
        hint = queue.pop(0)
        if hint.name in schema or hint.node is None or hint.module is None:
            continue
        free = _converted(hint.node)
        keys: dict[str, list[Any]] = {}
        made = hint.name in _MADE_FROM_JSON
        for name, hints in reader.hints.fields(hint.module, hint.node, as_keys=True).items():
            keys[name] = _types(hints)
            if unchecked or (made and not _is_validated(hint)):
                keys[name] = ["any"]
            elif name in free:
                configs = [kind for kind in keys[name] if str(kind).startswith("config ")]
                keys[name] = [*configs, "no object"] if configs else ["any"]
            if made and keys[name] == ["any"]:
                continue
            queue += [h for h in hints if h.kind == "dataclass" and h.node and _is_config(h.node)]
        schema[hint.name] = {"closed": _closed(reader, hint), "keys": keys}
    return schema


def _made_from_json(reader: ParserReader) -> list[Hint]:
    """The classes that vLLM itself makes from the object of an argument."""
    found = (reader.sources.find(reader.engine, name) for name in _MADE_FROM_JSON)
    return [
        Hint("dataclass", item[1].name, module=item[0], node=item[1])
        for item in found
        if item is not None and isinstance(item[1], ast.ClassDef) and item[1].decorator_list
    ]


def _is_validated(hint: Hint) -> bool:
    """Whether pydantic checks the class's fields; Python's own dataclasses check none."""
    assert hint.node is not None and hint.module is not None
    decorators = [ast.unparse(item).partition("(")[0] for item in hint.node.decorator_list]
    if "dataclass" not in decorators:
        return True
    return hint.module.imports.get("dataclass", ("", None))[0].startswith("pydantic")


def _types(hints: list[Hint]) -> list[Any]:
    types: list[Any] = []
    for hint in hints:
        match hint.kind:
            case "none":
                types.append("none")
            case "literal":
                types.append({"choices": list(hint.options)})
            case "dataclass" if hint.node is not None and _is_config(hint.node):
                types.append(f"config {hint.name}")
            case "enum" if hint.options:
                types.append({"choices": list(hint.options)})
            case "builtin" if hint.name in _SCALARS:
                types.append(hint.name)
            case "builtin" if hint.name in {"list", "tuple", "set"}:
                types.append("list")
            case "builtin" if hint.name == "dict":
                types.append("dict")
            case _:
                return ["any"]
    return types


def _is_config(node: ast.ClassDef) -> bool:
    """Whether a class is one of vLLM's configs, not one that is made from text."""
    names = (ast.unparse(item).partition("(")[0] for item in node.decorator_list)
    return any(name.rpartition(".")[2] == "config" for name in names)


def _converted(node: ast.ClassDef) -> set[str]:
    """Fields with a validator that runs before the type is checked, or in its place."""
    names: set[str] = set()
    for item in node.body:
        decorators = item.decorator_list if isinstance(item, ast.FunctionDef) else []
        for decorator in decorators:
            text = ast.unparse(decorator)
            early = "field_validator" in text and re.search(r"mode='(before|wrap|plain)'", text)
            if isinstance(decorator, ast.Call) and early:
                names |= {str(a.value) for a in decorator.args if isinstance(a, ast.Constant)}
    return names


def _closed(reader: ParserReader, hint: Hint) -> bool:
    """Whether an unknown key is an error for this config in this release."""
    assert hint.node is not None
    decorators = " ".join(ast.unparse(item) for item in hint.node.decorator_list)
    if "extra='allow'" in decorators or "extra='ignore'" in decorators:
        return False
    if "extra='forbid'" in decorators:
        return True
    if hint.name in _MADE_FROM_JSON and not _is_validated(hint):
        return True
    if _UNPACKED in reader.rule and _method(hint.node, "from_cli") is None:
        return True
    utils = reader.sources.module("vllm.config.utils")
    rule = utils.names.get("config") if utils else None
    return _is_config(hint.node) and rule is not None and "extra='forbid'" in ast.unparse(rule)
