"""The vLLM server of a Dockerfile: what the last stage's ENTRYPOINT and CMD start.

Source: Docker's Dockerfile reference (scope of ARG, environment replacement, SHELL,
here-documents, how CMD and ENTRYPOINT interact).
"""

from __future__ import annotations

import json
import re
import shlex
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from vllm_preflight.manifests.compose import Compose
from vllm_preflight.manifests.nodes import Text
from vllm_preflight.manifests.pods import is_worker, serves
from vllm_preflight.manifests.releases import image_release, installed_release
from vllm_preflight.manifests.servers import Gpus, ManifestServer, SharedMemory
from vllm_preflight.manifests.words import read_command

_FROM = re.compile(r"^\s*FROM\s+\S", re.MULTILINE | re.IGNORECASE)
_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)\Z", re.DOTALL)
_NAMED = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_DOCUMENT = re.compile(r"<<(-?)[\"']?([A-Za-z_]\w*)[\"']?")
_WITH_DOCUMENTS = frozenset({"RUN", "COPY", "ADD"})
_SHELL = ("/bin/sh", "-c")


@dataclass
class _Stage:
    """One stage while its instructions are read.

    `environment` is what the container sees; `arguments` only the build.
    """

    image: Text | None = None
    environment: dict[str, str] = field(default_factory=dict[str, str])
    arguments: dict[str, str] = field(default_factory=dict[str, str])
    entry: list[Text] = field(default_factory=list[Text])
    words: list[Text] = field(default_factory=list[Text])
    entry_is_shell: bool = False
    has_words: bool = False
    shell: tuple[str, ...] = _SHELL
    release: str | None = None

    def taken_over(self) -> _Stage:
        """The stage that begins FROM this one."""
        return replace(
            self, environment=dict(self.environment), arguments={}, has_words=False, shell=_SHELL
        )

    def replaced(self, text: str, given: Mapping[str, str]) -> str:
        """The text as the build replaces its variables."""
        return _replaced(text, ChainMap({**given}, self.environment, self.arguments))


def is_dockerfile(text: str) -> bool:
    """Whether a text is a Dockerfile."""
    first = next((line for line in text.splitlines() if line.strip()[:1] not in {"", "#"}), "")
    return bool(_FROM.search(text)) and first.split()[0].upper() in {"FROM", "ARG"}


def read_dockerfile(text: str, name: str, given: Mapping[str, str]) -> Iterator[ManifestServer]:
    """The server that the last stage starts; `given` are values of variables."""
    stage = _last_stage(text, given)
    whole = stage.entry if stage.entry_is_shell else [*stage.entry, *stage.words]
    if not whole:
        return
    image = str(stage.image) if stage.image else None
    command = read_command(
        whole,
        {**stage.environment, **given},
        image=image,
        own_entry=not stage.entry and serves(image, whole),
        expand=lambda value, _: value,
    )
    if command is None or is_worker(command):
        return
    yield ManifestServer(
        name,
        whole[0].line,
        command=command,
        sources=tuple(whole),
        image=image,
        release=stage.release or image_release(stage.image),
        gpus=Gpus(every=True),
        shared_memory=SharedMemory(known=False),
    )


def _last_stage(text: str, given: Mapping[str, str]) -> _Stage:
    # What stands before the first FROM is for the FROM lines alone.
    outside = stage = _Stage()
    named: dict[str, _Stage] = {}
    for instruction, argument in _instructions(text):
        if instruction == "FROM" and (found := _NAMED.match(argument)):
            image = outside.replaced(found[1], given)
            base = named.get(image.lower())
            stage = base.taken_over() if base else _Stage(argument.moved(image))
            if found[2]:
                named[found[2].lower()] = stage
        else:
            _follow(instruction, argument, stage, outside, given)
    return stage


def _follow(
    instruction: str, argument: Text, stage: _Stage, outside: _Stage, given: Mapping[str, str]
) -> None:
    """What one instruction does to its stage."""
    match instruction:
        case "ARG":
            stage.arguments |= _assigned(argument, stage, given)
            if "=" not in argument and (value := outside.arguments.get(argument.strip())):
                stage.arguments[argument.strip()] = value
        case "ENV":
            stage.environment |= _assigned(argument, stage, given)
        case "RUN":
            stage.release = installed_release(stage.replaced(argument, given)) or stage.release
        case "SHELL":
            stage.shell = tuple(str(word) for word in _exec_form(argument) or ()) or _SHELL
        case "ENTRYPOINT":
            words = _exec_form(argument)
            stage.entry_is_shell = words is None
            stage.entry = words or [argument.moved(word) for word in (*stage.shell, str(argument))]
            if not stage.has_words:
                # One that was taken over ends with a new entry point.
                stage.words = []
        case "CMD":
            words = _exec_form(argument)
            stage.has_words = True
            stage.words = (
                [argument.moved(word) for word in (*stage.shell, str(argument))]
                if words is None
                else words
            )
        case _:
            pass


def _instructions(text: str) -> Iterator[tuple[str, Text]]:
    pending, first, instruction = "", 0, ""
    ending: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if ending:
            # A here-document's own lines are no instructions, but belong to one.
            pending += "\n" + line
            if line.strip() == ending[0] and len(ending) == 1:
                yield instruction, Text.at(pending, first, number)
                pending = ""
            if line.strip() == ending[0]:
                ending.pop(0)
            continue
        if line.strip()[:1] == "#" or (not line.strip() and not pending):
            continue
        first = first if pending else number
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1] + "\n"
            continue
        found = _INSTRUCTION.match(pending + line)
        pending = ""
        if found:
            instruction = found[1].upper()
            if instruction in _WITH_DOCUMENTS:
                ending = [document[2] for document in _DOCUMENT.finditer(found[2])]
            if ending:
                pending = found[2]
            else:
                yield instruction, Text.at(found[2], first, number)


def _exec_form(argument: Text) -> list[Text] | None:
    """Words of the exec form, a JSON list; None for the shell form."""
    if not argument.strip().startswith("["):
        return None
    try:
        items: object = json.loads(argument)
    except (ValueError, RecursionError):
        return None
    return [argument.moved(str(item)) for item in cast(list[object], items)]


def _assigned(argument: Text, stage: _Stage, given: Mapping[str, str]) -> dict[str, str]:
    """What ENV or ARG sets; all values of one instruction see what was before it."""
    try:
        words = shlex.split(str(argument))
    except ValueError:
        return {}
    if words and "=" not in words[0]:
        # The old form: ENV NAME value. An ARG without a value is given at build time.
        return {words[0]: stage.replaced(" ".join(words[1:]), given)} if len(words) > 1 else {}
    pairs = [word.partition("=") for word in words]
    return {name: stage.replaced(value, given) for name, equals, value in pairs if equals}


def _replaced(text: str, values: Mapping[str, str]) -> str:
    return Compose(None, values).replaced(text)
