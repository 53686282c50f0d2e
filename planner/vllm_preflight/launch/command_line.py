"""Where in a piece of shell text a vLLM server is started, and with which words.

The text is data: it is split as a POSIX shell would split it, but nothing in it is
run, expanded from the real environment, or opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.shell import split_commands

_MOST_WORDS = 2_000
_LONGEST_VALUE = 1_000
# How often a command may hold another in `bash -c` or a container.
_DEEPEST_NESTING = 3
_RUN_TEXT = re.compile(r"-[a-z]*c")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
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
    Raises InvalidRequest when there is none, when quotes do not match, and for more
    words than a command has.
    """
    command = _find(text, {}, _DEEPEST_NESTING)
    if command is None:
        raise InvalidRequest(
            f"There is no vLLM server in {text.strip()[:60]!r}.",
            "Give a line such as: vllm serve MODEL --max-model-len 8192",
        )
    if len(command.words) > _MOST_WORDS:
        raise InvalidRequest(
            f"The command has {len(command.words)} words, more than {_MOST_WORDS}.",
            "Give only the line that starts vLLM.",
        )
    return command


def _find(text: str, environment: Mapping[str, str], depth: int) -> ServerCommand | None:
    known = dict(environment)
    for words in split_commands(text):
        expanded = [_expand(word, known) for word in words]
        command = _server_in(expanded, known, depth)
        if command is not None:
            return command
        if expanded[0] == "export" or _ASSIGNMENT.fullmatch(expanded[0]):
            known.update(_assignments(expanded))
    return None


def _expand(word: str, environment: Mapping[str, str]) -> str:
    """`word` with the variables that the text itself has set."""
    return _REFERENCE.sub(
        lambda match: environment.get(match[1] or match[2], match[0]),
        word,
    )


def _assignments(words: Sequence[str]) -> dict[str, str]:
    """The variables the words set. A very long value is no setting of vLLM's."""
    matches = [_ASSIGNMENT.fullmatch(word) for word in words]
    return {match[1]: match[2] for match in matches if match and len(match[2]) <= _LONGEST_VALUE}


def _server_in(
    words: Sequence[str], environment: Mapping[str, str], depth: int
) -> ServerCommand | None:
    """The server that one simple command starts, if it starts one."""
    for index, word in enumerate(words):
        after = words[index + 1 : index + 3]
        if depth and word in _CONTAINER_TOOLS and after[:1] == ["run"]:
            return _in_container(words[index + 2 :], depth - 1)
        if depth and word in _SHELLS and len(after) == 2 and _RUN_TEXT.fullmatch(after[0]):
            set_here = {**environment, **_assignments(words[:index])}
            return _find(after[1], set_here, depth - 1)
        if _starts_server(word, after):
            rest = words[index + 2 :]
            # `-m vllm.entrypoints.cli.main serve` says it once more.
            rest = rest[1:] if word == "-m" and rest[:1] == ["serve"] else rest
            return ServerCommand(tuple(rest), {**environment, **_assignments(words[:index])})
    return None


def _starts_server(word: str, after: Sequence[str]) -> bool:
    """Whether `word` and what follows are `vllm serve` or `-m vllm.entrypoints…`."""
    if word == "-m":
        return bool(after) and after[0] in _SERVER_MODULES
    return word.rsplit("/", 1)[-1] == "vllm" and after[:1] == ["serve"]


def _in_container(words: Sequence[str], depth: int) -> ServerCommand | None:
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
    nested = _server_in(rest, set_inside, depth)
    if nested is None and "vllm" not in image.lower():
        return None
    arguments = rest[1:] if rest[:1] == ["serve"] else rest
    inner = nested or ServerCommand(tuple(arguments), set_inside)
    return replace(inner, image_version=inner.image_version or version)
