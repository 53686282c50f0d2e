"""vLLM servers of systemd units and Podman's quadlets.

systemd is no shell: `${X}` is one word, `$X` is split, and quotes are its own. Source:
systemd.service(5), systemd.syntax(7), podman-systemd.unit(5).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.manifests.nodes import Text
from vllm_preflight.manifests.pods import is_worker, serves
from vllm_preflight.manifests.releases import image_release
from vllm_preflight.manifests.servers import Gpus, ManifestServer, SharedMemory
from vllm_preflight.manifests.words import read_command, replaced, unknown

_SECTION = re.compile(r"\[(\w[\w-]*)\]\s*$")
_UNIT = re.compile(r"^\s*\[(?:Service|Container)\]\s*$", re.MULTILINE)
_BRACED = re.compile(r"\$\{(\w+)\}")
# What systemd fills in of the unit or the machine.
_SPECIFIER = re.compile(r"(?<!%)%[a-zA-Z]")
_WHOLE = re.compile(r"\$(\w+)")
# What may stand before a program: do not fail, another name, full privileges.
_SPECIAL = re.compile(r"^[-@:+!]+")


def is_unit(text: str) -> bool:
    """Whether a text is a unit file that runs something."""
    return _UNIT.search(text) is not None


@dataclass
class _Settings:
    """The settings of a section by name; an empty one clears those before it."""

    values: dict[str, list[Text]] = field(default_factory=dict[str, list[Text]])

    def add(self, name: str, value: Text) -> None:
        if value:
            self.values.setdefault(name, []).append(value)
        else:
            self.values[name] = []

    def all(self, name: str) -> list[Text]:
        return self.values.get(name, [])

    def last(self, name: str) -> Text | None:
        return next(reversed(self.all(name)), None)


def read_unit(text: str, name: str, given: Mapping[str, str]) -> Iterator[ManifestServer]:
    """The server of a service's ExecStart or of a quadlet's container."""
    sections = _sections(text)
    if "Container" in sections:
        yield from _of_container(sections["Container"], name, given)
    elif "Service" in sections:
        yield from _of_service(sections["Service"], name, given)


def _sections(text: str) -> dict[str, _Settings]:
    sections: dict[str, _Settings] = {}
    current = _Settings()
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not pending and (not stripped or stripped[0] in "#;"):
            continue
        if pending and stripped[:1] in {"#", ";"}:
            continue
        if found := _SECTION.match(stripped) if not pending else None:
            current = sections.setdefault(found[1], _Settings())
            continue
        first = first if pending else number
        pending += stripped
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        key, equals, value = pending.partition("=")
        if equals:
            current.add(key.strip(), Text.at(value.strip(), first, number))
        pending = ""
    return sections


def _words(text: Text) -> list[Text]:
    lexer = shlex.shlex(str(text), posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return [text.moved(word) for word in lexer]
    except ValueError:
        raise InvalidRequest(f"The quotes in line {text.line} do not match.") from None


def _environment(settings: _Settings, given: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in settings.all("Environment"):
        for word in _words(line):
            name, equals, value = word.partition("=")
            if equals:
                values[name] = value
    return {**values, **given}


def _unread(settings: _Settings, words: Sequence[str]) -> tuple[str, ...]:
    """That files with variables, which go before the unit's own, are not read."""
    if not any("$" in word for word in words):
        return ()
    names = " and ".join(line.removeprefix("-") for line in settings.all("EnvironmentFile"))
    return (f"The variables that {names} sets are not read, and win over these.",) if names else ()


def _replaced(words: list[Text], values: Mapping[str, str]) -> Iterator[Text]:
    for word in words:
        whole = _WHOLE.fullmatch(word)
        if whole:
            known = values.get(whole[1])
            parts = [unknown(str(word))] if known is None else known.split()
            yield from (word.moved(part) for part in parts)
            continue
        text = replaced(_BRACED, lambda m: values.get(m[1], unknown(m[0])), str(word))
        text = _SPECIFIER.sub(lambda m: unknown(m[0]), text)
        yield word.moved(text.replace("$$", "$").replace("%%", "%"))


def _of_service(
    settings: _Settings, name: str, given: Mapping[str, str]
) -> Iterator[ManifestServer]:
    values = _environment(settings, given)
    for start in settings.all("ExecStart"):
        words = list(_replaced(_words(start), values))
        if words:
            words[0] = words[0].moved(_SPECIAL.sub("", words[0]))
        command = read_command(words, values, expand=lambda text, _: text)
        if command is None or is_worker(command):
            continue
        visible = values.get("CUDA_VISIBLE_DEVICES", "")
        counted = re.fullmatch(r"[\w.-]+(?:\s*,\s*[\w.-]+)*", visible)
        yield ManifestServer(
            name,
            start.line,
            command=command,
            sources=(start,),
            image=command.image,
            release=image_release(command.image),
            gpus=Gpus(count=len(visible.split(",")) if counted else None, every=not counted),
            notes=_unread(settings, [start]),
            # Processes of the machine itself have all of its memory.
            shared_memory=SharedMemory(host=command.image is None, known=command.image is None),
        )


def _of_container(
    settings: _Settings, name: str, given: Mapping[str, str]
) -> Iterator[ManifestServer]:
    image = settings.last("Image")
    values = _environment(settings, given)
    words = [w for line in settings.all("Exec")[-1:] for w in _replaced(_words(line), values)]
    entry = settings.last("Entrypoint")
    start = [entry] if entry else []
    command = read_command(
        [*start, *words],
        values,
        image=str(image) if image else None,
        own_entry=not start and serves(image, words),
        expand=lambda text, _: text,
    )
    if command is None or is_worker(command):
        return
    devices = [d for line in settings.all("AddDevice") for d in [line.partition("=")[2]]]
    every = "all" in devices
    numbered = [device for device in devices if device.isdigit()]
    memory = settings.last("ShmSize")
    host = "ipc" in " ".join(settings.all("PodmanArgs"))
    yield ManifestServer(
        name,
        words[0].line if words else getattr(image, "line", 1),
        command=command,
        sources=tuple(words),
        image=str(image) if image else None,
        release=image_release(image),
        gpus=Gpus(count=len(numbered) or None, every=every or not numbered),
        notes=_unread(settings, settings.all("Exec")[-1:]),
        shared_memory=SharedMemory(str(memory)) if memory else SharedMemory(host=host),
    )
