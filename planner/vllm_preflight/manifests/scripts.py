"""vLLM servers of Dockerfiles, shell scripts and `vllm serve --config` files."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.flags.table import parser_of
from vllm_preflight.launch.versions import NEWEST_KNOWN
from vllm_preflight.manifests.compose import Compose
from vllm_preflight.manifests.nodes import Fields, Node, Text, at
from vllm_preflight.manifests.pods import is_worker, serves
from vllm_preflight.manifests.releases import image_release, installed_release
from vllm_preflight.manifests.servers import Gpus, ManifestServer, SharedMemory
from vllm_preflight.manifests.settings import setting_words
from vllm_preflight.manifests.slurm import SlurmJob, slurm_job
from vllm_preflight.manifests.words import read_command, read_script

_FROM = re.compile(r"^\s*FROM\s+\S", re.MULTILINE | re.IGNORECASE)
# Flags by which servers on several machines make one.
_JOINING = frozenset({"--nnodes", "--data-parallel-address", "--data-parallel-start-rank"})
_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)\Z", re.DOTALL)


def is_dockerfile(text: str) -> bool:
    """Whether a text is a Dockerfile."""
    first = next((line for line in text.splitlines() if line.strip()[:1] not in {"", "#"}), "")
    return bool(_FROM.search(text)) and first.split()[0].upper() in {"FROM", "ARG"}


def read_dockerfile(text: str, name: str, given: Mapping[str, str]) -> Iterator[ManifestServer]:
    """The server that the last stage's ENTRYPOINT and CMD start."""
    image: Text | None = None
    values: dict[str, str] = {}
    entry: list[Text] = []
    words: list[Text] = []
    shell = False
    release: str | None = None
    for instruction, argument in _instructions(text):
        if instruction == "FROM":
            image = argument.moved(_replaced(argument.split()[0], {**values, **given}))
            entry, words, release = [], [], None
        elif instruction in {"ENV", "ARG"}:
            values |= _assigned(argument, values)
        elif instruction == "RUN":
            release = installed_release(argument) or release
        elif instruction in {"ENTRYPOINT", "CMD"}:
            found, is_shell = _form(argument)
            if instruction == "ENTRYPOINT":
                entry, words, shell = found, [], is_shell
            else:
                words = found
                shell = shell or (is_shell and not entry)
    values |= given
    whole = [*entry, *words] if not (shell and entry) else entry
    if not whole:
        return
    command = read_command(
        whole,
        values,
        image=str(image) if image else None,
        own_entry=not entry and serves(image, whole),
        expand=lambda value, _: value,
    )
    if command is None or is_worker(command):
        return
    yield ManifestServer(
        name,
        whole[0].line,
        command=command,
        sources=tuple(whole),
        image=str(image) if image else None,
        release=release or image_release(image),
        gpus=Gpus(every=True),
        shared_memory=SharedMemory(known=False),
    )


def _instructions(text: str) -> Iterator[tuple[str, Text]]:
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip()[:1] == "#" or (not line.strip() and not pending):
            continue
        first = first if pending else number
        if line.rstrip().endswith("\\"):
            pending += line.rstrip()[:-1] + "\n"
            continue
        found = _INSTRUCTION.match(pending + line)
        if found:
            yield found[1].upper(), Text.at(found[2], first, number)
        pending = ""


def _form(argument: Text) -> tuple[list[Text], bool]:
    """Words of the exec form (a JSON list), or a shell with the text."""
    stripped = argument.strip()
    if stripped.startswith("["):
        try:
            items: object = json.loads(stripped)
        except (ValueError, RecursionError):
            items = None
        if isinstance(items, list):
            return [argument.moved(str(item)) for item in cast(list[object], items)], False
    return [argument.moved(word) for word in ("/bin/sh", "-c", str(argument))], True


def _assigned(argument: Text, values: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        words = shlex.split(str(argument))
    except ValueError:
        return found
    if words and "=" not in words[0]:
        # The old form: ENV NAME value. An ARG without a value is given at build time.
        return {words[0]: " ".join(words[1:])} if len(words) > 1 else found
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            found[name] = _replaced(value, {**values, **found})
    return found


def _replaced(text: str, values: Mapping[str, str]) -> str:
    return Compose(None, values).replaced(text)


def read_shell(text: str, name: str, given: Mapping[str, str]) -> Iterator[ManifestServer]:
    """The first server that a shell script starts."""
    whole = Text.at(text, 1, text.count("\n") + 1)
    job = slurm_job(text)
    try:
        command = read_script(text, given if job is None else {**job.variables, **given})
    except InvalidRequest as error:
        if "vllm" in text:
            yield ManifestServer(name, 1, problem=error.message, hint=error.hint)
        return
    if command is None:
        return
    visible = command.environment.get("CUDA_VISIBLE_DEVICES", "")
    count = len(visible.split(",")) if re.fullmatch(r"\d+(?:,\d+)*", visible) else None
    server = ManifestServer(
        name,
        1,
        command=command,
        sources=(whole,),
        image=command.image,
        release=image_release(command.image) or installed_release(text),
        gpus=Gpus(count=count, every=count is None),
        shared_memory=SharedMemory(known=False),
    )
    yield server if job is None else _in_job(server, job)


def _in_job(server: ManifestServer, job: SlurmJob) -> ManifestServer:
    """The server with the GPUs and nodes of its Slurm job."""
    gpus = job.gpus
    if server.gpus.count is not None:
        gpus = replace(gpus, count=server.gpus.count)
    joined = job.joins or _names_nodes(server)
    nodes = job.nodes if joined else 1
    notes: list[str] = []
    if job.copies > 1 and not joined:
        notes.append(
            f"srun starts it {job.copies} times, once for each task: every copy is a server of "
            "its own, and those of one node want the same port. --ntasks=1 starts one."
        )
    elif job.nodes > 1 and not joined:
        notes.append(
            f"The job has {job.nodes} nodes and the server runs on the first: neither Ray nor "
            "--nnodes joins the others to it."
        )
    return replace(
        server,
        gpus=replace(gpus, every=gpus.count is None),
        nodes=nodes,
        replicas=1 if joined else job.copies,
        notes=(*server.notes, *notes),
    )


def _names_nodes(server: ManifestServer) -> bool:
    words = server.command.words if server.command is not None else ()
    return any(re.split("[=]", word.text)[0] in _JOINING for word in words)


def is_config(node: Node) -> bool:
    """Whether a document holds vLLM's arguments and nothing else, as --config takes them."""
    if not isinstance(node, Fields) or not node:
        return False
    known = parser_of(NEWEST_KNOWN).by_spelling
    names = {f"--{key.replace('_', '-')}" for key in node}
    own = {name for name in names if name in known or name in {"--model", "--model-tag"}}
    return "--model" in names and len(own) * 2 > len(names)


def read_config(node: Fields, name: str, given: Mapping[str, str]) -> ManifestServer:
    """The server of a config file; its model is the one key that is no flag."""
    model = at(node, "model")
    settings = Fields(node.line)
    settings.update({key: value for key, value in node.items() if key not in {"model"}})
    settings.lines = dict(node.lines)
    place = model if isinstance(model, Text) else Text.at("", node.line)
    words = [place.moved("vllm"), place.moved("serve"), place, *setting_words(settings)]
    return ManifestServer(
        name,
        node.line,
        command=read_command(words, given),
        sources=tuple(words),
        gpus=Gpus(every=True),
        shared_memory=SharedMemory(known=False),
    )
