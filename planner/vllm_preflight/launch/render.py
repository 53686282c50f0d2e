"""Fields and arguments, written as the `vllm serve` command that gives them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.flags.bearing import Flag, all_flags, unavailable
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.nested import read_mm_limits

# Parsers have been made of the configs' fields since then: every switch has a --no- form,
# and limits are JSON.
_UNIFORM_SINCE: Version = (0, 9, 0)
# The switch that had one before.
_LONG_NEGATABLE = "enable_prefix_caching"


@dataclass(frozen=True, slots=True)
class RenderedCommand:
    """A command as words for a process and as a line for a POSIX shell."""

    argv: tuple[str, ...]
    text: str


def render_command(
    fields: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    version: Version | None = None,
) -> RenderedCommand:
    """The `vllm serve` command with these arguments, in a fixed order of flags.

    `fields` are a request's and must hold `model`; those that are no argument of vLLM
    (the GPU, the version) are left out, as are values of None. Parsing `text` gives the
    same fields, extra and environment back. `environment` is only part of `text`. With a
    `version` everything is spelled as that release takes it.

    Raises:
        InvalidRequest: the release has no such flag.
    """
    values = {**fields, **(extra or {})}
    words: list[str] = ["vllm", "serve"]
    model = str(values.pop("model"))
    words += [f"--model={model}"] if model.startswith("-") else [model]
    for flag in all_flags():
        value = values.get(flag.name)
        if value is not None:
            words += _words(flag, value) if version is None else _dated(flag, value, version)
    assignments = [f"{name}={shlex.quote(value)}" for name, value in (environment or {}).items()]
    return RenderedCommand(tuple(words), " ".join([*assignments, shlex.join(words)]))


def render_flags(fields: Mapping[str, Any]) -> list[str]:
    """Each field of a request that is a flag, as written in a shell: "--max-model-len 8192"."""
    return [
        shlex.join(_words(flag, fields[flag.name]))
        for flag in all_flags()
        if fields.get(flag.name) is not None
    ]


def _dated(flag: Flag, value: Any, version: Version) -> list[str]:
    """The words for a release, whose parser may be older than the table's."""
    is_old = version < _UNIFORM_SINCE
    if flag.kind == "switch" and not value and is_old and flag.name != _LONG_NEGATABLE:
        # Off is the default of these, and there is no way to say it.
        return []
    if sentence := unavailable(flag, version):
        raise InvalidRequest(sentence, f"Leave {flag.name} out, or choose another release.")
    if flag.kind == "limits" and is_old:
        limits = read_mm_limits(value)
        return [flag.flag, ",".join(f"{name}={count}" for name, count in limits.items())]
    return _words(flag, value)


def _words(flag: Flag, value: Any) -> list[str]:
    if flag.kind == "switch":
        return [flag.flag if value else f"--no-{flag.flag[2:]}"]
    if flag.takes_many:
        return [flag.flag, *(str(item) for item in value)]
    if flag.kind == "limits" and not str(value).lstrip().startswith("{"):
        value = read_mm_limits(value)
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    # A value that starts with a dash would read as a flag of its own.
    return [f"{flag.flag}={text}"] if text.startswith("-") else [flag.flag, text]
