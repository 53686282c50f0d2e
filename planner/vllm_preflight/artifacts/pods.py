"""What all Kubernetes objects share: containers, probes, GPUs, volumes and where they run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from vllm_preflight.artifacts.assumptions import assumptions
from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.shell_files import CACHE_IN_IMAGE
from vllm_preflight.artifacts.storage import cache_claim, cache_note
from vllm_preflight.base.units import ceil_div
from vllm_preflight.hardware.gpu import Gpu

Manifest = dict[str, Any]

GPU_RESOURCE = "nvidia.com/gpu"
# GPU feature discovery's label: NVML's name with dashes for spaces.
PRODUCT_LABEL = "nvidia.com/gpu.product"
CACHE_VOLUME = "huggingface-cache"
TOKEN_SECRET = "hf-token"
TOKEN_KEY = "HF_TOKEN"
_PROBE_PERIOD_S = 10
# Of the scheduler's weights from 1 to 100.
_STRONGEST = 100
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def literal(text: str) -> str:
    """`text` for a container's command or args, where Kubernetes expands `$(NAME)`."""
    return text.replace("$", "$$")


def labels(deployment: Deployment) -> Manifest:
    """Labels that tell the plan's pods from others."""
    return {"app.kubernetes.io/name": "vllm", "app.kubernetes.io/instance": deployment.name}


def token_variable() -> Manifest:
    """HF_TOKEN from a secret that need not exist; the token itself is never written."""
    reference = {"name": TOKEN_SECRET, "key": TOKEN_KEY, "optional": True}
    return {"name": TOKEN_KEY, "valueFrom": {"secretKeyRef": reference}}


def resources(deployment: Deployment) -> Manifest:
    """GPUs as limits, which are also requests; CPUs, memory and disk as requests."""
    return {
        "requests": {
            "cpu": str(deployment.cpus_per_node),
            "memory": f"{deployment.memory_gib_per_node}Gi",
            "ephemeral-storage": f"{assumptions().scratch_gib}Gi",
        },
        "limits": {gpu_resource(deployment.gpu): str(deployment.gpus_per_node)},
    }


def gpu_resource(gpu: Gpu) -> str:
    """What the device plugin calls the GPU; a MIG device is a resource of its own."""
    return GPU_RESOURCE if gpu.mig_profile is None else f"nvidia.com/mig-{gpu.mig_profile}"


def probes(deployment: Deployment, port: int = PORT, *, tls: bool = False) -> Manifest:
    """Probes of a server: it may take as long to start as reading its weights takes."""
    scheme = {"scheme": "HTTPS"} if tls else {}
    health = {"httpGet": {"path": "/health", "port": port, **scheme}}
    return {
        "startupProbe": {
            **health,
            "periodSeconds": _PROBE_PERIOD_S,
            "failureThreshold": ceil_div(deployment.load_seconds, _PROBE_PERIOD_S),
        },
        "readinessProbe": {**health, "periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {
            **health,
            "periodSeconds": _PROBE_PERIOD_S,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }


def server_container(
    deployment: Deployment, name: str, command: Sequence[str], args: Sequence[str]
) -> Manifest:
    """A container that runs vLLM. `command` and `args` are written as given."""
    mounts: list[Manifest] = [
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": CACHE_VOLUME, "mountPath": CACHE_IN_IMAGE},
    ]
    if deployment.is_local:
        mounts.append(model_mount(deployment))
    return {
        "name": name,
        "image": deployment.image,
        "command": list(command),
        "args": list(args),
        "env": [token_variable()],
        "resources": resources(deployment),
        "volumeMounts": mounts,
    }


def volumes(deployment: Deployment) -> list[Manifest]:
    """Shared memory for NCCL and vLLM's workers, and the weights: the Hub's cache or a folder.

    Beside a local model's folder the cache holds a tokenizer at most.
    """
    size = f"{deployment.shared_memory_gib_per_node}Gi"
    shared = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}
    if deployment.is_local:
        return [shared, {"name": CACHE_VOLUME, "emptyDir": {}}, model_volume(deployment)]
    claim = {"claimName": cache_claim(deployment)}
    return [shared, {"name": CACHE_VOLUME, "persistentVolumeClaim": claim}]


def model_volume(deployment: Deployment) -> Manifest:
    """A local model's folder, which every node must have."""
    return {"name": "model", "hostPath": {"path": deployment.model, "type": "Directory"}}


def model_mount(deployment: Deployment) -> Manifest:
    """Where containers find the folder: under the path vLLM is given."""
    return {"name": "model", "mountPath": deployment.model, "readOnly": True}


def placement(deployment: Deployment) -> Manifest:
    """Nodes with the GPU planned for, tainted or not; anywhere when its label is not known.

    A preference: without GPU feature discovery no node has the label, and a pod that
    required it would wait for ever.
    """
    tolerations = [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}]
    terms = node_selector_terms(deployment.gpu)
    if not terms:
        return {"tolerations": tolerations}
    preferences = [{"weight": _STRONGEST, "preference": term} for term in terms]
    preferred = {"preferredDuringSchedulingIgnoredDuringExecution": preferences}
    return {"affinity": {"nodeAffinity": preferred}, "tolerations": tolerations}


def node_selector_terms(gpu: Gpu) -> list[Manifest]:
    """Terms that match nodes with the GPU, by GPU feature discovery's product label.

    Shared GPUs are labelled with a suffix and do not match: a plan is for whole ones.
    """
    if gpu.vendor != "NVIDIA":
        return []
    values = product_labels(gpu)
    expression = {"key": PRODUCT_LABEL, "operator": "In", "values": values}
    return [{"matchExpressions": [expression]}] if values else []


def pod_notes(deployment: Deployment) -> list[str]:
    """What a file with pods says above them."""
    notes = [] if deployment.is_local else [cache_note(deployment)]
    if node_selector_terms(deployment.gpu):
        notes.append(
            f"Nodes labelled {PRODUCT_LABEL} by GPU feature discovery are preferred; in a "
            "cluster with several kinds of GPU make that required, for the plan is for this one."
        )
    if deployment.gpu.mig_profile is not None:
        notes.append(
            f"The device plugin offers {gpu_resource(deployment.gpu)} with the MIG strategy "
            f'"mixed"; with "single" it is {GPU_RESOURCE}.'
        )
    return notes


def product_labels(gpu: Gpu) -> list[str]:
    """Values of the product label that mean this GPU."""
    names = (re.sub(r"\s+", "-", name.strip()) for name in gpu.nvml_names)
    return [name for name in names if _LABEL_VALUE.fullmatch(name)]


def pod_template(deployment: Deployment, container: Manifest) -> Manifest:
    """A pod with one vLLM container."""
    return {
        "metadata": {"labels": labels(deployment)},
        "spec": {
            # Variables of services named vllm-… would look like vLLM's own.
            "enableServiceLinks": False,
            "containers": [container],
            "volumes": volumes(deployment),
            **placement(deployment),
        },
    }
