"""Which servers do these manifests start, and would they? The answer, one row a server."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.check import StartupResponse
from vllm_preflight.contract.verdict import Verdict


class ArgumentPlace(Report):
    """Where an argument stands."""

    flag: str = Field(description="As written; model for the model.")
    line: int = Field(description="Line of the file, from 1.")


class ServerError(Report):
    """Why a server gets no answer."""

    code: str = Field(description="Machine-readable kind.")
    message: str = Field(description="What is missing or wrong.")
    hint: str = Field(default="", description="What to do.")


class ServerReport(Report):
    """One vLLM server of a manifest: how it was read, and what becomes of it."""

    name: str = Field(description="Object, with role or container.")
    file: str = Field(description="File it is in, - for standard input.")
    document: int = Field(default=0, description="Which document of the file, from 0.")
    line: int = Field(description="Line where its words begin.")
    decides: int | None = Field(
        default=None, description="Line of the argument that keeps it from starting."
    )
    verdict: Verdict | None = Field(default=None, description="The worst of its answers.")
    error: ServerError | None = Field(default=None, description="Why there is no verdict.")
    model: str | None = Field(default=None, description="The model it serves.")
    args: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="Arguments that bear on memory."
    )
    places: list[ArgumentPlace] = Field(
        default_factory=list[ArgumentPlace], description="Where each argument stands."
    )
    gpu: list[str] = Field(default_factory=list[str], description="Its GPU; several: either.")
    gpus_per_pod: int | Literal["all"] | None = Field(
        default=None, description="GPUs of one pod; all: of the machine."
    )
    nodes: int = Field(default=1, description="Pods that make one server.")
    replicas: int = Field(default=1, description="Servers of this kind; 0: none until scaled up.")
    version: str | None = Field(default=None, description="vLLM release that the image names.")
    image: str | None = Field(default=None, description="Container image.")
    shm: str | None = Field(default=None, description="Size of /dev/shm, where given.")
    findings: list[str] = Field(
        default_factory=list[str], description="What does not add up or deserves a look."
    )
    answers: list[StartupResponse] = Field(
        default_factory=list[StartupResponse], description="One prediction for each GPU."
    )

    @property
    def good(self) -> bool:
        """Whether it was answered and would start."""
        return self.verdict is not None and self.verdict.good

    @property
    def stopped(self) -> bool:
        """Whether it is scaled to nothing: its answer is for later, and fails no pipeline."""
        return self.replicas == 0


class ManifestResponse(Report):
    """Every vLLM server that was found."""

    servers: list[ServerReport] = Field(description="One row a server.")
    warnings: list[str] = Field(default_factory=list[str], description="What was not read.")
