"""Write `names.json`: what vLLM's arguments of free text may name, release by release.

    python scripts/build_names.py WHEELS

WHEELS holds the Python files of vLLM's wheels, unpacked as RELEASE/vllm/.... The files are
parsed, never imported. Post releases and hot fixes count as their release.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from scripts.acceptance_sources import assigned
from scripts.build_acceptance import releases, spans

TARGET = Path(__file__).parent.parent / "planner/vllm_preflight/launch/acceptance/names.json"
DATE = "2026-11-28"
# The configs that arguments become fields of; the first to limit a name counts.
_LIMITING = (
    "ModelConfig",
    "CacheConfig",
    "ParallelConfig",
    "SchedulerConfig",
    "LoRAConfig",
    "LoadConfig",
    "ObservabilityConfig",
    "UVAOffloadConfig",
    "PrefetchOffloadConfig",
)
# What vLLM resolves before it looks into its registry of tokenisers (tokenizers/registry.py).
_TOKENIZERS_RESOLVED = ("auto", "slow", "custom")
_KNOWN_CAPABILITIES = (70, 75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121)


def tool_parsers(package: Path) -> list[str]:
    """The registered parsers of tool calls."""
    return _parsers(
        "_TOOL_PARSERS_TO_REGISTER",
        package / "tool_parsers",
        package / "entrypoints/openai/tool_parsers",
    )


def reasoning_parsers(package: Path) -> list[str]:
    """The registered parsers of reasoning."""
    return _parsers(
        "_REASONING_PARSERS_TO_REGISTER",
        package / "reasoning",
        package / "entrypoints/openai/reasoning_parsers",
    )


def _parsers(table: str, *folders: Path) -> list[str]:
    folder = next(path for path in folders if (path / "__init__.py").is_file())
    listed = assigned(folder / "__init__.py").get(table)
    if isinstance(listed, ast.Dict):
        return [ast.literal_eval(key) for key in listed.keys if key is not None]
    return [name for path in sorted(folder.glob("*.py")) for name in _decorated(path)]


def _decorated(path: Path) -> Iterator[str]:
    """The names under which a module's classes are registered by a decorator."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            if not isinstance(decorator, ast.Call):
                continue
            if not ast.unparse(decorator.func).endswith("ParserManager.register_module"):
                continue
            given = [*decorator.args, *(k.value for k in decorator.keywords if k.arg == "name")]
            names = ast.literal_eval(given[0])
            yield from [names] if isinstance(names, str) else names


def attention_backends(package: Path) -> list[tuple[str, dict[str, Any]]]:
    """The members of the enumeration of attention back ends, with what their classes say."""
    for name, kind in (
        ("v1/attention/backends/registry.py", "AttentionBackendEnum"),
        ("attention/backends/registry.py", "AttentionBackendEnum"),
        ("attention/backends/registry.py", "_Backend"),
        ("platforms/interface.py", "_Backend"),
    ):
        if members := _members(package / name, kind):
            return [(member, _backend(package, value)) for member, value in members.items()]
    raise SystemExit(f"{package} has no attention back ends")


def _backend(package: Path, value: ast.expr) -> dict[str, Any]:
    """What the class of a back end takes; empty where the enumeration names no class."""
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return {}
    if not value.value:
        return {"unregistered": True}
    *modules, kind = value.value.split(".")[1:]
    path = package.joinpath(*modules).with_suffix(".py")
    facts: dict[str, Any] = {"mla": "mla" in value.value.lower()}
    capabilities = _capabilities(path, kind) if path.is_file() else None
    return facts if capabilities is None else {**facts, "capabilities": capabilities}


class _Capability(NamedTuple):
    major: int
    minor: int


