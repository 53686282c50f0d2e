"""The kinds of artefacts: their files, which apply to a plan, and why others do not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from vllm_preflight.artifacts.assumptions import ray_image_with, ray_images
from vllm_preflight.artifacts.charts import helm_values, kserve_file
from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.artifacts.kubernetes import bench_job, kubernetes_file
from vllm_preflight.artifacts.machine import compose_file, systemd_unit
from vllm_preflight.artifacts.multi_node import leader_worker_set, ray_service
from vllm_preflight.artifacts.request import ArtifactKind
from vllm_preflight.artifacts.shell_files import (
    ENV_FILE,
    bench_script,
    docker_script,
    environment_file,
    serve_script,
)
from vllm_preflight.launch.versions import format_version

Render = Callable[[Deployment], str]


@dataclass(frozen=True)
class Kind:
    """One kind of artefact: its file, who writes it, for how many machines it is."""

    file: str
    render: Render
    machines: str = "one"
    needs_env: bool = False
    generates: bool = False


def _ray_service(deployment: Deployment) -> str:
    image = ray_image_with(deployment.version)
    assert image is not None  # refusal() has said so before.
    return ray_service(deployment, image)


KINDS: Mapping[ArtifactKind, Kind] = {
    "serve": Kind("serve.sh", serve_script),
    "env": Kind(ENV_FILE, environment_file, machines="any"),
    "docker": Kind("docker-run.sh", docker_script, needs_env=True),
    "compose": Kind("compose.yaml", compose_file, needs_env=True),
    "systemd": Kind("vllm.service", systemd_unit, needs_env=True),
    "kubernetes": Kind("kubernetes.yaml", kubernetes_file),
    "leaderworkerset": Kind("leaderworkerset.yaml", leader_worker_set, machines="several"),
    "rayservice": Kind("rayservice.yaml", _ray_service, machines="several"),
    "helm": Kind("helm-values.yaml", helm_values),
    "kserve": Kind("kserve.yaml", kserve_file),
    "bench": Kind("bench.sh", bench_script, machines="any", generates=True),
    "bench-job": Kind("bench-job.yaml", bench_job, machines="any", generates=True),
}


def refusal(kind: ArtifactKind, deployment: Deployment) -> str | None:
    """Why this kind is not written for the plan, None when it is."""
    machines = KINDS[kind].machines
    if machines == "one" and deployment.nodes > 1:
        return (
            f"for one machine; the plan spreads one server over {deployment.nodes} "
            "(leaderworkerset, rayservice)"
        )
    if KINDS[kind].generates and deployment.kv_cache_blocks is None:
        return "the model keeps no KV cache and generates no text"
    if machines == "several":
        return _several(kind, deployment)
    return None


def _several(kind: ArtifactKind, deployment: Deployment) -> str | None:
    if deployment.nodes == 1:
        return "for several machines; the plan needs one"
    if deployment.arguments.get("data_parallel_size", 1) > 1:
        return "replicas (data_parallel_size) over several machines are not laid out here"
    if deployment.gpus % deployment.nodes:
        return f"{deployment.gpus} GPUs are not spread evenly over {deployment.nodes} machines"
    if kind == "rayservice" and ray_image_with(deployment.version) is None:
        known = ", ".join(image.vllm for image in ray_images())
        return (
            f"no image of Ray Serve LLM with vLLM {format_version(deployment.version)} is known; "
            f"plan with vllm_version {known}"
        )
    return None


def render_kinds(
    deployment: Deployment, kinds: Collection[ArtifactKind]
) -> dict[ArtifactKind, str]:
    """Texts of the kinds that apply, in a fixed order; with the file of variables they read."""
    wanted: list[ArtifactKind] = [
        kind for kind in KINDS if kind in kinds and refusal(kind, deployment) is None
    ]
    if any(KINDS[kind].needs_env for kind in wanted) and "env" not in wanted:
        wanted = [kind for kind in KINDS if kind in wanted or kind == "env"]
    return {kind: KINDS[kind].render(deployment) for kind in wanted}
