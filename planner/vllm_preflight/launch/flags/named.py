"""What arguments of free text name, and a release does not have under that name.

Plugins make the sets of parsers and connectors open; `names.json` says what a release has
by itself. Source: entrypoints/openai/api_server.py (validate_api_server_args),
model_loader/__init__.py, tokenizers/registry.py, v1/executor/abstract.py,
kv_connector/factory.py, config/compilation.py, v1/attention/backends/registry.py, envs.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from vllm_preflight.launch.acceptance.tables import (
    ATTENTION_VARIABLE,
    CACHE_DTYPES,
    invalid_cache_dtype,
    names_in,
    releases_with,
    table,
)
from vllm_preflight.launch.flags.parser import Given
from vllm_preflight.launch.flags.refusals import LEVELS_SAID, Refusal, compilation_config
from vllm_preflight.launch.flags.values import shortened
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version

# The releases that read the variable by a closed list, from the first to the first without.
_VARIABLE_CLOSED: tuple[Version, Version] = ((0, 11, 0), (0, 15, 0))
# Until then a parser of reasoning is looked at with --enable-reasoning alone.
_REASONING_ALONE_SINCE: Version = (0, 9, 0)
# Since then "none" is no parser.
_NO_REASONING_SINCE: Version = (0, 33, 0)
_EXECUTORS = ("mp", "ray", "uni", "external_launcher")
_EXECUTORS_OPEN_SINCE: Version = (0, 10, 2)
_AUTO_BACKEND_SINCE: Version = (0, 18, 0)
# How back ends of the V1 engine ended at first.
_FIRST_V1_NAMES = "_VLLM_V1"
_MODES_SINCE: Version = (0, 11, 1)
_OPERATORS_SINCE: Version = (0, 11, 0)
_LEVELS = range(4)
_MOST_LISTED = 12
# Shorter values name no file (len(args.tool_parser_plugin) > 3).
_SHORTEST_PLUGIN = 4

Arguments = Mapping[str, Given]


def refuse_names(
    given: Arguments, environment: Mapping[str, str], version: Version
) -> Refusal | None:
    """The first name that the release does not have, in the order in which vLLM looks.

    `given` are the arguments by their destination, the later of two winning.
    """
    refusals = (
        _kv_cache_dtype(given, version),
        _parsers(given, version),
        _attention(given, version),
        _variable(environment, version),
        _executor(given, version),
        _level(given),
        _compilation(given, version),
        _config_format(given, version),
        _connector(given, version),
        _loader(given, version),
        _tokenizer(given, version),
    )
    return next((refusal for found in refusals for refusal in found), None)


def unread_variables(environment: Mapping[str, str], version: Version) -> list[str]:
    """Sentences on variables that older releases read and this one does not."""
    if ATTENTION_VARIABLE in environment and version >= _VARIABLE_CLOSED[1]:
        return [
            f"vLLM {format_version(version)} does not read {ATTENTION_VARIABLE} any more: "
            "--attention-backend took its place."
        ]
    return []


def _parsers(given: Arguments, version: Version) -> Iterator[Refusal]:
    if _is_on(given, "headless"):
        # Without an API server nobody looks.
        return
    tools = _text(given, "tool_call_parser")
    if _is_on(given, "enable_auto_tool_choice") and tools and not _plugin(given, "tool"):
        yield from _unknown(
            "tool_call_parser", tools, given, version, "invalid tool call parser: {name}"
        )
    reasoning = _text(given, "reasoning_parser") or _key(
        given, "structured_outputs_config", "reasoning_parser"
    )
    looked_at = version >= _REASONING_ALONE_SINCE or _is_on(given, "enable_reasoning")
    none = str(reasoning).lower() == "none" and version >= _NO_REASONING_SINCE
    if reasoning and looked_at and not none and not _plugin(given, "reasoning"):
        yield from _unknown(
            "reasoning_parser", reasoning, given, version, "invalid reasoning parser: {name}"
        )


def _kv_cache_dtype(given: Arguments, version: Version) -> Iterator[Refusal]:
    """A dtype of the cache, where the parser takes any word and the config refuses it."""
    name = _text(given, "kv_cache_dtype")
    spans = table("quantization")["kv_cache_dtypes"]
    known = names_in(spans, version)
    if name is None or name in known:
        return
    turn = releases_with(spans.get(name, ()), version)
    near = [CACHE_DTYPES[name]] if CACHE_DTYPES.get(name) in known else []
    near = near or difflib.get_close_matches(name, known, n=1)
    yield Refusal(
        invalid_cache_dtype(name, known),
        f"{turn} has {name}." if turn else "",
        (*(f"--kv-cache-dtype {other}" for other in near), *((turn,) if turn else ())),
        _respelled(given["kv_cache_dtype"], near),
    )


def _attention(given: Arguments, version: Version) -> Iterator[Refusal]:
    name = asked_backend(given)
    if name is None or (name == "AUTO" and version >= _AUTO_BACKEND_SINCE):
        return
    yield from _unknown(
        "attention_backend", name, given, version, "Unknown attention backend: '{name}'"
    )


def asked_backend(given: Arguments) -> str | None:
    """The attention back end that a command asks for, by the enumeration's spelling."""
    name = _text(given, "attention_backend") or _key(given, "attention_config", "backend")
    return name.upper() if name else None


