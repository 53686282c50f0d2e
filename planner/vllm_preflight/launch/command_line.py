"""Where in a piece of shell text a vLLM server is started, and with which words.

The text is data: it is split as a POSIX shell would split it, but nothing in it is
run, expanded from the real environment, or opened.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vllm_preflight.errors import InvalidRequest

_LONGEST_TEXT = 100_000
_OPERATORS = "();<>|&\n"
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
# Quoted text stays as it is; comments and escaped line ends outside it go.
_CONTINUATIONS = re.compile(
    r"(?P<quoted>'[^']*'|\"(?:\\.|[^\"\\])*\")|\\\r?\n|(?P<comment>(?:^|(?<=[\s;]))#[^\n]*)",
    re.DOTALL | re.MULTILINE,
)
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_SERVER_MODULES = frozenset(
    {
        "vllm.entrypoints.openai.api_server",
        "vllm.entrypoints.api_server",
        "vllm.entrypoints.cli.main",
    }
)
_CONTAINER_TOOLS = frozenset({"docker", "podman", "nerdctl"})
_SHELLS = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh"})
# Container options without a value; every other one takes the next word.
_CONTAINER_SWITCHES = frozenset(
    {
        *("--rm", "--init", "--privileged", "--read-only", "--quiet", "-q"),
        *("-d", "--detach", "-i", "--interactive", "-t", "--tty", "-it", "-ti", "-itd", "-dit"),
        *("-P", "--publish-all", "--no-healthcheck", "--oom-kill-disable"),
    }
)
_IMAGE_TAG = re.compile(r":v?(\d+\.\d+[0-9a-z.]*|latest|nightly)[^:/]*$")


@dataclass(frozen=True)
class ServerCommand:
    """The words after `vllm serve`, the variables set for it and the image's version tag."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    image_version: str | None = None


def find_server_command(text: str) -> ServerCommand:
    """The first vLLM server that the shell text starts.

    Understands `vllm serve`, `python -m vllm.entrypoints.openai.api_server`, both inside
    `bash -c "…"`, and `docker run … IMAGE …`, with assignments and `export` before them.
    Raises InvalidRequest when there is none or when quotes do not match.
    """
    environment: dict[str, str] = {}
    for words in _simple_commands(text):
        expanded = [_expand(word, environment) for word in words]
        command = _server_in(expanded, environment)
        if command is not None:
            return command
        if expanded[0] == "export" or _ASSIGNMENT.fullmatch(expanded[0]):
            environment.update(_assignments(expanded))
    raise InvalidRequest(
        f"There is no vLLM server in {text.strip()[:60]!r}.",
        "Give a line such as: vllm serve MODEL --max-model-len 8192",
    )


def _simple_commands(text: str) -> list[list[str]]:
    """The words of each command of the text, without redirections."""
    if len(text) > _LONGEST_TEXT:
        raise InvalidRequest(
            f"The command has {len(text)} characters, more than {_LONGEST_TEXT}.",
            "Give only the line that starts vLLM.",
        )
    joined = _CONTINUATIONS.sub(lambda match: match["quoted"] or " ", text)
    lexer = shlex.shlex(joined, posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        tokens = list(lexer)
    except ValueError as error:
        raise InvalidRequest(
            "The quotes or backslashes of the command do not match.",
            "Close every quote; write JSON in single quotes.",
        ) from error
    commands: list[list[str]] = [[]]
    redirected = False
    for token in tokens:
        operator = bool(token) and set(token) <= set(_OPERATORS)
        if operator and set(token) & set("<>"):
            redirected = True
            # The file descriptor of `2>` stands before the operator.
            if commands[-1] and commands[-1][-1] in {"1", "2"}:
                commands[-1].pop()
        elif operator:
            commands.append([])
            redirected = False
        elif redirected:
            redirected = False
        else:
            commands[-1].append(token)
    return [command for command in commands if command]


def _expand(word: str, environment: Mapping[str, str]) -> str:
    """`word` with the variables that the text itself has set."""
    return _REFERENCE.sub(
        lambda match: environment.get(match[1] or match[2], match[0]),
        word,
    )


def _assignments(words: Sequence[str]) -> dict[str, str]:
    matches = [_ASSIGNMENT.fullmatch(word) for word in words]
    return {match[1]: match[2] for match in matches if match}


def _server_in(words: Sequence[str], environment: Mapping[str, str]) -> ServerCommand | None:
    """The server that one simple command starts, if it starts one."""
    for index, word in enumerate(words):
        set_here = {**environment, **_assignments(words[:index])}
        rest = words[index + 1 :]
        if word in _CONTAINER_TOOLS and rest[:1] == ["run"]:
            return _in_container(rest[1:])
        if word in _SHELLS and len(rest) >= 2 and re.fullmatch(r"-[a-z]*c", rest[0]):
            return _merge(find_server_command(rest[1]), set_here)
        arguments = _after_launcher(words[index:])
        if arguments is not None:
            return ServerCommand(tuple(arguments), set_here)
    return None


def _after_launcher(words: Sequence[str]) -> Sequence[str] | None:
    """The words after `vllm serve` or `-m vllm.entrypoints…`, where `words` starts so."""
    program = words[0].rsplit("/", 1)[-1]
    if program == "vllm" and words[1:2] == ["serve"]:
        return words[2:]
    if words[0] == "-m" and len(words) > 1 and words[1] in _SERVER_MODULES:
        rest = words[2:]
        return rest[1:] if rest[:1] == ["serve"] else rest
    return None


def _in_container(words: Sequence[str]) -> ServerCommand | None:
    """The server of `docker run`: options, the image, then vLLM's own words.

    A container sees the variables that -e hands in, not the shell's.
    """
    set_inside: dict[str, str] = {}
    index = 0
    while index < len(words) and words[index].startswith("-"):
        option, equals, value = words[index].partition("=")
        index += 1
        if option in _CONTAINER_SWITCHES:
            continue
        if not equals:
            value = words[index] if index < len(words) else ""
            index += 1
        if option in {"-e", "--env"}:
            set_inside.update(_assignments([value]))
    if index >= len(words):
        return None
    image, rest = words[index], list(words[index + 1 :])
    tag = _IMAGE_TAG.search(image.lower())
    version = tag[1] if tag else None
    nested = _server_in(rest, {}) if rest else None
    if nested is None and "vllm" not in image.lower():
        return None
    inner = nested or ServerCommand(tuple(rest[1:] if rest[:1] == ["serve"] else rest))
    return _merge(
        ServerCommand(inner.words, inner.environment, inner.image_version or version), set_inside
    )


def _merge(command: ServerCommand, environment: Mapping[str, str]) -> ServerCommand:
    return ServerCommand(
        command.words, {**environment, **command.environment}, command.image_version
    )
