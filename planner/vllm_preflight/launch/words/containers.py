"""`docker run … IMAGE …` and its relatives: the image and what runs in it.

Also which vLLM release an image holds: only vLLM's own images say so in their tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vllm_preflight.launch.words.expand import Expanded

_ENGINES = frozenset({"docker", "podman", "nerdctl"})
_HPC = frozenset({"apptainer", "singularity"})
CONTAINER_TOOLS = _ENGINES | _HPC
# Container options without a value; every other one takes the next word.
_SWITCHES = frozenset(
    {
        *("--rm", "--init", "--privileged", "--read-only", "--quiet", "--nv", "--rocm"),
        *("--detach", "--interactive", "--tty", "--publish-all", "--no-healthcheck"),
        *("--oom-kill-disable", "--containall", "--cleanenv", "--writable-tmpfs", "--fakeroot"),
    }
)
_SHORT_SWITCHES = re.compile(r"-[ditqP]+")
# Programs with which people look into an image instead of serving.
_NO_SERVER = frozenset(
    {
        *("bash", "sh", "zsh", "sleep", "tail", "cat", "ls", "pip", "python", "python3", "env"),
        *("nvidia-smi", "rocm-smi", "true", "infinity"),
    }
)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_OWN_IMAGE = re.compile(r"(?:^|/)vllm/vllm[\w-]*:v?(\d+\.\d+[0-9a-z.]*)[^:/@]*(?:@.*)?$")
# ROCm's images name the release after their own.
_NAMED_RELEASE = re.compile(r":[^:/]*vllm[_-]v?(\d+\.\d+\.\d+)[^:/]*$")


@dataclass(frozen=True, slots=True)
class Container:
    """A container about to run: image, variables and words.

    `words` is what runs, entry point first; `arguments` what the image's own entry point
    gets, meant for vLLM where `is_server`.
    """

    image: str
    environment: Mapping[str, Expanded | None]
    words: tuple[Expanded, ...]
    arguments: tuple[Expanded, ...]
    is_server: bool


def read_container(words: Sequence[Expanded]) -> Container | None:
    """The container of `docker run …` or `apptainer exec …`; None for anything else."""
    program, rest = words[0].text.rsplit("/", 1)[-1], list(words[1:])
    if program in _ENGINES:
        if rest and rest[0].text == "container":
            rest = rest[1:]
        if not rest or rest[0].text != "run":
            return None
    elif not rest or rest[0].text not in {"run", "exec"}:
        return None
    return _run(rest[1:], runs_words=program in _HPC and rest[0].text == "exec")


def _run(words: list[Expanded], *, runs_words: bool) -> Container | None:
    environment: dict[str, Expanded | None] = {}
    entry: Expanded | None = None
    index = 0
    while index < len(words) and words[index].text.startswith("-"):
        option, equals, text = words[index].text.partition("=")
        value = Expanded(text, words[index].missing)
        index += 1
        if option in _SWITCHES or _SHORT_SWITCHES.fullmatch(option):
            continue
        if not equals and index < len(words):
            value = words[index]
            index += 1
        if option in {"-e", "--env"}:
            match = _ASSIGNMENT.fullmatch(value.text)
            name = match[1] if match else value.text
            environment[name] = Expanded(match[2], value.missing) if match else None
        if option == "--entrypoint":
            entry = value
    if index >= len(words):
        return None
    image, rest = words[index].text, words[index + 1 :]
    run = [entry, *rest] if entry is not None and entry.text else rest
    first = run[0].text.rsplit("/", 1)[-1] if run else ""
    own_entry = (entry is None or not entry.text) and not runs_words
    serves = own_entry and "vllm" in image.lower() and first not in _NO_SERVER
    arguments = rest[1:] if rest[:1] and rest[0].text == "serve" else rest
    return Container(image, environment, tuple(run), tuple(arguments), serves)


def release_of(image: str) -> str | None:
    """The vLLM release that an image's tag names; None where it names none."""
    lowered = image.lower()
    match = _OWN_IMAGE.search(lowered) or _NAMED_RELEASE.search(lowered)
    return match[1] if match else None
