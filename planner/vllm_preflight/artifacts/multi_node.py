"""Several machines for one server: a LeaderWorkerSet, or a KubeRay RayService."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from vllm_preflight.artifacts.assumptions import RayImage
from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.documents import dump_yaml, yaml_text
from vllm_preflight.artifacts.kubernetes import service
from vllm_preflight.artifacts.pods import (
    Manifest,
    labels,
    literal,
    pod_template,
    probes,
    server_container,
)
from vllm_preflight.artifacts.shell_files import CACHE_VOLUME
from vllm_preflight.launch.flags.bearing import find_flag
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import OLDEST_KNOWN

# Set by LeaderWorkerSet in each pod, before the pod's own variables.
_LEADER = "$(LWS_LEADER_ADDRESS)"
_INDEX = "$(LWS_WORKER_INDEX)"
_LEADER_LABEL = "leaderworkerset.sigs.k8s.io/worker-index"
_RAY_PORT = 6379
_RAY_WAIT_S = 5
# The image runs as the user ray.
_RAY_CACHE = "/home/ray/.cache/huggingface"
# What a request gives as JSON text and vLLM's engine takes as an object.
_JSON_ARGUMENTS = ("speculative_config", "limit_mm_per_prompt")


def leader_worker_set(deployment: Deployment) -> str:
    """A LeaderWorkerSet of one group, and a Service before its leader.

    Releases with --nnodes start one process group over the machines by themselves;
    older ones do it through Ray, which their image contains.
    """
    if deployment.version >= _native_since():
        leader, worker = _native_containers(deployment)
    else:
        leader, worker = _ray_containers(deployment)
    leader = {
        **leader,
        "ports": [{"name": "http", "containerPort": PORT}],
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
    front = service(deployment)
    front["spec"]["selector"] = {**labels(deployment), _LEADER_LABEL: "0"}
    return yaml_text(deployment.summary, workload, front)


def _native_since() -> Version:
    flag = find_flag("--nnodes")
    return flag.since if flag and flag.since else OLDEST_KNOWN


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
            "model_id": deployment.model,
            "model_source": deployment.model,
        },
        "engine_kwargs": _engine_arguments(deployment),
        "deployment_config": {
            "autoscaling_config": {"min_replicas": 1, "max_replicas": 1},
            "max_ongoing_requests": deployment.arguments["max_num_seqs"],
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
    return yaml_text(deployment.summary, document)


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
    """Arguments as vLLM's engine takes them: JSON as objects."""
    return {
        name: json.loads(value) if name in _JSON_ARGUMENTS else value
        for name, value in deployment.arguments.items()
    }
