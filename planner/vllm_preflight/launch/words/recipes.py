"""Dockerfiles, units of systemd and supervisor, Makefiles: the shell text that does the same."""

from __future__ import annotations

import json
import re
import shlex
from typing import cast

_INSTRUCTION = re.compile(
    r"^[ \t]*(FROM|ENTRYPOINT|CMD|ENV|ARG|RUN|SHELL)[ \t]+(.*)$", re.IGNORECASE
)
_STAGE = re.compile(r"(?:--platform=\S+[ \t]+)?(\S+)")
_CONTINUED = re.compile(r"\\[ \t]*\r?\n")
_UNIT = re.compile(r"^[ \t]*(ExecStart|Environment|command|environment)[ \t]*=[ \t]*(?=\S)(.*)$")
# Pairs of supervisor: NAME="value",OTHER=value
_PAIR = re.compile(r"(\w+)=(\"[^\"]*\"|[^,\s]*)")
_RULE = re.compile(r"^[\w.-]+[ \t]*:(?!=)[^\n]*\n\t", re.MULTILINE)
_MAKE_VARIABLE = re.compile(r"^(\w+)[ \t]*[?:]?=[ \t]*(.*)$")
_MAKE_REFERENCE = re.compile(r"\$(?:\((\w+)\)|\$)")
# What systemd reads before the program's path.
_UNIT_PREFIX = re.compile(r"^[-@:+!|]+")
_BUILD_ONLY = frozenset({"ARG", "SHELL"})


def as_shell(text: str) -> str | None:
    """The shell text of a Dockerfile, a unit file or a Makefile; None for anything else."""
    return _of_unit(text) or _of_dockerfile(text) or _of_makefile(text)


def _logical_lines(text: str) -> list[str]:
    """Lines, with continued ones joined and comments between them taken out."""
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return _CONTINUED.sub(" ", plain).splitlines()


def _of_dockerfile(text: str) -> str | None:
    found = [match for line in _logical_lines(text) if (match := _INSTRUCTION.match(line))]
    given = [(match[1].upper(), match[2].strip()) for match in found]
    last = {name: value for name, value in given if name not in _BUILD_ONLY}
    if not given or given[0][0] not in {"FROM", "ENTRYPOINT", "CMD", "ENV", "ARG", "RUN"}:
        return None
    if not last.keys() & {"ENTRYPOINT", "CMD"}:
        return None
    entry, words = _exec_form(last.get("ENTRYPOINT")), _exec_form(last.get("CMD"))
    stage = _STAGE.match(last.get("FROM", ""))
    before = [value for name, value in given if name == "RUN"]
    settings = [setting for name, value in given if name == "ENV" for setting in _settings(value)]
    if stage is None or "vllm" not in stage[1].lower():
        exports = [f"export {setting}" for setting in settings]
        return "\n".join([*before, *exports, " ".join([*(entry or ()), *(words or ())])])
    options = [f"-e {setting}" for setting in settings]
    if any("vllm" in line for line in before):
        # The image is changed before it runs: what is installed is in the container.
        run = " ".join([*(entry or ("vllm", "serve")), *(words or ())])
        script = shlex.quote("\n".join([*before, run]))
        options.append("--entrypoint bash")
        return " ".join(["docker run --gpus all", *options, stage[1], "-c", script])
    if entry:
        options.append(f"--entrypoint {entry[0]}")
    return " ".join(
        ["docker run --gpus all", *options, stage[1], *(entry or [])[1:], *(words or ())]
    )


def _exec_form(value: str | None) -> list[str] | None:
    """The words of an instruction, quoted for a shell; None where it is not given."""
    if value is None:
        return None
    try:
        items: object = json.loads(value)
    except (ValueError, RecursionError):
        return ["bash", "-c", shlex.quote(value)]
    if not isinstance(items, list):
        return ["bash", "-c", shlex.quote(value)]
    return [shlex.quote(str(item)) for item in cast(list[object], items)]


def _settings(value: str) -> list[str]:
    """The NAME=value pairs of an ENV instruction, the older `ENV NAME value` too."""
    name, _, rest = value.partition(" ")
    if "=" not in name:
        return [f"{name}={shlex.quote(rest.strip())}"]
    try:
        pairs = [pair.partition("=") for pair in shlex.split(value)]
    except ValueError:
        return []
    return [f"{key}={shlex.quote(text)}" for key, _, text in pairs if key.isidentifier()]


def _of_unit(text: str) -> str | None:
    lines = [match for line in _logical_lines(text) if (match := _UNIT.match(line))]
    commands = [
        match[2]
        for match in lines
        if match[1] in {"ExecStart", "command"} and not match[2].startswith(('"', "'", "["))
    ]
    if not commands:
        return None
    exported: list[str] = []
    for match in lines:
        if match[1] == "Environment":
            exported += _settings(match[2])
        elif match[1] == "environment":
            found = _PAIR.findall(match[2])
            exported += [f"{name}={shlex.quote(value.strip(chr(34)))}" for name, value in found]
    exports = [f"export {setting}" for setting in exported]
    return "\n".join([*exports, _UNIT_PREFIX.sub("", commands[-1])])


def _of_makefile(text: str) -> str | None:
    """The recipe lines that mention vLLM, after the variables."""
    if _RULE.search(text) is None:
        return None
    lines = _logical_lines(text)
    recipes = [line.lstrip("\t @-") for line in lines if line.startswith("\t") and "vllm" in line]
    found = [match for line in lines if (match := _MAKE_VARIABLE.match(line))]
    variables = [f"{match[1]}={shlex.quote(match[2].strip())}" for match in found]
    whole = "\n".join([*variables, *recipes])
    return _MAKE_REFERENCE.sub(lambda ref: f"${{{ref[1]}}}" if ref[1] else "$", whole)
