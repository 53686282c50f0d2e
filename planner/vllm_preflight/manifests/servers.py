"""A vLLM server as a manifest has it: its words, its GPUs, its nodes, and where each stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vllm_preflight.launch.words.server import ServerCommand
from vllm_preflight.manifests.nodes import Text


@dataclass(frozen=True)
class Gpus:
    """What one pod asks for.

    Attributes:
        names: the GPU as written; several are alternatives. Empty where nothing names it.
        count: devices of one pod; None where nothing says.
        every: all devices of the machine.
        mig: the MIG profile that the resource names.
        other: an accelerator that is no GPU vLLM's figures are known for.
        shared: what says that other pods use the same cards.
    """

    names: tuple[str, ...] = ()
    count: int | None = None
    every: bool = False
    mig: str | None = None
    other: str | None = None
    shared: str | None = None


@dataclass(frozen=True)
class SharedMemory:
    """/dev/shm of the container: `size` as written, None for the container's default."""

    size: str | None = None
    host: bool = False
    known: bool = True

    @property
    def is_default(self) -> bool:
        """Whether it is the 64 MiB that a container gets where nobody asks for more."""
        return self.known and not self.host and self.size is None


@dataclass(frozen=True)
class ManifestServer:
    """One vLLM server that a manifest starts.

    Attributes:
        name: of the object, with role or container where it starts several.
        line: where the server stands in its file; `document` which one of the file.
        command: its words after `vllm serve`; None where `problem` says why not.
        sources: the scalars its words came from.
        release: vLLM's, where image or text name one; "latest" where the tag says so.
        nodes: pods that make one server; `total_gpus` all their devices, where they differ,
            `object_gpus` those of every pod of the object.
        replicas: servers of this kind; 0 where nothing runs until it is scaled up.
        pods_may_be_nodes: the replicas may be nodes of one server instead.
    """

    name: str
    line: int
    document: int = 0
    command: ServerCommand | None = None
    sources: tuple[Text, ...] = ()
    image: str | None = None
    release: str | None = None
    gpus: Gpus = field(default_factory=Gpus)
    nodes: int = 1
    total_gpus: int | None = None
    object_gpus: int = 0
    replicas: int = 1
    pods_may_be_nodes: bool = False
    shared_memory: SharedMemory = field(default_factory=SharedMemory)
    notes: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Given:
    """What the user says beside the manifest: values of variables by name."""

    variables: Mapping[str, str] = field(default_factory=dict[str, str])
