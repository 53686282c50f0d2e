"""Where the weights stay when a pod goes: a claim of the checkpoint's size."""

from __future__ import annotations

from typing import Any

from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.artifacts.documents import yaml_text

_NODE_FOLDER = "/var/lib/huggingface"


def cache_claim(deployment: Deployment) -> str:
    """The name of the claim."""
    return f"{deployment.name}-cache"


def access_mode(deployment: Deployment) -> str:
    """Pods on several nodes read one volume, which not every storage class offers."""
    shared = deployment.replicas > 1 or deployment.nodes > 1
    return "ReadWriteMany" if shared else "ReadWriteOnce"


def model_cache(deployment: Deployment) -> str:
    """A PersistentVolumeClaim for the Hub's cache, apart from what it serves.

    A file of its own, so that deleting the server does not delete what it downloaded.
    """
    mode = access_mode(deployment)
    claim: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": cache_claim(deployment)},
        "spec": {
            "accessModes": [mode],
            "resources": {"requests": {"storage": f"{deployment.cache_gib}Gi"}},
        },
    }
    notes = [
        f"The checkpoint has {deployment.weights_bytes / 1e9:.1f} GB. The storage class is the "
        "cluster's default; spec.storageClassName names another."
    ]
    if mode == "ReadWriteMany":
        notes.append(
            "ReadWriteMany, since pods of several nodes read it: NFS, CephFS, EFS, Filestore."
        )
    return yaml_text(deployment.summary, claim, notes=notes)


def cache_note(deployment: Deployment) -> str:
    """What a file that mounts the claim says of it."""
    return (
        f"Weights stay on the claim {cache_claim(deployment)} (model-cache.yaml). To keep them "
        "on each node instead, replace persistentVolumeClaim by "
        f"hostPath: {{path: {_NODE_FOLDER}, type: DirectoryOrCreate}}."
    )
