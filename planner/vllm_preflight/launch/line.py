"""The user's own line, written again: every word kept, changes put where they belong."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from vllm_preflight.launch.flags.table import Argument, parser_of
from vllm_preflight.launch.versions import NEWEST_KNOWN

# Flags whose value is a secret; the line names the variable that would hold it.
_SECRET_FLAGS = {"--api-key": "$VLLM_API_KEY", "--hf-token": "$HF_TOKEN"}


def written_line(
    words: Sequence[str], assigned: Mapping[str, str | None], changes: Sequence[str] = ()
) -> str:
    """`vllm serve` with the words, quoted for a POSIX shell.

    `changes` are flags as written ("--max-model-len 8192"): an equal one of the line gets
    the new value, others are added at its end; NAME=value is put before the command and
    "no --flag" takes one out. A change in other words than these leaves the line as it is.
    Secrets are written as references to variables.
    """
    line = list(words)
    before = dict(assigned)
    for change in changes:
        parts = shlex.split(change)
        if parts[:1] == ["no"] and len(parts) == 2:
            line = _without(line, parts[1])
            continue
        if parts and not parts[0].startswith("-") and "=" in parts[0]:
            name, _, value = parts[0].partition("=")
            before[name] = value
        elif parts and parts[0].startswith("--"):
            line = _with_flags(line, parts)
    assignments = [
        f'{name}="${name}"' if value is None else f"{name}={shlex.quote(value)}"
        for name, value in before.items()
    ]
    return " ".join([*assignments, "vllm", "serve", *_quoted(line)])


def _with_flags(line: list[str], parts: Sequence[str]) -> list[str]:
    """The words with flags set that `parts` spell out, each with its values."""
    start = 0
    for end in range(1, len(parts) + 1):
        if end == len(parts) or parts[end].startswith("--"):
            line = _with_flag(line, list(parts[start:end]))
            start = end
    return line


def _with_flag(line: list[str], flag: list[str]) -> list[str]:
    argument = _argument(flag[0])
    place = next((i for i, word in enumerate(line) if _argument(word) is argument), len(line))
    if argument is None or place == len(line):
        return [*line, *flag]
    return [*line[:place], *flag, *_without(line[place:], flag[0])]


def _without(line: list[str], flag: str) -> list[str]:
    """The words without an argument, however it is spelled, and without its values."""
    argument = _argument(flag)
    kept: list[str] = []
    index = 0
    while index < len(line):
        word = line[index]
        index += 1
        if argument is None or _argument(word) is not argument:
            kept.append(word)
            continue
        takes = argument.takes_value and "=" not in word
        while takes and index < len(line) and not line[index].startswith("-"):
            index += 1
            takes = argument.nargs in {"+", "*"}
    return kept


def _argument(word: str) -> Argument | None:
    if not word.startswith("-"):
        return None
    name = word.partition("=")[0].partition(".")[0]
    dashed = name.replace("_", "-") if name.startswith("--") else name
    return parser_of(NEWEST_KNOWN).by_spelling.get(dashed)


def _quoted(line: Sequence[str]) -> list[str]:
    quoted: list[str] = []
    hidden: str | None = None
    for word in line:
        name, equals, _ = word.partition("=")
        if word.startswith("-"):
            hidden = _SECRET_FLAGS.get(name.replace("_", "-"))
            shown = f'{name}="{hidden}"' if hidden and equals else shlex.quote(word)
        else:
            shown = f'"{hidden}"' if hidden else shlex.quote(word)
        quoted.append(shown)
    return quoted
