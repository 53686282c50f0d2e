"""Several machines for one server: a LeaderWorkerSet, or a KubeRay RayService."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from vllm_preflight.artifacts.assumptions import RayImage
from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.documents import dump_yaml, yaml_text
from vllm_preflight.artifacts.extra_flags import engine_arguments
from vllm_preflight.artifacts.kubernetes import HTTP, front_name, service
from vllm_preflight.artifacts.pods import (
    CACHE_VOLUME,
    Manifest,
    labels,
    literal,
    pod_notes,
    pod_template,
    probes,
    server_container,
)
from vllm_preflight.artifacts.shell_files import served_name
from vllm_preflight.launch.flags.table import lifetime
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import OLDEST_KNOWN

# Set by LeaderWorkerSet in each pod, before the pod's own variables.
_LEADER = "$(LWS_LEADER_ADDRESS)"
_INDEX = "$(LWS_WORKER_INDEX)"
_LEADER_LABEL = "leaderworkerset.sigs.k8s.io/worker-index"
_RAY_PORT = 6379
# The data-parallel coordinator's: vLLM's documentation, Data Parallel Deployment.
_DP_PORT = 13345
_RAY_WAIT_S = 5
# The image runs as the user ray.
_RAY_CACHE = "/home/ray/.cache/huggingface"
# What a request gives as JSON text and vLLM's engine takes as an object.
_JSON_ARGUMENTS = ("speculative_config", "limit_mm_per_prompt")


def leader_worker_set(deployment: Deployment) -> str:
    """A LeaderWorkerSet of one group, and a Service before its leader.

    Data-parallel ranks are spread over the machines, the leader's API server before all of
    them. One rank over the machines: releases with --nnodes start one process group by
    themselves; older ones do it through Ray, which their image contains.
    """
    if deployment.data_parallel_size > 1:
        leader, worker = _rank_containers(deployment)
    elif deployment.version >= _native_since():
        leader, worker = _native_containers(deployment)
    else:
        leader, worker = _ray_containers(deployment)
    leader = {
        **leader,
        "ports": [{"name": HTTP, "containerPort": PORT}],
        **probes(deployment),
    }
    workload: Manifest = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "replicas": 1,
            "leaderWorkerTemplate": {
                "size": deployment.nodes,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": pod_template(deployment, leader),
                "workerTemplate": pod_template(deployment, worker),
            },
        },
    }
    front = service(deployment, front_name(deployment))
    front["spec"]["selector"] = {**labels(deployment), _LEADER_LABEL: "0"}
    return yaml_text(deployment.summary, workload, front, notes=pod_notes(deployment))


def ranks_over_nodes_since() -> Version:
    """The first release that spreads data-parallel ranks over machines."""
    return _since("--data-parallel-size-local")


def _native_since() -> Version:
    return _since("--nnodes")


def _since(spelling: str) -> Version:
    life = lifetime(spelling)
    return life.since if life and life.since else OLDEST_KNOWN


def _rank_containers(deployment: Deployment) -> tuple[Manifest, Manifest]:
    local = deployment.data_parallel_size // deployment.nodes
    group = ["--data-parallel-size-local", str(local), "--data-parallel-address", _LEADER]
    group += ["--data-parallel-rpc-port", str(_DP_PORT)]
    leader = [*map(literal, deployment.serve_words(port=PORT)), *group]
    worker = [*map(literal, deployment.serve_words()), *group, "--headless"]
    # A pod knows its place in the group; its first rank is a product, which a shell forms.
    start = f'exec vllm serve "$@" --data-parallel-start-rank "$((LWS_WORKER_INDEX * {local}))"'
    return (
        server_container(deployment, "leader", ["vllm", "serve"], leader),
        server_container(deployment, "worker", _shell(start), worker),
    )


def _native_containers(deployment: Deployment) -> tuple[Manifest, Manifest]:
    group = ["--distributed-executor-backend", "mp", "--nnodes", str(deployment.nodes)]
    group += ["--master-addr", _LEADER]
    serve = [literal(word) for word in deployment.serve_words(port=PORT)]
    leader = [*serve, *group, "--node-rank", "0"]
    worker = [literal(word) for word in deployment.serve_words()]
    worker += [*group, "--node-rank", _INDEX, "--headless"]
    return (
        server_container(deployment, "leader", ["vllm", "serve"], leader),
        server_container(deployment, "worker", ["vllm", "serve"], worker),
    )


def _ray_containers(deployment: Deployment) -> tuple[Manifest, Manifest]:
    count = "import ray; ray.init(); print(sum(node['Alive'] for node in ray.nodes()))"
    wait = (
        f'ray start --head --port={_RAY_PORT}; until [ "$(python3 -c "{count}" 2>/dev/null '
        f'| tail -n 1)" = {deployment.nodes} ]; do sleep {_RAY_WAIT_S}; done; '
        'exec vllm serve "$@"'
    )
    join = (
        f'until ray start --address="$LWS_LEADER_ADDRESS:{_RAY_PORT}" --block; '
        f"do sleep {_RAY_WAIT_S}; done"
    )
    words = deployment.serve_words("--distributed-executor-backend", "ray", port=PORT)
    return (
        server_container(deployment, "leader", _shell(wait), [literal(word) for word in words]),
        server_container(deployment, "worker", _shell(join), []),
    )


def _shell(script: str) -> Sequence[str]:
    # The last word is $0; arguments follow it.
    return ["bash", "-c", literal(script), "vllm"]


def ray_service(deployment: Deployment, image: RayImage) -> str:
    """A RayService that serves the plan with Ray Serve LLM, one worker pod per machine."""
    config: dict[str, Any] = {
        "model_loading_config": {
            "model_id": served_name(deployment) or deployment.model,
            "model_source": deployment.model,
        },
        "engine_kwargs": _engine_arguments(deployment),
        "deployment_config": {
            "autoscaling_config": {"min_replicas": 1, "max_replicas": 1},
            "max_ongoing_requests": deployment.max_num_seqs,
        },
    }
    application = {
        "name": deployment.name,
        "import_path": "ray.serve.llm:build_openai_app",
        "route_prefix": "/",
        "args": {"llm_configs": [config]},
    }
    serve_config = dump_yaml({"applications": [application]}, width=math.inf)
    worker = _ray_node(deployment, image, "ray-worker")
    head = _ray_node(deployment, image, "ray-head")
    head["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "2", "memory": "8Gi"}}
    document: Manifest = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "serveConfigV2": serve_config,
            "rayClusterConfig": {
                "rayVersion": image.ray,
                "headGroupSpec": {"rayStartParams": {"num-gpus": "0"}, "template": head},
                "workerGroupSpecs": [
                    {
                        "groupName": "gpu",
                        "replicas": deployment.nodes,
                        "minReplicas": deployment.nodes,
                        "maxReplicas": deployment.nodes,
                        "rayStartParams": {"num-gpus": str(deployment.gpus_per_node)},
                        "template": worker,
                    }
                ],
            },
        },
    }
    return yaml_text(deployment.summary, document, notes=pod_notes(deployment))


def _ray_node(deployment: Deployment, image: RayImage, name: str) -> Manifest:
    container = server_container(deployment, name, [], [])
    # KubeRay writes the command that starts Ray.
    for key in ("command", "args"):
        del container[key]
    container["image"] = image.image
    for mount in container["volumeMounts"]:
        if mount["name"] == CACHE_VOLUME:
            mount["mountPath"] = _RAY_CACHE
    template = pod_template(deployment, container)
    if name == "ray-head":
        container["resources"].pop("limits")
        template["spec"].pop("affinity", None)
    return template


def _engine_arguments(deployment: Deployment) -> dict[str, Any]:
    """Arguments as vLLM's engine takes them: JSON as objects. Ray says the served name."""
    written = {
        name: json.loads(value) if name in _JSON_ARGUMENTS else value
        for name, value in deployment.arguments.items()
    }
    further = engine_arguments(deployment.extra, deployment.version)
    further.pop("served_model_name", None)
    return written | further
