"""A checked plan as the facts every artefact is written from."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
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
# A LeaderWorkerSet's pods are labelled with the name of their StatefulSet ("NAME-0") and a
# hash of ten characters, in at most 63; a Service's or Job's suffix is shorter than that.
_LONGEST_NAME = 63 - len("-0-0123456789")
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
        request_rate: requests that arrive per second, where the plan is for a rate.
        max_num_seqs: most requests of one server in a batch.
        shares_experts: whether data-parallel ranks compute each layer together, as those of
            a mixture of experts do; ranks of other models know nothing of each other.
        extra: further words for `vllm serve`, checked and written as they are.
        costs: what the GPUs cost, in sentences, where prices were given.
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
    max_num_seqs: int
    output_tokens_per_s: tuple[float, float] | None = None
    request_rate: float | None = None
    shares_experts: bool = False
    extra: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()

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

    @property
    def data_parallel_size(self) -> int:
        """Data-parallel ranks in all."""
        return self.arguments.get("data_parallel_size") or 1

    @property
    def replica_gpus(self) -> int:
        """GPUs of one data-parallel rank."""
        return self.gpus // self.data_parallel_size

    @property
    def replicas(self) -> int:
        """Servers that a cluster may run in place of one with data-parallel ranks.

        Ranks that are independent gain nothing from one process: as pods of their own they
        fail, restart, move and scale one by one. Ranks that share experts stay one server.
        """
        size = self.data_parallel_size
        fits = self.replica_gpus <= self.gpus_per_node
        return size if fits and not self.shares_experts else 1

    @property
    def replica(self) -> Deployment:
        """One of the `replicas`; the whole where there is only one."""
        if self.replicas == 1:
            return self
        kept = {k: v for k, v in self.arguments.items() if k != "data_parallel_size"}
        return replace(self, arguments=kept, gpus=self.replica_gpus, nodes=1)

    @property
    def cache_gib(self) -> int:
        """Size of a volume for the checkpoint."""
        share = 100 + assumptions().cache_headroom_percent
        return ceil_div(self.weights_bytes * share, 100 * 2**30)

    def with_arguments(self, arguments: Mapping[str, Any]) -> Deployment:
        """The same deployment with other arguments of vLLM."""
        return replace(self, arguments=arguments)

    def with_extra(self, extra: Sequence[str]) -> Deployment:
        """The same deployment with other further words."""
        return replace(self, extra=tuple(extra))

    def serve_words(self, *extra: str, port: int | None = None) -> tuple[str, ...]:
        """The words after `vllm serve`: model, arguments, `extra` last."""
        fields = {"model": self.model, **self.arguments}
        words = render_command(fields, version=self.version).argv[2:]
        where = () if port is None else ("--host", "0.0.0.0", "--port", str(port))
        return (*words, *self.extra, *where, *extra)


def describe_deployment(
    request: PlanRequest,
    plan: PlanResponse,
    hardware: Hardware,
    arguments: Mapping[str, Any],
    *,
    shares_experts: bool,
    extra: Sequence[str] = (),
    draft_bytes: int = 0,
) -> Deployment:
    """The facts of `plan`, which starts on `hardware` with these `arguments` of vLLM.

    `draft_bytes` is the size of a draft's own checkpoint, which is read as well.
    """
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
        weights_bytes=(plan.model.checkpoint_bytes or weights) + draft_bytes,
        summary=plan_title(plan),
        concurrency=request.concurrency,
        prompt_tokens=request.prompt_tokens,
        gen_tokens=request.gen_tokens,
        kv_cache_blocks=None if startup is None else _fewest_blocks(startup),
        max_num_seqs=config.max_num_seqs,
        output_tokens_per_s=speed and speed.interval.get("output_tokens_per_s"),
        request_rate=request.request_rate,
        shares_experts=shares_experts,
        extra=tuple(extra),
        costs=tuple(plan.cost.sentences) if plan.cost else (),
    )


def plan_title(plan: PlanResponse) -> str:
    """The plan in one sentence: model, GPUs and verdict."""
    hardware, sentence = plan.hardware, plan.verdict.sentence.rstrip(".")
    joint = " " if plan.verdict.good else ": "
    return f"{plan.config.model} on {hardware.gpus} × {hardware.gpu}{joint}{sentence}."


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
    return label[:_LONGEST_NAME].strip("-")
