"""`docker run … IMAGE …`, `kubectl run …` and their relatives: the image and what runs in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vllm_preflight.launch.words.devices import (
    Visible,
    by_cdi_devices,
    by_docker_gpus,
    by_resource_limit,
)
from vllm_preflight.launch.words.expand import Expanded

_ENGINES = frozenset({"docker", "podman", "nerdctl"})
_HPC = frozenset({"apptainer", "singularity"})
_CLUSTER = frozenset({"kubectl", "oc"})
CONTAINER_TOOLS = _ENGINES | _HPC | _CLUSTER
# Options without a value; every other one takes the next word.
_SWITCHES = frozenset(
    {
        *("--rm", "--init", "--privileged", "--read-only", "--quiet", "--nv", "--rocm"),
        *("--detach", "--interactive", "--tty", "--publish-all", "--no-healthcheck"),
        *("--oom-kill-disable", "--containall", "--cleanenv", "--writable-tmpfs", "--fakeroot"),
        *("--nvccli", "--contain", "--no-home", "--writable", "--replace", "--no-hosts"),
        *("--disable-content-trust", "--sig-proxy", "--env-host", "--command", "--stdin"),
        *("--attach", "--expose"),
    }
)
_SHORT_OPTION = re.compile(
    r"-(?P<switches>[ditqP]*)(?P<letter>[acehlmpuvw])?(?P<value>.*)", re.DOTALL
)
# Programs with which people look into an image instead of serving.
_NO_SERVER = frozenset(
    {
        *("bash", "sh", "zsh", "sleep", "tail", "cat", "ls", "pip", "python", "python3", "env"),
        *("nvidia-smi", "rocm-smi", "true", "infinity"),
    }
)
_POD_VERBS = frozenset({("deployment", "create"), ("deploy", "create"), ("job", "create")})
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
# Options that hand in GPUs in ways whose number is not read, or all of them.
_HANDING = frozenset(
    {"--runtime", "--gpus", "--device", "--limits", "--overrides", "--generic-resource"}
)


@dataclass(frozen=True, slots=True)
class Container:
    """A container about to run: image, variables and words.

    `words` is what runs, entry point first; `arguments` what the image's own entry point
    gets, meant for vLLM where `is_server`. `head` is the last word before these. `visible`
    limits the GPUs; `hands_gpus` is false where no option hands any in; `inherits` says that
    the shell's environment reaches it; `odd_gpus` is a list of GPUs that Docker refuses;
    `env_files` are files of variables.
    """

    image: Expanded
    environment: Mapping[str, Expanded | None]
    words: tuple[Expanded, ...]
    arguments: tuple[Expanded, ...]
    head: Expanded
    is_server: bool
    visible: tuple[Visible, ...] = ()
    hands_gpus: bool = True
    inherits: bool = False
    odd_gpus: str | None = None
    env_files: tuple[str, ...] = ()


@dataclass
class _Options:
    """The options before the image."""

    environment: dict[str, Expanded | None] = field(default_factory=dict[str, Expanded | None])
    entry: Expanded | None = None
    image: Expanded | None = None
    runs_words: bool = False
    handing: bool = False
    gpus: list[str] = field(default_factory=list[str])
    devices: list[str] = field(default_factory=list[str])
    limits: list[str] = field(default_factory=list[str])
    env_files: list[str] = field(default_factory=list[str])

    def take(self, option: str, value: Expanded) -> None:
        """One option with its value."""
        if option in {"-e", "--env"}:
            match = _ASSIGNMENT.fullmatch(value.text)
            name = match[1] if match else value.text
            self.environment[name] = Expanded(match[2], value.missing) if match else None
        elif option == "--entrypoint":
            self.entry = value
        elif option == "--env-file":
            self.env_files.append(value.text)
        elif option == "--image":
            self.image = value
        elif option in {"--limits", "--overrides"}:
            self.limits.append(value.text)
        self.handing = self.handing or option in _HANDING
        if option == "--gpus" and not value.missing:
            self.gpus.append(value.text)
        elif option == "--device":
            self.devices.append(value.text)

    def visible(self) -> tuple[Visible, ...]:
        """How many GPUs these options hand in."""
        found = [
            *(by_docker_gpus(value) for value in self.gpus),
            by_cdi_devices(self.devices),
            *(by_resource_limit(text) for text in self.limits),
        ]
        return tuple(limit for limit in found if limit is not None)


def read_container(words: Sequence[Expanded]) -> Container | None:
    """The container of `docker run …` or `apptainer exec …`; None for anything else."""
    program, rest = words[0].text.rsplit("/", 1)[-1], list(words[1:])
    if program in _CLUSTER:
        return _pod(rest)
    if program in _ENGINES:
        if rest and rest[0].text in {"container", "service"}:
            rest = rest[1:]
        if not rest or rest[0].text not in {"run", "create"}:
            return None
    elif not rest or rest[0].text not in {"run", "exec"}:
        return None
    options = _Options(runs_words=program in _HPC and rest[0].text == "exec")
    options.handing = program in _HPC
    index = _read_options(rest, 1, options)
    if index >= len(rest):
        return None
    found = _container(options, rest[index], rest[index + 1 :])
    return replace(found, inherits=program in _HPC)


def _read_options(words: Sequence[Expanded], index: int, options: _Options) -> int:
    """Take the options from `index` on; the place of the first word that is none."""
    while index < len(words) and words[index].text.startswith("-"):
        option, equals, text = words[index].text.partition("=")
        value = Expanded(text, words[index].missing)
        if option == "--":
            return index + 1
        short = None if option.startswith("--") else _SHORT_OPTION.fullmatch(words[index].text)
        index += 1
        if option in _SWITCHES:
            options.runs_words = options.runs_words or option == "--command"
            continue
        if short is not None:
            if not short["letter"]:
                continue
            option, equals = f"-{short['letter']}", short["value"]
            value = Expanded(equals.removeprefix("="), value.missing)
        if not equals and index < len(words):
            value = words[index]
            index += 1
        options.take(option, value)
    return index


def _container(options: _Options, image: Expanded, rest: Sequence[Expanded]) -> Container:
    entry = options.entry if options.entry is not None and options.entry.text else None
    run = [entry, *rest] if entry is not None else list(rest)
    first = run[0].text.rsplit("/", 1)[-1] if run else ""
    own_entry = entry is None and not options.runs_words
    serves = own_entry and "vllm" in image.text.lower() and first not in _NO_SERVER
    named = rest[:1] and rest[0].text == "serve"
    arguments = rest[1:] if named else rest
    head = rest[0] if named else image
    odd = next((text for text in options.gpus if re.fullmatch(r"device=\d+(?:,\d+)+", text)), None)
    return Container(
        image,
        options.environment,
        tuple(run),
        tuple(arguments),
        head,
        serves,
        options.visible(),
        options.handing or "NVIDIA_VISIBLE_DEVICES" in options.environment,
        odd_gpus=odd,
        env_files=tuple(options.env_files),
    )


def _pod(words: Sequence[Expanded]) -> Container | None:
    """The container of `kubectl run NAME --image=IMAGE … -- ARGUMENTS`, or of a deployment."""
    texts = [word.text for word in words]
    verbs = zip(texts, ["", *texts], strict=False)
    place = next(
        (i for i, pair in enumerate(verbs) if pair in _POD_VERBS or pair[0] == "run"), None
    )
    if place is None:
        return None
    end = next((i for i, word in enumerate(words) if word.text == "--"), len(words))
    options = _Options()
    index, given = place + 1, list(words[:end])
    loose: list[Expanded] = []
    while index < len(given):
        index = _read_options(given, index, options)
        if index < len(given):
            loose.append(given[index])
            index += 1
    if options.image is None:
        return None
    rest = words[end + 1 :] if end < len(words) else loose[1:]
    if texts[place] != "run":
        # A deployment's words are its command, not arguments of the image's.
        options.runs_words = bool(rest)
    head = words[end] if end < len(words) else options.image
    pod = _container(options, options.image, rest)
    return replace(pod, head=head) if pod.head is options.image else pod
