"""The GPUs of a Kubernetes cluster, from what GPU feature discovery labels its nodes with.

Source of labels and resources: NVIDIA k8s-device-plugin (docs/gpu-feature-discovery).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vllm_preflight.base.errors import NoGpuDetected, UnknownGpu
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.detect import as_gpu
from vllm_preflight.hardware.detected import DetectedGpu
from vllm_preflight.hardware.fleet.nodes import Fleet, FleetNode
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.mig import find_profile

RESOURCE = "nvidia.com/gpu"
_MIG = "nvidia.com/mig-"
_PRODUCT = "nvidia.com/gpu.product"
_MEMORY_MIB = "nvidia.com/gpu.memory"
_MAJOR, _MINOR = "nvidia.com/gpu.compute.major", "nvidia.com/gpu.compute.minor"
_REPLICAS = "nvidia.com/gpu.replicas"
_PAGE = 500
_TIMEOUT_S = 10
_HINT = "Check kubectl get nodes, or name the GPU: gpu=H100, gpus=8."


def read_kubernetes() -> Fleet:
    """The nodes of the cluster that KUBECONFIG, or the pod this runs in, means.

    Raises:
        NoGpuDetected: no client, no configuration, or no answer.
    """
    nodes: list[FleetNode] = []
    notes = ["GPUs that running pods hold are counted as available."]
    for item in _list_nodes():
        found, note = _read(item)
        nodes += [found] if found else []
        notes += [note] if note else []
    return Fleet("kubernetes", tuple(nodes), tuple(notes))


def _list_nodes() -> Iterator[Mapping[str, Any]]:
    try:
        client = importlib.import_module("kubernetes.client")
        config = importlib.import_module("kubernetes.config")
    except ImportError as error:
        raise NoGpuDetected(
            "The Kubernetes client is not installed.",
            "Install it: pip install 'vllm-preflight[cluster]'.",
        ) from error
    try:
        settings = client.Configuration()
        if os.environ.get("KUBERNETES_SERVICE_HOST") and "KUBECONFIG" not in os.environ:
            config.load_incluster_config(client_configuration=settings)
        else:
            path = os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")
            config.load_kube_config(config_file=path, client_configuration=settings)
        # One try: who asks waits for the answer.
        settings.retries = False
        with client.ApiClient(settings) as connection:
            api = client.CoreV1Api(connection)
            more: str | None = None
            while more != "":
                page = api.list_node(limit=_PAGE, _continue=more, _request_timeout=_TIMEOUT_S)
                plain: Mapping[str, Any] = connection.sanitize_for_serialization(page)
                yield from plain["items"]
                more = plain.get("metadata", {}).get("continue") or ""
    except NoGpuDetected:
        raise
    # Errors of the client and of what it stands on have no base of their own.
    except Exception as error:
        reason = getattr(error, "reason", None) or error
        sentence = " ".join(str(reason).split())[:200]
        raise NoGpuDetected(f"The Kubernetes API does not answer: {sentence}.", _HINT) from error


def _read(item: Mapping[str, Any]) -> tuple[FleetNode | None, str | None]:
    """The node where its GPUs can be planned for, else the sentence why not."""
    name = str(item["metadata"]["name"])
    labels: Mapping[str, str] = item["metadata"].get("labels") or {}
    status: Mapping[str, Any] = item.get("status") or {}
    spec: Mapping[str, Any] = item.get("spec") or {}
    conditions: Sequence[Mapping[str, str]] = status.get("conditions") or ()
    allocatable: Mapping[str, str] = status.get("allocatable") or {}
    gpus = int(allocatable.get(RESOURCE, "0"))
    if gpus == 0:
        is_split = any(key.startswith(_MIG) and count != "0" for key, count in allocatable.items())
        return None, f"Node {name} offers MIG instances, which are left out." if is_split else None
    if {item["type"]: item["status"] for item in conditions}.get("Ready") != "True":
        return None, f"Node {name} is not ready."
    if spec.get("unschedulable"):
        return None, f"Node {name} is cordoned."
    product = labels.get(_PRODUCT, "")
    if product.endswith("-SHARED") or int(labels.get(_REPLICAS) or 1) > 1:
        return None, f"Node {name} shares its GPUs between pods; a plan is for whole ones."
    if find_profile(product):
        return None, f"Node {name} offers MIG instances, which are left out."
    if not product:
        return None, f"Node {name} does not say which GPU it has (no label {_PRODUCT})."
    gpu = _gpu(product, labels)
    if gpu is None:
        return None, f"Node {name} has {product}, whose memory is not known."
    return FleetNode(name, gpu, gpus, product), None


def _gpu(product: str, labels: Mapping[str, str]) -> Gpu | None:
    """The GPU by its product label, which is NVML's name with dashes, and its memory label."""
    nvml_name = product.replace("-", " ")
    memory = labels.get(_MEMORY_MIB, "")
    if memory.isdecimal() and int(memory) > 0:
        total = int(memory)
        major, minor = labels.get(_MAJOR, ""), labels.get(_MINOR, "")
        known = major.isdecimal() and minor.isdecimal()
        return as_gpu(
            DetectedGpu(
                index=0,
                name=nvml_name,
                total_mib=total,
                free_mib=total,
                used_mib=0,
                compute_capability=(int(major), int(minor)) if known else None,
            )
        )
    try:
        return find_gpu(nvml_name)
    except UnknownGpu:
        return None
