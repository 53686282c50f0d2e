"""vLLM servers of shell scripts and `vllm serve --config` files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.flags.table import parser_of
from vllm_preflight.launch.versions import NEWEST_KNOWN
from vllm_preflight.manifests.nodes import Fields, Node, Text, at
from vllm_preflight.manifests.releases import image_release, installed_release
from vllm_preflight.manifests.servers import Gpus, ManifestServer, SharedMemory
from vllm_preflight.manifests.settings import setting_words
from vllm_preflight.manifests.slurm import SlurmJob, slurm_job
from vllm_preflight.manifests.words import read_command, read_script

# Flags by which servers on several machines make one.
_JOINING = frozenset({"--nnodes", "--data-parallel-address", "--data-parallel-start-rank"})


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
