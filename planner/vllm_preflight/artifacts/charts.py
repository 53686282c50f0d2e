"""Values for the Helm chart of vLLM's production stack, and objects for KServe."""

from __future__ import annotations

from typing import Any

from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.artifacts.documents import yaml_text
from vllm_preflight.artifacts.pods import (
    TOKEN_KEY,
    TOKEN_SECRET,
    Manifest,
    labels,
    literal,
    model_mount,
    model_volume,
    node_selector_terms,
    placement,
    probes,
    server_container,
    volumes,
)

# KServe's own default, which its probes and routes expect.
_KSERVE_PORT = 8080
_KSERVE_CONTAINER = "kserve-container"
_FORMAT = "vllm"
# The chart joins release, model and chart names to a host name of at most 63 characters.
_LONGEST_NAME = 30


def helm_values(deployment: Deployment) -> str:
    """Values for the chart `vllm-stack` (helm/values.schema.json of the production stack).

    Arguments go through extraArgs as text: Helm reads numbers as floats and would write
    1e+06 for a million. The chart itself adds the model, a flag for prefix caching whether
    it is asked for or not, and /dev/shm where it is given the tensor-parallel size.
    """
    own = ("enable_prefix_caching", "tensor_parallel_size")
    others = {k: v for k, v in deployment.arguments.items() if k not in own}
    words = deployment.with_arguments(others).serve_words()[1:]
    given = deployment.arguments
    model: dict[str, Any] = {
        "name": deployment.name.removeprefix("vllm-")[:_LONGEST_NAME].strip("-"),
        "repository": deployment.image_repository,
        "tag": deployment.image_tag,
        "modelURL": literal(deployment.model),
        "replicaCount": 1,
        "requestCPU": deployment.cpus_per_node,
        "requestMemory": f"{deployment.memory_gib_per_node}Gi",
        "requestGPU": deployment.gpus,
        "shmSize": f"{deployment.shared_memory_gib_per_node}Gi",
        "vllmConfig": {
            "enablePrefixCaching": given.get("enable_prefix_caching") is not False,
            "tensorParallelSize": given.get("tensor_parallel_size", 1),
            "extraArgs": [literal(word) for word in words],
        },
    }
    if deployment.is_local:
        model["extraVolumes"] = [model_volume(deployment)]
        model["extraVolumeMounts"] = [model_mount(deployment)]
    else:
        model["hf_token"] = {"secretName": TOKEN_SECRET, "secretKey": TOKEN_KEY}
    if terms := node_selector_terms(deployment.gpu):
        model["nodeSelectorTerms"] = terms
    engine = {
        "enableEngine": True,
        "modelSpec": [model],
        "startupProbe": probes(deployment)["startupProbe"],
    }
    return yaml_text(deployment.summary, {"servingEngineSpec": engine})


def kserve_file(deployment: Deployment) -> str:
    """A ServingRuntime with vLLM's own image and arguments, and an InferenceService on it."""
    words = deployment.serve_words(port=_KSERVE_PORT)
    container = {
        **server_container(
            deployment,
            _KSERVE_CONTAINER,
            ["vllm", "serve"],
            [_untemplated(literal(word)) for word in words],
        ),
        "ports": [{"containerPort": _KSERVE_PORT, "protocol": "TCP"}],
        **probes(deployment, _KSERVE_PORT),
    }
    runtime: Manifest = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "supportedModelFormats": [{"name": _FORMAT, "version": "1"}],
            "containers": [container],
            "volumes": volumes(deployment),
            **placement(deployment),
        },
    }
    inference: Manifest = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": deployment.name,
            "labels": labels(deployment),
            # Knative would give up before the weights are read.
            "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment"},
        },
        "spec": {
            "predictor": {
                "minReplicas": 1,
                "maxReplicas": 1,
                "model": {"modelFormat": {"name": _FORMAT}, "runtime": deployment.name},
            }
        },
    }
    return yaml_text(deployment.summary, runtime, inference)


def _untemplated(text: str) -> str:
    """`text` past KServe, which runs a runtime's container through a Go template."""
    return text.replace("{{", "{{`{{`}}")
