"""Write launch/speculation/methods.json: what each vLLM release knows of speculative decoding.

    python scripts/build_draft_methods.py SOURCES

SOURCES holds one folder per release, named by its version, with the wheel's `vllm` package
in it. Of each release's SpeculativeConfig it reads which methods exist, which targets it
turns into a multi-token predictor, and which targets it accepts for EAGLE-3. A second run
writes the same bytes.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

OUTPUT = (
    Path(__file__).resolve().parent.parent
    / "planner/vllm_preflight/launch/speculation/methods.json"
)
# The file that defines SpeculativeConfig, newest place first.
PLACES = ("config/speculative.py", "config/__init__.py", "config.py")
# Names in hf_config_override that are no target of multi-token prediction: an EAGLE head
# that is renamed, a DFlash head whose vocabulary is filled in.
NOT_TARGETS = frozenset({"MistralLarge3ForCausalLM", "muse_glimmer_assistant"})
# When the sources were read, so that a second run writes the same file.
READ_ON = date(2026, 11, 28).isoformat()


def main() -> int:
    """Write the table and say how many releases were read."""
    sources = Path(sys.argv[1])
    releases = sorted(
        (folder.name for folder in sources.iterdir() if _place(folder) is not None), key=_key
    )
    trees = {release: _tree(sources / release) for release in releases}
    # The first releases take any method's name.
    trees = {name: tree for name, tree in trees.items() if "SpeculativeMethod" in _literals(tree)}
    table = {
        "source": "SpeculativeConfig of each release named (vllm/config/speculative.py, "
        "config/__init__.py, config.py)",
        "date": READ_ON,
        "releases": list(trees),
        "methods": _spans({name: _methods(tree) for name, tree in trees.items()}),
        "mtp_targets": _spans({name: _mtp_targets(tree) for name, tree in trees.items()}),
        "eagle3_targets": _changes({name: _eagle3(tree) for name, tree in trees.items()}),
    }
    OUTPUT.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{len(trees)} releases, {len(table['methods'])} methods in {OUTPUT.name}")
    return 0


def _place(folder: Path) -> Path | None:
    for place in PLACES:
        path = folder / "vllm" / place
        if path.is_file() and "class SpeculativeConfig" in path.read_text(encoding="utf-8"):
            return path
    return None


def _tree(folder: Path) -> ast.Module:
    path = _place(folder)
    if path is None:
        raise SystemExit(f"{folder} defines no SpeculativeConfig")
    return ast.parse(path.read_text(encoding="utf-8"))


def _key(release: str) -> tuple[int, ...]:
    return tuple(int(part.removeprefix("post")) for part in release.split("."))


def _literals(tree: ast.Module) -> dict[str, list[str]]:
    """The Literal type aliases of a module, those named inside others resolved."""
    found: dict[str, list[str]] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Subscript):
            continue
        if not isinstance(node.value.value, ast.Name) or node.value.value.id != "Literal":
            continue
        inside = node.value.slice
        entries = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        names: list[str] = []
        for entry in entries:
            if isinstance(entry, ast.Constant):
                names.append(str(entry.value))
            elif isinstance(entry, ast.Name):
                names += found.get(entry.id, [])
        for target in node.targets:
            if isinstance(target, ast.Name):
                found[target.id] = names
    return found


def _methods(tree: ast.Module) -> list[str]:
    return _literals(tree)["SpeculativeMethod"]


def _mtp_targets(tree: ast.Module) -> list[str]:
    """Model types and classes that hf_config_override compares a target with."""
    literals = _literals(tree)
    override = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "hf_config_override"
    )
    drafts = {*literals["SpeculativeMethod"], *literals.get("MTPModelTypes", [])}
    names = [
        name
        for node in ast.walk(override)
        if isinstance(node, ast.Compare)
        for name in _compared(node)
        if name not in drafts and name not in NOT_TARGETS and not name.endswith(("_mtp", "MTP"))
    ]
    return list(dict.fromkeys(names))


def _compared(node: ast.AST) -> Iterator[str]:
    """The strings of a comparison, without the arguments of what it calls."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if not isinstance(node, ast.Call):
        for part in ast.iter_child_nodes(node):
            yield from _compared(part)


def _eagle3(tree: ast.Module) -> list[str] | None:
    """The model types EAGLE-3 is limited to; None for a release that checks the class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in {"eagle3_target_supported", "aux_hidden_states_supported"}:
                return [str(value) for value in ast.literal_eval(node.value)]
    return None


def _spans(by_release: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Each name with the first release that has it and the last, if a later one lacks it."""
    releases = list(by_release)
    names = sorted({name for found in by_release.values() for name in found})
    spans: list[dict[str, Any]] = []
    for name in names:
        having = [release for release in releases if name in by_release[release]]
        span: dict[str, Any] = {"name": name, "since": having[0]}
        if having[-1] != releases[-1]:
            span["last"] = having[-1]
        spans.append(span)
    return spans


def _changes(by_release: Mapping[str, list[str] | None]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for release, value in by_release.items():
        if not rows or rows[-1]["value"] != value:
            rows.append({"since": release, "value": value})
    return rows


if __name__ == "__main__":
    sys.exit(main())