def _variable(environment: Mapping[str, str], version: Version) -> Iterator[Refusal]:
    name = environment.get(ATTENTION_VARIABLE)
    since, until = _VARIABLE_CLOSED
    if name is None or not since <= version < until:
        return
    for refusal in _unknown(
        "attention_backend", name, {}, version, f"Invalid value '{{name}}' for {ATTENTION_VARIABLE}"
    ):
        # What is named beside another release is the nearest name.
        remedies = (
            remedy if remedy.startswith("vLLM ") else f"{ATTENTION_VARIABLE}={remedy}"
            for remedy in refusal.remedies
        )
        yield Refusal(refusal.message, refusal.explanation, tuple(remedies))


def _executor(given: Arguments, version: Version) -> Iterator[Refusal]:
    name = _text(given, "distributed_executor_backend")
    if name is None or version < _EXECUTORS_OPEN_SINCE or name in _EXECUTORS or "." in name:
        return
    near = difflib.get_close_matches(name.lower(), _EXECUTORS, n=1)
    yield Refusal(
        "not enough values to unpack (expected 2, got 1)",
        f"--distributed-executor-backend {shortened(name)} is none of {', '.join(_EXECUTORS)}, and "
        "no class by its qualified name.",
        tuple(f"--distributed-executor-backend {other}" for other in near),
        _respelled(given["distributed_executor_backend"], near),
    )


def _level(given: Arguments) -> Iterator[Refusal]:
    """-O, where it is one of four levels."""
    item = given.get("optimization_level")
    if item is None or str(item.value) in map(str, _LEVELS):
        return
    config = compilation_config(str(item.value))
    first, *rest = item.origin or (None,)
    change = {} if config is None or first is None else {first: config, **dict.fromkeys(rest)}
    remedies = () if config is None else (config,)
    yield Refusal(f"{item.value!r} is not a valid OptimizationLevel", LEVELS_SAID, remedies, change)


def _compilation(given: Arguments, version: Version) -> Iterator[Refusal]:
    config = _config(given, "compilation_config")
    graphs, mode = config.get("cudagraph_mode"), config.get("mode")
    if isinstance(graphs, str):
        yield from _unknown(
            "cudagraph_mode", graphs.upper(), {}, version, "KeyError: '{name}'", "cudagraph_mode"
        )
    if isinstance(mode, str) and not mode.isdigit():
        yield from _unknown(
            "compilation_mode", mode.upper(), {}, version, "Invalid compilation mode: {name}"
        )
    operators: object = config.get("custom_ops")
    for name in cast(list[object], operators) if isinstance(operators, list) else ():
        plain = isinstance(name, str) and (name in {"all", "none"} or name[:1] in {"+", "-"})
        if not plain and version >= _OPERATORS_SINCE:
            yield Refusal(
                f"Invalid syntax '{name}' for custom op, must be 'all', 'none', '+op' or '-op' "
                "(where 'op' is the registered op name)",
            )
    level = config.get("level") if mode is None else mode
    if isinstance(level, int) and not isinstance(level, bool) and level not in _LEVELS:
        said = "1 validation error for CompilationConfig: mode: Input should be 0, 1, 2 or 3"
        early = f"AssertionError: the compilation level is 0 to 3, not {level}."
        yield Refusal(said if version >= _MODES_SINCE else early)


