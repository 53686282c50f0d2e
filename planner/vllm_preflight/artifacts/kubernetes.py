"""Kubernetes objects: Deployment, Service, and the benchmark's Job."""

from __future__ import annotations

from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.documents import yaml_text
from vllm_preflight.artifacts.pods import (
    Manifest,
    labels,
    literal,
    model_mount,
    model_volume,
    pod_notes,
    pod_template,
    probes,
    server_container,
    token_variable,
)
from vllm_preflight.artifacts.shell_files import FRESH_SEED, bench_words

HTTP = "http"
# Beyond start-up: pulling an image of some 10 GB.
_IMAGE_PULL_S = 1200
_BENCH_DEADLINE_S = 3600


def kubernetes_file(deployment: Deployment) -> str:
    """A Deployment and its Service; a replica for each independent data-parallel rank."""
    replicas, one = deployment.replicas, deployment.replica
    words = [literal(word) for word in one.serve_words(port=PORT)]
    container = {
        **server_container(one, "vllm", ["vllm", "serve"], words),
        "ports": [{"name": HTTP, "containerPort": PORT}],
        **probes(one),
    }
    # A pod more than planned would need GPUs that may not be there.
    step = {"maxSurge": 0, "maxUnavailable": 1}
    several = {"type": "RollingUpdate", "rollingUpdate": step}
    workload: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "replicas": replicas,
            "strategy": several if replicas > 1 else {"type": "Recreate"},
            "progressDeadlineSeconds": deployment.load_seconds + _IMAGE_PULL_S,
            "selector": {"matchLabels": labels(deployment)},
            "template": pod_template(one, container),
        },
    }
    notes = pod_notes(deployment)
    if replicas > 1:
        notes.append(
            f"{replicas} replicas in place of --data-parallel-size {replicas}: they share "
            "nothing, and as pods they fail, restart and move one by one."
        )
    front = service(deployment, deployment.name)
    return yaml_text(deployment.summary, workload, front, notes=notes)


def service(deployment: Deployment, name: str) -> Manifest:
    """A Service before the plan's server."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels(deployment)},
        "spec": {
            "selector": labels(deployment),
            "ports": [{"name": HTTP, "port": PORT, "targetPort": PORT}],
        },
    }


def front_name(deployment: Deployment) -> str:
    """The Service that requests go to.

    LeaderWorkerSet's controller makes a headless Service with the name of the set, through
    which workers find their leader; one of ours with that name would be in its place.
    """
    several = deployment.replica.nodes > 1
    return f"{deployment.name}-leader" if several else deployment.name


def bench_job(deployment: Deployment) -> str:
    """A Job that sends the plan's workload to the Service, with other prompts each time."""
    words = bench_words(deployment, f"http://{front_name(deployment)}:{PORT}")
    script = f'exec vllm "$@" --seed "{FRESH_SEED}"'
    container = {
        "name": "bench",
        "image": deployment.image,
        # The last word is $0; arguments follow it.
        "command": ["bash", "-c", literal(script), "vllm"],
        "args": [literal(word) for word in words],
        "env": [token_variable()],
    }
    volumes: Manifest = {}
    if deployment.is_local:
        # The benchmark counts tokens with the model's tokenizer.
        container["volumeMounts"] = [model_mount(deployment)]
        volumes = {"volumes": [model_volume(deployment)]}
    job: Manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        # Each run is another Job: kubectl create.
        "metadata": {"generateName": f"{deployment.name}-bench-"},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": _BENCH_DEADLINE_S,
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [container], **volumes},
            },
        },
    }
    return yaml_text(deployment.summary, job)
