"""The kinds of artefacts: their files, which apply to a plan, and why others do not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from vllm_preflight.artifacts.assumptions import ray_image_with, ray_images
from vllm_preflight.artifacts.charts import helm_values, llm_d_values
from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.artifacts.kserve import kserve_file, llm_inference_service
from vllm_preflight.artifacts.kubernetes import bench_job, kubernetes_file
from vllm_preflight.artifacts.machine import compose_file, systemd_unit
from vllm_preflight.artifacts.monitoring import autoscaler, service_monitor
from vllm_preflight.artifacts.multi_node import (
    leader_worker_set,
    ranks_over_nodes_since,
    ray_service,
)
from vllm_preflight.artifacts.readme import readme
from vllm_preflight.artifacts.request import ArtifactKind
from vllm_preflight.artifacts.shell_files import (
    ENV_FILE,
    bench_script,
    docker_script,
    environment_file,
    serve_script,
)
from vllm_preflight.artifacts.storage import model_cache
from vllm_preflight.launch.versions import format_version

Render = Callable[[Deployment], str]


@dataclass(frozen=True)
class Kind:
    """One kind of artefact: its file, who writes it, where it runs and what it comes with.

    `place` is a machine, a cluster's nodes each with whole servers, several machines with one
    server, or any of them.
    """

    file: str
    render: Render
    place: Literal["machine", "nodes", "group", "any"] = "machine"
    needs: tuple[ArtifactKind, ...] = ()
    generates: bool = False


def _ray_service(deployment: Deployment) -> str:
    image = ray_image_with(deployment.version)
    assert image is not None  # refusal() has said so before.
    return ray_service(deployment, image)


_ENV: tuple[ArtifactKind, ...] = ("env",)
_CACHE: tuple[ArtifactKind, ...] = ("model-cache",)
README_FILE = "README.md"

# The README, which is about the others, and the profile, which is the question, are not here.
KINDS: Mapping[ArtifactKind, Kind] = {
    "serve": Kind("serve.sh", serve_script),
    "env": Kind(ENV_FILE, environment_file),
    "docker": Kind("docker-run.sh", docker_script, needs=_ENV),
    "compose": Kind("compose.yaml", compose_file, needs=_ENV),
    "systemd": Kind("vllm.service", systemd_unit, needs=_ENV),
    "model-cache": Kind("model-cache.yaml", model_cache, "any"),
    "kubernetes": Kind("kubernetes.yaml", kubernetes_file, "nodes", _CACHE),
    "leaderworkerset": Kind("leaderworkerset.yaml", leader_worker_set, "group", _CACHE),
    "rayservice": Kind("rayservice.yaml", _ray_service, "group", _CACHE),
    "helm": Kind("helm-values.yaml", helm_values, "nodes"),
    "llm-d": Kind("llm-d-values.yaml", llm_d_values, "nodes", _CACHE),
    "kserve": Kind("kserve.yaml", kserve_file, "nodes", _CACHE),
    "llminferenceservice": Kind("llminferenceservice.yaml", llm_inference_service, "nodes", _CACHE),
    "servicemonitor": Kind("servicemonitor.yaml", service_monitor, "any"),
    "hpa": Kind("hpa.yaml", autoscaler, "nodes", generates=True),
    "bench": Kind("bench.sh", bench_script, "any", generates=True),
    "bench-job": Kind("bench-job.yaml", bench_job, "any", generates=True),
}
_OF_DOCKER: Collection[ArtifactKind] = ("docker", "compose", "systemd")
_OF_TEXTS: Collection[ArtifactKind] = ("bench", "bench-job")
_OF_THE_HUB: Collection[ArtifactKind] = ("llm-d", "llminferenceservice")


def no_form(deployment: Deployment) -> str | None:
    """Why no file at all is written for the hardware, None where files are.

    The images are builds for CUDA and the plan's figures are of such builds; on another
    vendor's card one would be wrong and the other would not start.
    """
    gpu = deployment.gpu
    if gpu.vendor in ("NVIDIA", "unknown"):
        return None
    return (
        f"No files are written for the {gpu.name}: vLLM's releases for {gpu.vendor} are other "
        "builds, with images of their own, whose memory and flags are not modelled here."
    )


def refusal(kind: ArtifactKind, deployment: Deployment) -> str | None:
    """Why this kind is not written for the plan, None when it is."""
    place = KINDS[kind].place
    if place == "machine" and deployment.nodes > 1:
        return (
            f"for one machine; the plan uses {deployment.nodes} "
            "(kubernetes, leaderworkerset, rayservice)"
        )
    if kind in _OF_DOCKER and deployment.gpu.mig_profile is not None:
        return (
            "Docker is given a MIG device by its identifier, which nvidia-smi -L lists: "
            "--gpus device=MIG-…"
        )
    if place == "nodes" and deployment.replica.nodes > 1:
        return (
            f"for servers that each fit one machine; the plan spreads one over {deployment.nodes} "
            "(leaderworkerset, rayservice)"
        )
    if KINDS[kind].generates and deployment.kv_cache_blocks is None:
        return "the model keeps no KV cache and generates no text"
    if kind in _OF_TEXTS and not deployment.gen_tokens:
        return "it measures generated text, and the model generates none"
    if deployment.is_local:
        if kind == "model-cache":
            return "the model is a folder of the nodes"
        if kind in _OF_THE_HUB:
            return "it names a model of the Hub; the plan is for a local folder"
    if place == "group":
        return _no_group(kind, deployment)
    return None


def _no_group(kind: ArtifactKind, deployment: Deployment) -> str | None:
    ranks, nodes = deployment.data_parallel_size, deployment.nodes
    if nodes == 1:
        return "for several machines; the plan needs one"
    if deployment.gpus % nodes:
        return f"{deployment.gpus} GPUs are not spread evenly over {nodes} machines"
    if deployment.replicas > 1:
        return f"the {ranks} replicas share nothing and each fits one machine (kubernetes)"
    if ranks > 1:
        return _no_ranks(kind, deployment)
    if kind == "rayservice" and ray_image_with(deployment.version) is None:
        known = ", ".join(image.vllm for image in ray_images())
        return (
            f"no image of Ray Serve LLM with vLLM {format_version(deployment.version)} is known; "
            f"plan with vllm_version {known}"
        )
    return None


def _no_ranks(kind: ArtifactKind, deployment: Deployment) -> str | None:
    """Why data-parallel ranks that share experts are not laid out over the machines."""
    ranks, nodes = deployment.data_parallel_size, deployment.nodes
    if kind == "rayservice":
        return "data-parallel ranks over several machines are laid out by leaderworkerset"
    if deployment.replica_gpus > deployment.gpus_per_node:
        return f"{ranks} data-parallel ranks that each span machines are not laid out here"
    if ranks % nodes:
        return f"{ranks} data-parallel ranks are not spread evenly over {nodes} machines"
    if deployment.version < ranks_over_nodes_since():
        since = format_version(ranks_over_nodes_since())
        return f"vLLM spreads data-parallel ranks over machines since {since}"
    return None


def render_kinds(
    deployment: Deployment, kinds: Collection[ArtifactKind]
) -> dict[ArtifactKind, str]:
    """Texts of the kinds that apply, in a fixed order; with the files that they read."""
    wanted: set[ArtifactKind] = {
        kind for kind in KINDS if kind in kinds and refusal(kind, deployment) is None
    }
    for kind in tuple(wanted):
        wanted |= {need for need in KINDS[kind].needs if refusal(need, deployment) is None}
    texts: dict[ArtifactKind, str] = {
        kind: KINDS[kind].render(deployment) for kind in KINDS if kind in wanted
    }
    if "readme" in kinds and texts:
        texts["readme"] = readme(deployment, {KINDS[kind].file for kind in texts})
    return texts


def file_name(kind: ArtifactKind) -> str:
    """The name of a kind's file."""
    return README_FILE if kind == "readme" else KINDS[kind].file
