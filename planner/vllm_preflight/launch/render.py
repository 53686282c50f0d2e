"""Fields and arguments, written as the `vllm serve` command that gives them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm_preflight.launch.flags import Flag, all_flags


@dataclass(frozen=True, slots=True)
class RenderedCommand:
    """A command as words for a process and as a line for a POSIX shell."""

    argv: tuple[str, ...]
    text: str


def render_command(
    fields: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> RenderedCommand:
    """The `vllm serve` command with these arguments, in a fixed order of flags.

    `fields` are a request's and must hold `model`; those that are no argument of vLLM
    (the GPU, the version) are left out, as are values of None. Parsing `text` gives the
    same fields, extra and environment back. `environment` is only part of `text`.
    """
    values = {**fields, **(extra or {})}
    words: list[str] = ["vllm", "serve"]
    model = str(values.pop("model"))
    words += [f"--model={model}"] if model.startswith("-") else [model]
    for flag in all_flags():
        value = values.get(flag.name)
        if value is not None and flag.target != "none":
            words += _words(flag, value)
    assignments = [f"{name}={shlex.quote(value)}" for name, value in (environment or {}).items()]
    return RenderedCommand(tuple(words), " ".join([*assignments, shlex.join(words)]))


def _words(flag: Flag, value: Any) -> list[str]:
    if flag.kind == "switch":
        return [flag.flag if value else f"--no-{flag.flag[2:]}"]
    if flag.takes_many:
        return [flag.flag, *(str(item) for item in value)]
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    # A value that starts with a dash would read as a flag of its own.
    return [f"{flag.flag}={text}"] if text.startswith("-") else [flag.flag, text]
