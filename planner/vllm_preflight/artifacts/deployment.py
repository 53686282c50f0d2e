"""A checked plan as the facts every artefact is written from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vllm_preflight.artifacts.assumptions import assumptions
from vllm_preflight.base.units import ceil_div, gib_to_bytes
from vllm_preflight.contract.check import StartupReport
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.render import render_command
from vllm_preflight.launch.versions import format_version, parse_version

PORT = 8000
_IMAGE = "vllm/vllm-openai"
_LONGEST_LABEL = 63
_NOT_LABEL = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Deployment:
    """What is started, where, and what was promised of it.

    Attributes:
        name: the model's name as a DNS label (RFC 1123), for objects and services.
        model: Hub id, or the absolute path of a local folder.
        is_local: whether `model` is a folder, which containers must be given.
        arguments: vLLM's arguments by their names, without the model.
        gpus: GPUs in all; `nodes` of them are spread over as many machines.
        weights_bytes: what is read before the server is ready.
        summary: the plan's verdict in one sentence.
        kv_cache_blocks: the fewest the plan promises; None for models without a KV cache.
        output_tokens_per_s: the 80 % interval of the estimated speed, where there is one.
    """

    name: str
    model: str
    is_local: bool
    version: Version
    arguments: Mapping[str, Any]
    gpu: Gpu
    gpus: int
    nodes: int
    weights_bytes: int
    summary: str
    concurrency: int
    prompt_tokens: int
    gen_tokens: int
    kv_cache_blocks: int | None
    output_tokens_per_s: tuple[float, float] | None = None

    @property
    def image_tag(self) -> str:
        """Tag of vLLM's own image."""
        return f"v{format_version(self.version)}"

    @property
    def image(self) -> str:
        """The image vLLM publishes of the release planned for."""
        return f"{_IMAGE}:{self.image_tag}"

    @property
    def image_repository(self) -> str:
        """The image vLLM publishes, without its tag."""
        return _IMAGE

    @property
    def gpus_per_node(self) -> int:
        """GPUs used on each machine."""
        return self.gpus // self.nodes

    @property
    def load_seconds(self) -> int:
        """Seconds until the server may be expected: weights at the assumed rate, then the rest."""
        assumed = assumptions()
        return assumed.start_allowance_s + math.ceil(self.weights_bytes / assumed.read_mb_s / 1e6)

    @property
    def cpus_per_node(self) -> int:
        """CPUs to ask for on each machine."""
        return assumptions().cpus_beside_gpus + self.gpus_per_node

    @property
    def memory_gib_per_node(self) -> int:
        """Host memory to ask for on each machine, offloaded weights and /dev/shm included."""
        offload = math.ceil(self.arguments.get("cpu_offload_gb") or 0)
        per_gpu = assumptions().host_gib_per_gpu + offload
        return (
            assumptions().host_gib + per_gpu * self.gpus_per_node + self.shared_memory_gib_per_node
        )

    @property
    def shared_memory_gib_per_node(self) -> int:
        """Size of /dev/shm on each machine."""
        return assumptions().shared_memory_gib_per_gpu * self.gpus_per_node

    def with_arguments(self, arguments: Mapping[str, Any]) -> Deployment:
        """The same deployment with other arguments of vLLM."""
        return replace(self, arguments=arguments)

    def serve_words(self, *extra: str, port: int | None = None) -> tuple[str, ...]:
        """The words after `vllm serve`: model, arguments, then `extra`."""
        fields = {"model": self.model, **self.arguments}
        words = render_command(fields, version=self.version).argv[2:]
        where = () if port is None else ("--host", "0.0.0.0", "--port", str(port))
        return (*words, *where, *extra)


def describe_deployment(
    request: PlanRequest, plan: PlanResponse, hardware: Hardware, arguments: Mapping[str, Any]
) -> Deployment:
    """The facts of `plan`, which starts on `hardware` with these `arguments` of vLLM."""
    startup, config, speed = plan.startup, plan.config, plan.performance
    is_local = plan.model.origin == "local"
    model = str(Path(config.model).expanduser().absolute()) if is_local else config.model
    weights = gib_to_bytes(plan.feasibility.weights_gib) * config.pipeline_parallel_size
    return Deployment(
        name=dns_label(model),
        model=model,
        is_local=is_local,
        version=parse_version(request.vllm_version),
        arguments=arguments,
        gpu=hardware.gpu,
        gpus=plan.hardware.gpus,
        nodes=ceil_div(plan.hardware.gpus, hardware.gpus_per_node),
        weights_bytes=plan.model.checkpoint_bytes or weights,
        summary=plan_title(plan),
        concurrency=request.concurrency,
        prompt_tokens=request.prompt_tokens,
        gen_tokens=request.gen_tokens,
        kv_cache_blocks=None if startup is None else _fewest_blocks(startup),
        output_tokens_per_s=speed and speed.interval.get("output_tokens_per_s"),
    )


def plan_title(plan: PlanResponse) -> str:
    """The plan in one sentence: model, GPUs and verdict."""
    hardware = plan.hardware
    return f"{plan.config.model} on {hardware.gpus} × {hardware.gpu}: {plan.verdict.sentence}."


def _fewest_blocks(startup: StartupReport) -> int | None:
    """Blocks at the low end of the interval, which is told in tokens."""
    blocks, tokens = startup.num_gpu_blocks, startup.kv_cache_tokens
    if not blocks or not tokens:
        return None
    interval = startup.interval.kv_cache_tokens if startup.interval else None
    if interval is None:
        return blocks
    return blocks * min(interval[0], tokens) // tokens


def dns_label(model: str) -> str:
    """A model's name as an RFC 1123 label that starts with a letter, such as "vllm-qwen3-32b"."""
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1].lower()
    label = f"vllm-{_NOT_LABEL.sub('-', last)}"
    return label[: _LONGEST_LABEL - len("-bench")].strip("-")
