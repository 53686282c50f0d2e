"""The keys that a JSON argument of vLLM may hold, release by release.

Read from `configs.json`, which `scripts/build_flags.py` writes from the config classes of
the wheels. Only what is sure is refused: an unknown key of a class that forbids them, and a
value that the key's types cannot take by pydantic's lax rules.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, cast

from vllm_preflight.launch.flags.table import Lifetime
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import parse_version

_SCALARS = {"true", "false", "1", "0", "yes", "no", "on", "off", "t", "f", "y", "n"}


@functools.cache
def _configs() -> Mapping[str, Any]:
    text = (
        resources.files("vllm_preflight.launch.flags")
        .joinpath("configs.json")
        .read_text(encoding="utf-8")
    )
    return {entry["config"]: entry for entry in json.loads(text)["configs"]}


@functools.lru_cache(maxsize=128)
def config_keys(name: str, version: Version) -> Mapping[str, Sequence[Any]] | None:
    """The keys of a config in a release, each with its types; None where any key does."""
    entry = _configs().get(name)
    if entry is None or not any(_holds(span, version) for span in entry["closed"]):
        return None
    return {key: span["types"] for key, span in _spans(name, version).items()}


def _spans(name: str, version: Version) -> Mapping[str, Mapping[str, Any]]:
    """The keys that a config has in a release, whether it takes others too or not."""
    return {
        key: span
        for key, history in _configs()[name]["keys"].items()
        for span in history
        if _holds(span, version)
    }


def knows_key(name: str, key: str, version: Version) -> bool:
    """Whether the config has the key in a release."""
    entry = _configs().get(name)
    history = () if entry is None else entry["keys"].get(key, ())
    return any(_holds(span, version) for span in history)


def ended_keys(name: str, value: object, old: Version, new: Version) -> Iterator[Lifetime]:
    """Keys of an object that the config has in `old` and not in `new`, at any depth."""
    after = config_keys(name, new)
    if after is None or not isinstance(value, Mapping):
        return
    before = _spans(name, old)
    for key, item in cast(Mapping[str, object], value).items():
        if key in before and key not in after:
            yield _lifetime(name, key)
        for kind in before.get(key, {}).get("types", ()):
            if isinstance(kind, str) and kind.startswith("config "):
                yield from ended_keys(kind.removeprefix("config "), item, old, new)


def _lifetime(name: str, key: str) -> Lifetime:
    entry = _configs()[name]
    first, last = entry["keys"][key][0], entry["keys"][key][-1]
    return Lifetime(
        key,
        parse_version(first["since"]) if "since" in first else None,
        parse_version(last["until"]) if "until" in last else None,
        entry.get("replaced_by", {}).get(key),
    )


def _holds(span: Mapping[str, Any], version: Version) -> bool:
    begun = "since" not in span or version >= parse_version(span["since"])
    return begun and ("until" not in span or version < parse_version(span["until"]))


def refusal_of_config(name: str, value: object, version: Version) -> str | None:
    """Why vLLM refuses that object for the config, as pydantic says it; None where it may do."""
    if not isinstance(value, Mapping):
        return "Input should be a dictionary or an instance of " + name
    keys = config_keys(name, version)
    if keys is None:
        return None
    for key, item in cast(Mapping[str, object], value).items():
        if key not in keys:
            return f"{key}: Unexpected keyword argument"
        if problem := _refusal_of_value(keys[key], item, version):
            return f"{key}: {problem}" if " " in problem.partition(":")[0] else f"{key}.{problem}"
    return None


def _refusal_of_value(types: Sequence[Any], item: object, version: Version) -> str | None:
    problems: list[str] = []
    for kind in types:
        problem = _mismatch(kind, item, version)
        if problem is None:
            return None
        problems.append(problem)
    # The type that says most about the value: an object's own keys before "not null".
    return next((text for text in problems if "Unexpected" in text), problems[0])


def _mismatch(kind: Any, item: object, version: Version) -> str | None:
    match kind:
        case {"choices": list(choices)}:  # pyright: ignore[reportUnknownVariableType]
            listed = ", ".join(repr(choice) for choice in cast(list[object], choices))
            return None if item in choices else f"Input should be {listed}"
        case "any":
            return None
        case "none":
            return None if item is None else "Input should be None"
        case "no object":
            return "Input should be an object it knows" if isinstance(item, dict) else None
        case "list":
            return None if isinstance(item, list) else "Input should be a valid list"
        case "dict":
            return None if isinstance(item, dict) else "Input should be a valid dictionary"
        case str() if kind.startswith("config "):
            return refusal_of_config(kind.removeprefix("config "), item, version)
        case _:
            return _scalar_mismatch(cast(str, kind), item)


def _scalar_mismatch(kind: str, item: object) -> str | None:
    """Pydantic's lax rules: numbers may be text or booleans, text is text only."""
    match kind:
        case "str":
            return None if isinstance(item, str) else "Input should be a valid string"
        case "bool":
            fits = isinstance(item, bool) or item in (0, 1)
            fits = fits or (isinstance(item, str) and item.lower() in _SCALARS)
            return None if fits else "Input should be a valid boolean"
        case "int":
            return None if _is_number(item, whole=True) else "Input should be a valid integer"
        case _:
            return None if _is_number(item, whole=False) else "Input should be a valid number"


def _is_number(item: object, *, whole: bool) -> bool:
    if isinstance(item, str):
        try:
            item = float(item)
        except ValueError:
            return False
    if not isinstance(item, int | float):
        return False
    return not whole or float(item).is_integer()
