"""Write what each vLLM release accepts: model classes, quantisation methods, KV cache dtypes.

    python scripts/build_acceptance.py WHEELS TRANSFORMERS

WHEELS holds the Python files of vLLM's wheels, unpacked as RELEASE/vllm/..., and their
METADATA; TRANSFORMERS those of transformers, as VERSION/transformers/.... The files are
parsed, never imported. Post releases and hot fixes count as their release. A second run
gives the same bytes.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from scripts.acceptance_sources import (
    assigned,
    class_facts,
    literal_names,
    method_classes,
    transformers_classes,
)

TARGET = Path(__file__).parent.parent / "planner/vllm_preflight/launch/acceptance"
DATE = "2026-11-28"
_GROUPS = {
    "_TEXT_GENERATION_MODELS": "text_generation",
    "_MULTIMODAL_MODELS": "multimodal",
    "_EMBEDDING_MODELS": "embedding",
    "_CROSS_ENCODER_MODELS": "sequence_classification",
    "_SEQUENCE_CLASSIFICATION_MODELS": "sequence_classification",
    "_TOKEN_CLASSIFICATION_MODELS": "token_classification",
    "_REWARD_MODELS": "reward",
    "_LATE_INTERACTION_MODELS": "late_interaction",
    "_SPECULATIVE_DECODING_MODELS": "speculative_decoding",
    "_TRANSFORMERS_MODELS": "transformers_backend",
    "_TRANSFORMERS_BACKEND_MODELS": "transformers_backend",
    "_TRANSFORMERS_SUPPORTED_MODELS": "transformers_supported",
    "_FALLBACK_MODEL": "transformers_backend",
}
Version = tuple[int, int, int]


def release_of(name: str) -> Version:
    """The release a wheel belongs to: 0.8.5.post1 and 0.10.1.1 are 0.8.5 and 0.10.1."""
    major, minor, patch = re.findall(r"\d+", name)[:3]
    return int(major), int(minor), int(patch)


def releases(wheels: Path) -> dict[str, Path]:
    """Each release with the folder of its last wheel, oldest first."""
    names = sorted(
        (path.name for path in wheels.iterdir() if (path / "vllm").is_dir()),
        key=lambda name: [int(part) for part in re.findall(r"\d+", name)],
    )
    return {".".join(map(str, release_of(name))): wheels / name for name in names}


def spans(found: Mapping[str, Iterable[Any]]) -> dict[str, list[dict[str, Any]]]:
    """Runs of releases in which a name has a value: {name: [{value, since, until}]}.

    `found` gives (name, value) pairs by release. `until` is the last release of a run,
    absent where the newest release still has it.
    """
    order = list(found)
    runs: dict[str, list[dict[str, Any]]] = {}
    for position, release in enumerate(order):
        for name, value in found[release]:
            last = runs.setdefault(name, [])
            before = order[position - 1] if position else None
            if last and last[-1]["until"] == before and last[-1]["value"] == value:
                last[-1]["until"] = release
            else:
                last.append({"value": value, "since": release, "until": release})
    for entries in runs.values():
        if entries[-1]["until"] == order[-1]:
            del entries[-1]["until"]
    return dict(sorted(runs.items()))


def registry(folders: Mapping[str, Path], transformers: Path) -> dict[str, Any]:
    """The model classes of every release, and what it says of those it dropped."""
    classes: dict[str, list[tuple[str, str]]] = {}
    removed: dict[str, list[tuple[str, str]]] = {}
    plugins: dict[str, list[tuple[str, str]]] = {}
    pins: dict[str, str] = {}
    for release, folder in folders.items():
        tables = assigned(folder / "vllm/model_executor/models/registry.py")
        groups: dict[str, str] = {}
        for table, group in _GROUPS.items():
            for name in literal_names(tables.get(table)):
                groups.setdefault(name, group)
        classes[release] = sorted(groups.items())
        removed[release] = _pairs(tables.get("_PREVIOUSLY_SUPPORTED_MODELS"))
        plugins[release] = _pairs(tables.get("_OOT_SUPPORTED_MODELS"))
        metadata = next(folder.glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
        pin = re.search(r"^Requires-Dist: transformers(?!\[)\s*(\S+)$", metadata, re.M)
        assert pin is not None, release
        pins[release] = pin[1]
    return {
        "description": (
            "Model classes by vLLM release: the registry's group, the first release that has "
            "the class in it and the last one (absent: the newest known still has it). "
            "previously_supported and plugins are what a release says when it refuses; "
            "transformers_backend names the classes that vLLM runs in transformers' own modules, "
            "by the first and last version read that have them."
        ),
        "source": (
            "model_executor/models/registry.py and METADATA of the wheels; modeling_*.py of the "
            "transformers wheels (_supports_attention_backend, "
            "_can_set_attn_implementation)"
        ),
        "date": DATE,
        "releases": list(folders),
        "classes": _renamed(spans(classes), "group"),
        "previously_supported": _renamed(spans(removed), "last"),
        "plugins": _renamed(spans(plugins), "url"),
        "transformers_backend": {
            "pins": _renamed(spans({r: [("transformers", pin)] for r, pin in pins.items()}), "pin")[
                "transformers"
            ],
            **transformers_classes(transformers),
        },
    }


def quantization(folders: Mapping[str, Path]) -> dict[str, Any]:
    """The quantisation methods and KV cache dtypes of every release."""
    methods: dict[str, list[tuple[str, Any]]] = {}
    deprecated: dict[str, list[tuple[str, bool]]] = {}
    dtypes: dict[str, list[tuple[str, bool]]] = {}
    rocm: dict[str, list[tuple[str, bool]]] = {}
    for release, folder in folders.items():
        path = folder / "vllm/model_executor/layers/quantization/__init__.py"
        tables = assigned(path)
        names = literal_names(tables.get("QuantizationMethods")) or literal_names(
            tables["QUANTIZATION_METHODS"]
        )
        kinds = method_classes(path)
        facts = class_facts(folder / "vllm")
        online = literal_names(_online(folder))
        methods[release] = [
            (name, _method(name, kinds, facts, online)) for name in sorted(set(names))
        ]
        listed = literal_names(tables.get("DEPRECATED_QUANTIZATION_METHODS"))
        deprecated[release] = [(name, True) for name in sorted(listed) if name in names]
        rocm[release] = [(name, True) for name in sorted(_rocm_methods(folder))]
        dtypes[release] = [(name, True) for name in sorted(_cache_dtypes(folder))]
    return {
        "description": (
            "What --quantization and --kv-cache-dtype may name, by vLLM release. Of a method: "
            "least_capability (major × 10 + minor) and dtypes of its config class, and the files "
            "one of which a 16-bit checkpoint must have (online: quantises while loading, needs "
            "none; needs_config: cannot be made without a quantization_config). deprecated: "
            "refused without --allow-deprecated-quantization. rocm: those that its platform takes "
            "on some AMD GPU."
        ),
        "source": (
            "model_executor/layers/quantization, config/quantization.py, config/cache.py and "
            "platforms/rocm.py of the wheels"
        ),
        "date": DATE,
        "methods": {
            name: [{**entry.pop("value"), **entry} for entry in entries]
            for name, entries in spans(methods).items()
        },
        "deprecated": _flags(deprecated),
        "kv_cache_dtypes": _flags(dtypes),
        "rocm": _flags(rocm),
    }


def _method(
    name: str, kinds: Mapping[str, str], facts: Mapping[str, Any], online: Iterable[str]
) -> dict[str, Any]:
    # A name without a class of its own stands for an online quantisation.
    kind = kinds.get(name, "OnlineQuantizationConfig")
    capability, files, dtypes, needs_config = facts.get(kind) or (None, None, None, False)
    entry: dict[str, Any] = {}
    if capability is not None and capability > 0:
        entry["least_capability"] = capability
    if files:
        entry["files"] = sorted(files)
    if dtypes:
        entry["dtypes"] = sorted(dtypes)
    if name in online or kind == "OnlineQuantizationConfig":
        entry["online"] = True
    elif needs_config and not files:
        entry["needs_config"] = True
    return entry


def _online(folder: Path) -> ast.expr | None:
    path = folder / "vllm/config/quantization.py"
    return assigned(path).get("_ONLINE_SHORTHANDS") if path.is_file() else None


def _rocm_methods(folder: Path) -> set[str]:
    """What ROCm's platform lists, and adds under a condition."""
    tree = ast.parse((folder / "vllm/platforms/rocm.py").read_text(encoding="utf-8"))
    assignments = (n for n in ast.walk(tree) if isinstance(n, ast.AnnAssign | ast.AugAssign))
    return {
        name
        for node in assignments
        if isinstance(node.target, ast.Name) and node.target.id == "supported_quantization"
        for name in literal_names(node.value)
    }


