"""Values of vLLM's arguments, read and refused as the functions of its parser do.

Every reader takes the text and returns the value, or raises `ValueRefused` with the end of
argparse's sentence. Source: vLLM utils/argparse_utils.py, engine/arg_utils.py.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from vllm_preflight.base.units import SCALED_INT, scaled_int
from vllm_preflight.launch.flags.configs import refusal_of_config
from vllm_preflight.launch.flags.table import Argument
from vllm_preflight.launch.launch import Version

# vLLM writes "not given" so.
_NOT_GIVEN = frozenset({"None", ""})
_INTEGER = re.compile(r"[+-]?\d(?:_?\d){0,18}")
# JSON inside an argument may hold 80m or 4k since then.
_SCALED_JSON_SINCE: Version = (0, 20, 0)
_STRINGS = re.compile(r'("(?:[^"\\]|\\.)*")')
_SCALED_TOKEN = re.compile(r"\b\d{1,18}(?:\.\d{1,18})?[kKmMgGtT]\b")
_OBJECT = re.compile(r"\s*{.*}\s*", re.DOTALL)
# Which function a type error names.
_READER_NAMES = {
    "integer": "int",
    "number": "float",
    "scaled": "human_readable_int",
    "length": "human_readable_int_or_auto",
    "json": "loads",
    "limits": "nullable_kvs",
    "json_or_limits": "loads",
}
_LONGEST_SHOWN = 120


class ValueRefused(ValueError):
    """The end of argparse's sentence about a value."""


def human_readable_int(text: str) -> int:
    """An integer as vLLM reads it: "1k" is 1,000, "1K" is 1,024, "25.6k" is 25,600.

    Decimals go with lower-case suffixes only. Raises ValueError with the rule.
    """
    value = scaled_int(text)
    if value is not None:
        return value
    match = SCALED_INT.fullmatch(text.strip())
    if match is None:
        return _integer(text)
    number, suffix = match.groups()
    raise ValueRefused(
        f"Decimals are not allowed with binary suffixes like {suffix}. Did you mean to use "
        f"{number}{suffix.lower()} instead?"
    )


def shortened(text: str) -> str:
    """A text for a sentence: whole where it is short."""
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def read_value(argument: Argument, text: str, version: Version) -> Any:
    """The value that `text` gives the argument in that release.

    Raises ValueRefused with what follows "argument --x: " in argparse's sentence.
    """
    if argument.optional and text in _NOT_GIVEN:
        return _chosen(argument, None)
    if argument.levels and text in {"0", "1", "2", "3"}:
        return {"level": int(text)}
    if argument.type == "config":
        return _config(argument, text, version)
    reader = _READERS[argument.type]
    try:
        value = reader(text)
    except ValueRefused:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueRefused(_unreadable(argument, text)) from error
    return _chosen(argument, value)


def _unreadable(argument: Argument, text: str) -> str:
    name = _READER_NAMES.get(argument.type, argument.type)
    if argument.optional:
        shown = f"<class '{name}'>" if name in {"int", "float"} else f"<function {name}>"
        return f"Value {shortened(text)} cannot be converted to {shown}."
    return f"invalid {name} value: {shortened(text)!r}"


def _chosen(argument: Argument, value: Any) -> Any:
    if argument.choices and ("None" if value is None else value) not in argument.choices:
        listed = shortened(", ".join(repr(choice) for choice in argument.choices))
        raise ValueRefused(f"invalid choice: {value!r} (choose from {listed})")
    return value


def _config(argument: Argument, text: str, version: Version) -> Any:
    if version >= _SCALED_JSON_SINCE:
        text = _scaled_json(text)
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        if argument.levels:
            return _python_literal(text)
        raise ValueRefused(
            f"1 validation error for {argument.config}: Invalid JSON: {error}"
        ) from error
    problem = refusal_of_config(argument.config or "", value, version)
    if problem is not None:
        raise ValueRefused(f"1 validation error for {argument.config}: {problem}")
    return value


def _python_literal(text: str) -> Any:
    """What early releases read with literal_eval: JSON with single quotes."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueRefused(f"invalid from_cli value: {shortened(text)!r}") from error


def _scaled_json(text: str) -> str:
    """Bare 4k and 80m inside JSON as numbers; strings stay."""
    parts = _STRINGS.split(text)
    for index in range(0, len(parts), 2):
        parts[index] = _SCALED_TOKEN.sub(
            lambda match: str(human_readable_int(match.group())), parts[index]
        )
    return "".join(parts)


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise ValueError("a whole number of at most 19 digits")
    return int(text)


def _length(text: str) -> int:
    if text.strip() == "-1" or text.strip().lower() == "auto":
        return -1
    return human_readable_int(text)


def _object(text: str) -> Any:
    """A dotted key's value or a JSON argument: NaN and the like are no JSON."""
    return json.loads(text)


def _json_or_text(text: str) -> Any:
    return _object(text) if _OBJECT.fullmatch(text) else text


def _limits(text: str) -> dict[str, int]:
    """The image=2,video=0 of early releases."""
    pairs = [part.lower().strip().split("=") for part in text.split(",")] if text else []
    if any(len(pair) != 2 for pair in pairs):
        raise ValueRefused("Each item should be in the form KEY=VALUE")
    return {key.strip(): _integer(value) for key, value in pairs}


def _json_or_limits(text: str) -> Any:
    """A JSON object, or the pairs that 0.8.5 to 0.9 still took for any object."""
    return _object(text) if _OBJECT.fullmatch(text) else _limits(text)


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueRefused(f"Invalid boolean value: {shortened(text)}. Expected 'true' or 'false'.")
    return text.lower() == "true"


def _name(text: str) -> str:
    return text.lower().replace("-", "_")


def _ids(text: str) -> list[int | str]:
    parts = [part.strip() for part in text.split(",")]
    return [int(part) if part.isdigit() else part for part in parts]


_READERS: Mapping[str, Callable[[str], Any]] = {
    "text": str,
    "integer": _integer,
    "number": float,
    "scaled": human_readable_int,
    "length": _length,
    "json": _object,
    "json_or_text": _json_or_text,
    "limits": _limits,
    "json_or_limits": _json_or_limits,
    "boolean": _boolean,
    "name": _name,
    "ids": _ids,
}


def read_lora_module(text: str) -> Any:
    """One item of --lora-modules: name=path, or a JSON object with name and path.

    Source: vLLM entrypoints cli_args.py:LoRAParserAction.
    """
    if "=" in text and "," not in text:
        name, _, path = text.partition("=")
        return {"name": name, "path": path}
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueRefused(f"Invalid JSON format for --lora-modules: {shortened(text)}") from error
    if not isinstance(value, dict) or not {"name", "path"} <= value.keys():
        raise ValueRefused(f"Invalid fields for --lora-modules: {shortened(text)}")
    return value  # pyright: ignore[reportUnknownVariableType]
