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
from typing import Any

from scripts.acceptance_sources import assigned
from scripts.build_acceptance import releases, spans

TARGET = Path(__file__).parent.parent / "planner/vllm_preflight/launch/flags/names.json"
DATE = "2026-11-28"
# What vLLM resolves before it looks into its registry of tokenisers (tokenizers/registry.py).
_TOKENIZERS_RESOLVED = ("auto", "slow")


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


def attention_backends(package: Path) -> list[str]:
    """The members of the enumeration of attention back ends."""
    for name, kind in (
        ("v1/attention/backends/registry.py", "AttentionBackendEnum"),
        ("attention/backends/registry.py", "AttentionBackendEnum"),
        ("attention/backends/registry.py", "_Backend"),
        ("platforms/interface.py", "_Backend"),
    ):
        if members := _members(package / name, kind):
            return members
    raise SystemExit(f"{package} has no attention back ends")


def _members(path: Path, kind: str) -> list[str]:
    if not path.is_file():
        return []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == kind:
            targets = [item.targets[0] for item in node.body if isinstance(item, ast.Assign)]
            return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


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
    return [*_TOKENIZERS_RESOLVED, *names]


def _modes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TokenizerRegistry.register":
            yield ast.literal_eval(node.args[0])


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
    return _members(package / "config/compilation.py", "CUDAGraphMode")


def compilation_modes(package: Path) -> list[str]:
    """The members of CompilationMode."""
    return _members(package / "config/compilation.py", "CompilationMode")


READERS: Mapping[str, Callable[[Path], list[str]]] = {
    "tool_call_parser": tool_parsers,
    "reasoning_parser": reasoning_parsers,
    "attention_backend": attention_backends,
    "load_format": load_formats,
    "tokenizer_mode": tokenizer_modes,
    "kv_connector": kv_connectors,
    "cudagraph_mode": cudagraph_modes,
    "compilation_mode": compilation_modes,
}


def main() -> None:
    folders = releases(Path(sys.argv[1]))
    names: dict[str, dict[str, Any]] = {}
    for kind, reader in READERS.items():
        found = {
            release: [(name, True) for name in dict.fromkeys(reader(folder / "vllm"))]
            for release, folder in folders.items()
        }
        names[kind] = spans(found)
        for entries in names[kind].values():
            for entry in entries:
                del entry["value"]
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