def _capabilities(path: Path, kind: str) -> list[int] | None:
    """The capabilities for which a class's own test holds; None where it is no expression."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}
    node = classes.get(kind)
    while node is not None:
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name == "supports_compute_capability":
                statements = [i for i in item.body if not isinstance(i, ast.Expr)]
                if len(statements) != 1 or not isinstance(statements[0], ast.Return):
                    return None
                return _holding(statements[0].value, item.args.args[-1].arg)
        node = next(
            (classes[base] for base in map(ast.unparse, node.bases) if base in classes), None
        )
    return None


def _holding(test: ast.expr | None, name: str) -> list[int] | None:
    assert test is not None
    names = {item.id for item in ast.walk(test) if isinstance(item, ast.Name)}
    if not names <= {name, "DeviceCapability"} or ast.unparse(test) == "True":
        return None
    code = compile(ast.Expression(test), "<test>", "eval")
    found: list[int] = []
    for number in _KNOWN_CAPABILITIES:
        given = {name: _Capability(*divmod(number, 10)), "DeviceCapability": _Capability}
        if eval(code, {"__builtins__": {}}, given):
            found.append(number)
    return found


def v1_backends(package: Path) -> list[str]:
    """The back ends with which early releases stay in the V1 engine."""
    path = package / "engine/arg_utils.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "V1_BACKENDS":
            return ast.literal_eval(node.value)
    return []


def _members(path: Path, kind: str) -> dict[str, ast.expr]:
    if not path.is_file():
        return {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == kind:
            return {
                ast.unparse(item.targets[0]): item.value
                for item in node.body
                if isinstance(item, ast.Assign)
            }
    return {}


def load_formats(package: Path) -> list[str]:
    """The load formats that have a loader; none where the parser lists them itself."""
    path = package / "model_executor/model_loader/__init__.py"
    table = assigned(path).get("_LOAD_FORMAT_TO_MODEL_LOADER")
    keys = table.keys if isinstance(table, ast.Dict) else []
    return [ast.literal_eval(key) for key in keys if key is not None]


def tokenizer_modes(package: Path) -> list[str]:
    """The modes of the registry of tokenisers; none where the parser lists them itself."""
    path = package / "tokenizers/registry.py"
    if not path.is_file():
        return []
    table = assigned(path).get("_VLLM_TOKENIZERS")
    if isinstance(table, ast.Dict):
        names = [ast.literal_eval(key) for key in table.keys if key is not None]
    else:
        names = [name for file in sorted(path.parent.glob("*.py")) for name in _modes(file)]
    text = path.read_text(encoding="utf-8")
    resolved = [name for name in _TOKENIZERS_RESOLVED if f'tokenizer_mode == "{name}"' in text]
    return [*resolved, *names]


def _modes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TokenizerRegistry.register":
            yield ast.literal_eval(node.args[0])


def config_formats(package: Path) -> list[str]:
    """The parsers of a model's config; none where the parser of arguments lists them."""
    path = package / "transformers_utils/config.py"
    table = assigned(path).get("_CONFIG_FORMAT_TO_CONFIG_PARSER")
    keys = table.keys if isinstance(table, ast.Dict) else []
    names = [ast.literal_eval(key) for key in keys if key is not None]
    return ["auto", *names] if names else []


def kv_connectors(package: Path) -> list[str]:
    """The registered connectors of --kv-transfer-config."""
    path = package / "distributed/kv_transfer/kv_connector/factory.py"
    return [
        ast.literal_eval(node.args[0])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("KVConnectorFactory.register_connector")
    ]


def cudagraph_modes(package: Path) -> list[str]:
    """The members of CUDAGraphMode."""
    return list(_members(package / "config/compilation.py", "CUDAGraphMode"))


def compilation_modes(package: Path) -> list[str]:
    """The members of CompilationMode."""
    return list(_members(package / "config/compilation.py", "CompilationMode"))


def number_limits(package: Path) -> list[tuple[str, dict[str, Any]]]:
    """The numbers that the config classes of the arguments take, by their fields' names."""
    found: dict[str, dict[str, Any]] = {}
    paths = [path for path in _config_files(package) if path.is_file()]
    nodes = [node for path in paths for node in ast.parse(path.read_text(encoding="utf-8")).body]
    classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}
    for kind in _LIMITING:
        for item in classes[kind].body if kind in classes else ():
            if isinstance(item, ast.AnnAssign) and (limits := _limits(item)):
                found.setdefault(ast.unparse(item.target), {"config": kind, **limits})
    return list(found.items())


def _config_files(package: Path) -> list[Path]:
    return [package / "config.py", *sorted((package / "config").glob("*.py"))]


def _limits(item: ast.AnnAssign) -> dict[str, float]:
    """What Field(ge=, gt=, le=, lt=) says, in the value or in the annotation."""
    return {
        keyword.arg: ast.literal_eval(keyword.value)
        for node in (item.value, item.annotation)
        for call in (ast.walk(node) if node is not None else ())
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Field"
        for keyword in call.keywords
        if keyword.arg in {"ge", "gt", "le", "lt"}
    }


READERS: Mapping[str, Callable[[Path], list[Any]]] = {
    "tool_call_parser": tool_parsers,
    "reasoning_parser": reasoning_parsers,
    "attention_backend": attention_backends,
    "v1_backend": v1_backends,
    "load_format": load_formats,
    "tokenizer_mode": tokenizer_modes,
    "config_format": config_formats,
    "kv_connector": kv_connectors,
    "cudagraph_mode": cudagraph_modes,
    "compilation_mode": compilation_modes,
    "number_limits": number_limits,
}


def main() -> None:
    folders = releases(Path(sys.argv[1]))
    names: dict[str, dict[str, Any]] = {}
    for kind, reader in READERS.items():
        found = {
            release: [
                item if isinstance(item, tuple) else (item, {}) for item in reader(folder / "vllm")
            ]
            for release, folder in folders.items()
        }
        names[kind] = {
            name: [{**entry.pop("value"), **entry} for entry in entries]
            for name, entries in spans(found).items()
        }
    head = {
        "description": "What arguments of free text may name, by vLLM release: the first release "
        "that registers the name and the last one (absent: the newest known still does).",
        "source": "the registries in the wheels: tool_parsers, reasoning, v1/attention/backends/"
        "registry.py, model_executor/model_loader, tokenizers/registry.py, kv_connector/"
        "factory.py, config/compilation.py; read by scripts/build_names.py",
        "date": DATE,
    }
    lines = [
        f" {json.dumps(kind)}: {{\n"
        + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in entries.items())
        + "\n }"
        for kind, entries in names.items()
    ]
    text = json.dumps(head, indent=1).removesuffix("\n}")
    TARGET.write_text(f"{text},\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
