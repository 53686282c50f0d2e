"""Kubernetes objects for one machine: Deployment, Service, and the benchmark's Job."""

from __future__ import annotations

from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.documents import yaml_text
from vllm_preflight.artifacts.pods import (
    Manifest,
    labels,
    literal,
    model_mount,
    model_volume,
    pod_template,
    probes,
    server_container,
    token_variable,
)
from vllm_preflight.artifacts.shell_files import bench_words

# Beyond start-up: pulling an image of some 10 GB.
_IMAGE_PULL_S = 1200
_BENCH_DEADLINE_S = 3600


def kubernetes_file(deployment: Deployment) -> str:
    """A Deployment of one replica and its Service."""
    words = [literal(word) for word in deployment.serve_words(port=PORT)]
    container = {
        **server_container(deployment, "vllm", ["vllm", "serve"], words),
        "ports": [{"name": "http", "containerPort": PORT}],
        **probes(deployment),
    }
    workload: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "replicas": 1,
            # Two pods at once would need the GPUs twice.
            "strategy": {"type": "Recreate"},
            "progressDeadlineSeconds": deployment.load_seconds + _IMAGE_PULL_S,
            "selector": {"matchLabels": labels(deployment)},
            "template": pod_template(deployment, container),
        },
    }
    return yaml_text(deployment.summary, workload, service(deployment))


def service(deployment: Deployment) -> Manifest:
    """A Service before the plan's server."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "selector": labels(deployment),
            "ports": [{"name": "http", "port": PORT, "targetPort": PORT}],
        },
    }


def bench_job(deployment: Deployment) -> str:
    """A Job that sends the plan's workload to the Service."""
    name = f"{deployment.name}-bench"
    words = bench_words(deployment, f"http://{deployment.name}:{PORT}")
    container = {
        "name": "bench",
        "image": deployment.image,
        "command": ["vllm"],
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
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": _BENCH_DEADLINE_S,
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [container], **volumes},
            },
        },
    }
    return yaml_text(deployment.summary, job)
