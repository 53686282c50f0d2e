"""The user's own line, written again: nothing dropped, changes put where they belong."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from vllm_preflight.launch.flags.table import Argument, parser_of
from vllm_preflight.launch.versions import NEWEST_KNOWN
from vllm_preflight.launch.words.server import ServerCommand

# Flags whose value is a secret; the line names the variable that would hold it.
_SECRET_FLAGS = {"--api-key": "VLLM_API_KEY", "--hf-token": "HF_TOKEN", "--token": "HF_TOKEN"}
_SECRET_NAME = re.compile(r"KEY|TOKEN(?!IZER)|SECRET|PASSWORD")
# NAME=value and --flag value as they stand in shell text, whatever quotes the value.
_VALUE = r"(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'`;&|]+)"
_NAME = rf"(?<![\w.-])(?P<name>[A-Z0-9_]*(?:{_SECRET_NAME.pattern})[A-Z0-9_]*)"
_SET = re.compile(rf"{_NAME}=(?!=){_VALUE}")
_QUOTED_SET = re.compile(rf"'{_NAME}=[^'\s$<]+'")
_FLAGGED = re.compile(
    rf"(?P<flag>--(?:[a-z]+[-_])*(?:key|token|password|secret))(?P<by>[ \t]+|=)(?!-){_VALUE}"
)
_BEARER = re.compile(rf"(?P<by>\b[Bb]earer[ \t]+){_VALUE}")
# Keys that show what they are: of the Hub, OpenAI, GitHub, GitLab, NVIDIA, Slack, AWS.
# --hf_overrides is a flag.
_TOKEN = re.compile(
    r"(?<!--)\b(?P<kind>hf_|sk-|gh[opsu]_|glpat-|nvapi-|xox[bp]-|AKIA)[A-Za-z0-9_-]{8,}"
)
_IN_ADDRESS = re.compile(r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)")


def is_secret(name: str) -> bool:
    """Whether a variable of that name holds what nobody should see again."""
    return _SECRET_NAME.search(name.upper()) is not None


def changed_line(command: ServerCommand, words: Sequence[str], changes: Sequence[str] = ()) -> str:
    """The whole text that the command was read from, with `words` after `vllm serve`.

    Flags are then set, added or taken out. `changes` are as written ("--max-model-len
    8192"): an equal one of the line gets the new value, others are added at its end;
    NAME=value is set for the command and "no --flag" takes one out. A change in other words
    than these leaves the line as it is.

    What is not written in the text by itself (it comes from a variable) is overridden by a
    flag at the end; where that is not possible the line is written as `vllm serve …`.
    Secrets are written as references to variables.
    """
    wanted, variables = _changed(words, changes)
    text = command.rewritten(wanted, variables)
    if text is None and all(change.startswith("--") for change in changes):
        added = [part for change in changes for part in shlex.split(change)]
        text = command.rewritten([*words, *added], variables)
    return without_secrets(text) if text is not None else _from_words(command, wanted, variables)


def with_flags(command: ServerCommand, flags: str) -> str:
    """The whole text with further flags, as they would be typed, behind the server's words."""
    text = command.followed_by(flags)
    return (
        text
        if text is not None
        else f"{_from_words(command, [word.text for word in command.words], {})} {flags}"
    )


def without_secrets(text: str) -> str:
    """Shell text with each key, token or password named and not shown."""
    # Inside single quotes a shell would not look the variable up.
    text = _QUOTED_SET.sub(lambda found: f'"{found["name"]}=${found["name"]}"', text)
    text = _SET.sub(lambda found: _named(found, f"{found['name']}=", found["name"]), text)
    text = _FLAGGED.sub(
        lambda found: _named(
            found,
            found["flag"] + found["by"],
            _SECRET_FLAGS.get(found["flag"].replace("_", "-"), "SECRET"),
        ),
        text,
    )
    text = _BEARER.sub(lambda found: _named(found, found["by"], "SECRET"), text)
    text = _IN_ADDRESS.sub("$SECRET", text)
    return _TOKEN.sub(lambda found: "$HF_TOKEN" if found["kind"] == "hf_" else "$SECRET", text)


def _named(found: re.Match[str], before: str, variable: str) -> str:
    value = found["value"]
    # What only refers to a secret shows none.
    if value.strip("\"'").startswith(("$", "<")):
        return found[0]
    return f"{before}${variable}"


def _from_words(command: ServerCommand, words: Sequence[str], variables: Mapping[str, str]) -> str:
    set_before = {name: command.environment.get(name, "") for name in command.assigned}
    before = [f"{name}={shlex.quote(value)}" for name, value in {**set_before, **variables}.items()]
    return without_secrets(" ".join([*before, "vllm", "serve", *map(shlex.quote, words)]))


def _changed(words: Sequence[str], changes: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words with the changes in them, and the variables that they set."""
    line = list(words)
    variables: dict[str, str] = {}
    for change in changes:
        parts = shlex.split(change)
        if parts[:1] == ["no"] and len(parts) == 2:
            line = _without(line, parts[1])
        elif parts and not parts[0].startswith("-") and "=" in parts[0]:
            name, _, value = parts[0].partition("=")
            variables[name] = value
        elif parts and parts[0].startswith("--"):
            line = _with_flags(line, parts)
    return line, variables


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