def _cache_dtypes(folder: Path) -> set[str]:
    for name in ("config/cache.py", "config/__init__.py", "config.py"):
        path = folder / "vllm" / name
        if path.is_file() and (found := literal_names(assigned(path).get("CacheDType"))):
            return found
    # Before 0.8.5 the choices stand in the parser alone.
    text = (folder / "vllm/engine/arg_utils.py").read_text(encoding="utf-8")
    choices = re.search(r"'--kv-cache-dtype',\s*type=str,\s*choices=(\[[^\]]*\])", text)
    assert choices is not None, folder
    return set(ast.literal_eval(choices[1]))


def _pairs(table: ast.expr | None) -> list[tuple[str, str]]:
    return sorted(ast.literal_eval(table).items()) if table is not None else []


def _renamed(runs: dict[str, list[dict[str, Any]]], name: str) -> dict[str, Any]:
    return {
        key: [{name: entry.pop("value"), **entry} for entry in entries]
        for key, entries in runs.items()
    }


def _flags(found: Mapping[str, Iterable[Any]]) -> dict[str, Any]:
    runs = spans(found)
    for entries in runs.values():
        for entry in entries:
            del entry["value"]
    return runs


def write(name: str, data: dict[str, Any]) -> None:
    """One line for each name, so that a change shows as the line it is."""
    lines: list[str] = []
    for key, value in data.items():
        if isinstance(value, dict):
            rows = ",\n".join(
                f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items()
            )
            lines.append(f" {json.dumps(key)}: {{\n{rows}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    (TARGET / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    wheels, transformers = map(Path, sys.argv[1:3])
    folders = releases(wheels)
    write("registry.json", registry(folders, transformers))
    write("quantization.json", quantization(folders))


if __name__ == "__main__":
    main()
