"""Objects for KServe: an InferenceService on a runtime of its own, or an LLMInferenceService."""

from __future__ import annotations

from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.documents import yaml_text
from vllm_preflight.artifacts.pods import (
    Manifest,
    labels,
    literal,
    placement,
    pod_notes,
    probes,
    server_container,
    volumes,
)
from vllm_preflight.artifacts.shell_files import served_name

# KServe's own default, which its probes and routes expect.
_KSERVE_PORT = 8080
_KSERVE_CONTAINER = "kserve-container"
_FORMAT = "vllm"
# What KServe calls a server's container, and where it puts the certificate its routes expect.
_LLM_CONTAINER = "main"
_TLS = "/var/run/kserve/tls/tls"


def kserve_file(deployment: Deployment) -> str:
    """A ServingRuntime with vLLM's own image and arguments, and an InferenceService on it."""
    one = deployment.replica
    words = one.serve_words(port=_KSERVE_PORT)
    container = {
        **server_container(
            one,
            _KSERVE_CONTAINER,
            ["vllm", "serve"],
            [_untemplated(literal(word)) for word in words],
        ),
        "ports": [{"containerPort": _KSERVE_PORT, "protocol": "TCP"}],
        **probes(one, _KSERVE_PORT),
    }
    runtime: Manifest = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "supportedModelFormats": [{"name": _FORMAT, "version": "1"}],
            "containers": [container],
            "volumes": volumes(one),
            **placement(one),
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
                "minReplicas": deployment.replicas,
                "maxReplicas": deployment.replicas,
                "model": {"modelFormat": {"name": _FORMAT}, "runtime": deployment.name},
            }
        },
    }
    return yaml_text(deployment.summary, runtime, inference, notes=pod_notes(deployment))


def llm_inference_service(deployment: Deployment) -> str:
    """An LLMInferenceService that runs the plan's command in vLLM's own image.

    KServe merges its defaults beneath the template; a command of one's own replaces theirs.
    The server reads the Hub itself, through the cache, in place of KServe's initializer. A
    scheduler has something to choose where there are several replicas.
    """
    one = deployment.replica
    tls = ("--ssl-certfile", f"{_TLS}.crt", "--ssl-keyfile", f"{_TLS}.key")
    words = [_untemplated(literal(word)) for word in one.serve_words(*tls, port=PORT)]
    container = {
        **server_container(one, _LLM_CONTAINER, ["vllm", "serve"], words),
        **probes(one, tls=True),
    }
    name = served_name(deployment) or deployment.model
    router: Manifest = {"route": {}, "gateway": {}}
    if deployment.replicas > 1:
        router["scheduler"] = {}
    document: Manifest = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LLMInferenceService",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "model": {"uri": f"hf://{deployment.model}", "name": name},
            "storageInitializer": {"enabled": False},
            "replicas": deployment.replicas,
            "template": {"containers": [container], "volumes": volumes(one), **placement(one)},
            "router": router,
        },
    }
    return yaml_text(deployment.summary, document, notes=pod_notes(deployment))


def _untemplated(text: str) -> str:
    """`text` past KServe, which runs a container through a Go template."""
    return text.replace("{{", "{{`{{`}}")
