"""Reading facts out of the Python files of a wheel without importing them."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

# Of a quantisation's config class: least capability, files looked for, dtypes, and whether
# it can be made without a config.
Facts = tuple[int | None, tuple[str, ...] | None, tuple[str, ...] | None, bool]
_METHODS = ("get_min_capability", "get_config_filenames", "get_supported_act_dtypes")
_DTYPES = {"half": "float16", "float16": "float16", "bfloat16": "bfloat16", "float32": "float32"}
_ATTENTION_BACKEND = "_supports_attention_backend"
_OWN_ATTENTION = re.compile(r"^class \w*Attention\w*\(nn\.Module\):", re.MULTILINE)
_INTERFACE = "ALL_ATTENTION_FUNCTIONS.get_interface("
# Classes that a config.json can name.
_MODELS = (
    "ForCausalLM",
    "ForConditionalGeneration",
    "LMHeadModel",
    "Model",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForTextEncoding",
)


def assigned(path: Path) -> dict[str, ast.expr]:
    """The values given to names at the top of a module."""
    found: dict[str, ast.expr] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def literal_names(value: ast.expr | None) -> set[str]:
    """The names of a Literal, a list, or the keys of a dictionary; empty for anything else."""
    if isinstance(value, ast.Subscript):
        value = value.slice
    items: list[ast.expr | None] = []
    if isinstance(value, ast.Dict):
        items = list(value.keys)
    elif isinstance(value, ast.List | ast.Tuple):
        items = list(value.elts)
    return {
        item.value
        for item in items
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    }


def method_classes(path: Path) -> dict[str, str]:
    """The config class of each quantisation method (get_quantization_config)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        named = isinstance(target, ast.Name) and target.id == "method_to_config"
        if named and isinstance(node.value, ast.Dict):  # type: ignore[union-attr]
            pairs = zip(node.value.keys, node.value.values, strict=True)  # type: ignore[union-attr]
            return {
                key.value: ast.unparse(value)
                for key, value in pairs
                if isinstance(key, ast.Constant)
            }
    return {}


@cache
def class_facts(package: Path) -> Mapping[str, Facts]:
    """What every quantisation config class of a wheel says of itself, bases included."""
    own: dict[str, tuple[list[str], dict[str, list[Any]]]] = {}
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "class " not in text or not any(name in text for name in _METHODS):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base) for base in node.bases]
                own[node.name] = (bases, {**_returned(node), **_needed(node)})

    def look(name: str, method: str) -> list[Any] | None:
        if name not in own:
            return None
        bases, methods = own[name]
        if methods.get(method):
            return methods[method]
        return next((found for base in bases if (found := look(base, method)) is not None), None)

    facts: dict[str, Facts] = {}
    for name in own:
        capability, files, dtypes = (look(name, method) for method in _METHODS)
        needed = look(name, "__init__")
        number = capability[0] if capability else None
        facts[name] = (
            number if isinstance(number, int) else None,
            tuple(files[0]) if files else None,
            tuple(dtypes[0]) if dtypes else None,
            bool(needed and needed[0]),
        )
    return facts


def _needed(node: ast.ClassDef) -> dict[str, list[Any]]:
    """How many arguments the class cannot be made without."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            arguments = method.args
            return {"__init__": [len(arguments.args) - 1 - len(arguments.defaults)]}
    return {}


def _returned(node: ast.ClassDef) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for method in node.body:
        if not isinstance(method, ast.FunctionDef) or method.name not in _METHODS:
            continue
        values = [
            value
            for item in ast.walk(method)
            if isinstance(item, ast.Return) and (value := _value(item.value)) is not None
        ]
        if values:
            found[method.name] = values
    return found


def _value(node: ast.expr | None) -> Any:
    """A number, or a list of texts or of torch dtypes; None for anything else."""
    if isinstance(node, ast.List):
        dtypes = [item.attr for item in node.elts if isinstance(item, ast.Attribute)]
        if dtypes:
            return [_DTYPES[name] for name in dtypes if name in _DTYPES]
        return [item.value for item in node.elts if isinstance(item, ast.Constant)]
    return node.value if isinstance(node, ast.Constant) else None


def transformers_classes(folder: Path) -> dict[str, Any]:
    """The classes of transformers that vLLM's Transformers backend accepts.

    By the first and the last version read in which they are; `versions` are those read.
    `marked` classes say so themselves (_supports_attention_backend); `settable` ones take
    an attention implementation, which vLLM accepts as well since 0.30.
    """
    versions = sorted(
        (path.name for path in folder.iterdir() if (path / "transformers").is_dir()),
        key=lambda name: [int(part) for part in name.split(".")],
    )
    marked: dict[str, list[str]] = {}
    settable: dict[str, list[str]] = {}
    for version in versions:
        for path in sorted((folder / version / "transformers/models").rglob("modeling_*.py")):
            text = path.read_text(encoding="utf-8")
            can_set = _INTERFACE in text or not _OWN_ATTENTION.search(text)
            classes = {
                node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)
            }
            for name in classes:
                if not name.endswith(_MODELS) or not _is_model(name, classes):
                    continue
                if _marked(name, classes):
                    marked.setdefault(name, [version, version])[1] = version
                elif can_set:
                    settable.setdefault(name, [version, version])[1] = version
    return {
        "versions": versions,
        "marked": dict(sorted(marked.items())),
        "settable": dict(sorted(settable.items())),
    }


def _is_model(name: str, classes: Mapping[str, ast.ClassDef]) -> bool:
    node = classes.get(name)
    if node is None:
        return name.endswith(("PreTrainedModel", "GenericForSequenceClassification"))
    return any(_is_model(ast.unparse(base), classes) for base in node.bases)


def _marked(name: str, classes: Mapping[str, ast.ClassDef]) -> bool:
    node = classes.get(name)
    if node is None:
        return False
    for item in node.body:
        target = item.targets[0] if isinstance(item, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == _ATTENTION_BACKEND:
            return ast.unparse(item).endswith("= True")
    return any(_marked(ast.unparse(base), classes) for base in node.bases)