def _config_format(given: Arguments, version: Version) -> Iterator[Refusal]:
    name = _text(given, "config_format")
    if name:
        yield from _unknown(
            "config_format", name.lower(), given, version, "Unknown config format `{name}`"
        )


def _connector(given: Arguments, version: Version) -> Iterator[Refusal]:
    config = _config(given, "kv_transfer_config")
    name = config.get("kv_connector")
    if not isinstance(name, str):
        return
    if config.get("kv_role") is None:
        word = "kv_role" if version >= _MODES_SINCE else "kv_disagg_role"
        yield Refusal(
            f"Please specify {word} when kv_connector is set, supported roles are kv_producer, "
            "kv_consumer, kv_both",
            "",
            ('"kv_role": "kv_both" in --kv-transfer-config',),
        )
    if not config.get("kv_connector_module_path"):
        yield from _unknown(
            "kv_connector", name, {}, version, "Unsupported connector type: {name}", "kv_connector"
        )


def _loader(given: Arguments, version: Version) -> Iterator[Refusal]:
    name = _text(given, "load_format")
    if name:
        yield from _unknown(
            "load_format", name.lower(), given, version, "Load format `{name}` is not supported"
        )


def _tokenizer(given: Arguments, version: Version) -> Iterator[Refusal]:
    name = _text(given, "tokenizer_mode")
    if name and not _is_on(given, "skip_tokenizer_init"):
        yield from _unknown(
            "tokenizer_mode",
            name.lower(),
            given,
            version,
            "No tokenizer registered for tokenizer_mode='{name}'",
        )


def _unknown(
    kind: str,
    name: str,
    given: Arguments,
    version: Version,
    message: str,
    key: str = "",
) -> Iterator[Refusal]:
    """The refusal of a name that the release does not have; nothing where it lists none."""
    spans = table("names")[kind]
    known = names_in(spans, version)
    if not known or name in known:
        return
    turn = releases_with(spans.get(name, ()), version)
    folded = {other.casefold(): other for other in known}
    renamed = name.removesuffix(_FIRST_V1_NAMES)
    near = [folded[n] for n in difflib.get_close_matches(name.casefold(), folded, n=1)]
    near = [renamed] if renamed in known else near
    release = format_version(version)
    elsewhere = f" {turn} has {name}." if turn else ""
    more = ", …" if len(known) > _MOST_LISTED else ""
    listed = "" if near else f" It has {', '.join(known[:_MOST_LISTED])}{more}"
    item = given.get(kind)
    flag = f"{item.spelling} " if item is not None else f'"{key}": ' if key else ""
    yield Refusal(
        message.format(name=shortened(name)),
        f"vLLM {release} registers no {shortened(name)}.{elsewhere}{listed}",
        (*(f"{flag}{other}" for other in near), *((turn,) if turn else ())),
        _respelled(item, near) if item is not None else {},
    )


def _respelled(item: Given, near: Sequence[str]) -> dict[int, str | None]:
    """The word with the value, with the nearest name in it."""
    if not near or len(item.origin) not in {1, 2}:
        return {}
    attached = len(item.origin) == 1
    return {item.origin[-1]: f"{item.spelling}={near[0]}" if attached else near[0]}


def _plugin(given: Arguments, kind: str) -> bool:
    return len(_text(given, f"{kind}_parser_plugin") or "") >= _SHORTEST_PLUGIN


def _is_on(given: Arguments, name: str) -> bool:
    return name in given and bool(given[name].value)


def _text(given: Arguments, name: str) -> str | None:
    value = given[name].value if name in given else None
    return value if isinstance(value, str) else None


def _config(given: Arguments, name: str) -> Mapping[str, Any]:
    value = given[name].value if name in given else None
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _key(given: Arguments, name: str, key: str) -> str | None:
    value = _config(given, name).get(key)
    return value if isinstance(value, str) else None
