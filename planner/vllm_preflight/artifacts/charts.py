"""Values for Helm charts: vLLM's production stack, and llm-d's model service."""

from __future__ import annotations

import json
from typing import Any

from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.documents import yaml_text
from vllm_preflight.artifacts.kubernetes import HTTP
from vllm_preflight.artifacts.pods import (
    TOKEN_KEY,
    TOKEN_SECRET,
    Manifest,
    gpu_resource,
    labels,
    literal,
    model_mount,
    model_volume,
    node_selector_terms,
    placement,
    pod_notes,
    probes,
    server_container,
    volumes,
)
from vllm_preflight.artifacts.shell_files import served_name
from vllm_preflight.artifacts.storage import access_mode

# The chart joins release, model and chart names to a host name of at most 63 characters.
_LONGEST_NAME = 30


def helm_values(deployment: Deployment) -> str:
    """Values for the chart `vllm-stack` (helm/values.schema.json of the production stack).

    Arguments go through extraArgs as text: Helm reads numbers as floats and would write
    1e+06 for a million. The chart itself adds the model, a flag for prefix caching whether
    it is asked for or not, and /dev/shm where it is given the tensor-parallel size. With
    pvcStorage it keeps the Hub's cache on a claim that it makes.
    """
    one = deployment.replica
    own = ("enable_prefix_caching", "tensor_parallel_size")
    others = {k: v for k, v in one.arguments.items() if k not in own}
    words = one.with_arguments(others).serve_words()[1:]
    model: Manifest = {
        "name": deployment.name.removeprefix("vllm-")[:_LONGEST_NAME].strip("-"),
        "repository": deployment.image_repository,
        "tag": deployment.image_tag,
        "modelURL": literal(deployment.model),
        "replicaCount": deployment.replicas,
        "requestCPU": one.cpus_per_node,
        "requestMemory": f"{one.memory_gib_per_node}Gi",
        "requestGPU": one.gpus,
        "requestGPUType": gpu_resource(deployment.gpu),
        "shmSize": f"{one.shared_memory_gib_per_node}Gi",
        "vllmConfig": {
            "enablePrefixCaching": one.arguments.get("enable_prefix_caching") is not False,
            "tensorParallelSize": one.arguments.get("tensor_parallel_size", 1),
            "extraArgs": [literal(word) for word in words],
        },
    }
    if deployment.is_local:
        model["extraVolumes"] = [model_volume(deployment)]
        model["extraVolumeMounts"] = [model_mount(deployment)]
    else:
        model["pvcStorage"] = f"{deployment.cache_gib}Gi"
        model["pvcAccessMode"] = [access_mode(deployment)]
        model["hf_token"] = {"secretName": TOKEN_SECRET, "secretKey": TOKEN_KEY}
    engine = {
        "enableEngine": True,
        "modelSpec": [model],
        "startupProbe": probes(deployment)["startupProbe"],
        "tolerations": placement(deployment)["tolerations"],
    }
    return yaml_text(deployment.summary, {"servingEngineSpec": engine}, notes=_notes(deployment))


def _notes(deployment: Deployment) -> list[str]:
    terms = node_selector_terms(deployment.gpu)
    if not terms:
        return []
    return [
        "The chart can only require a kind of node, which would wait for ever without GPU "
        f"feature discovery; with it, add to the model: nodeSelectorTerms: {json.dumps(terms)}"
    ]


def llm_d_values(deployment: Deployment) -> str:
    """Values for the chart `llm-d-modelservice`: all servers decode, none only prefills.

    With modelCommand "custom" the chart adds nothing to the command; without the routing
    proxy vLLM listens on the service's port itself.
    """
    one = deployment.replica
    words = [literal(word) for word in one.serve_words(port=PORT)]
    container = {
        **server_container(one, "vllm", ["vllm", "serve"], words),
        "modelCommand": "custom",
        "mountModelVolume": False,
        "ports": [{"name": HTTP, "containerPort": PORT}],
        **probes(one),
    }
    ranks = one.data_parallel_size
    tensor = one.arguments.get("tensor_parallel_size", 1)
    decode: dict[str, Any] = {
        "create": True,
        "replicas": deployment.replicas,
        "parallelism": {"tensor": tensor, "data": ranks, "dataLocal": ranks},
        "containers": [container],
        "volumes": volumes(one),
        "extraConfig": placement(one),
    }
    document = {
        "modelArtifacts": {
            "name": served_name(deployment) or deployment.model,
            "uri": f"hf://{deployment.model}",
            "labels": {**labels(deployment), "llm-d.ai/model": deployment.name},
        },
        "accelerator": {
            "type": "nvidia",
            "resources": {"nvidia": gpu_resource(deployment.gpu)},
        },
        "routing": {"servicePort": PORT, "proxy": {"enabled": False}},
        "decode": decode,
        "prefill": {"create": False},
    }
    return yaml_text(deployment.summary, document, notes=pod_notes(deployment))
