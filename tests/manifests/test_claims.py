"""GPUs by dynamic resource allocation."""

from __future__ import annotations

import pytest

from vllm_preflight.manifests.read import read_manifest
from vllm_preflight.manifests.servers import Gpus

POD = """
kind: Deployment
metadata: {name: d}
spec:
  template:
    spec:
      resourceClaims: [{name: g, %s: two}]
      containers:
      - name: c
        image: vllm/vllm-openai:v0.19.0
        args: [--model, a/b]
        resources: {claims: [{name: %s}]}
"""
TEMPLATE = """
kind: ResourceClaimTemplate
metadata: {name: two}
spec: {spec: {devices: {requests: [%s]}}}
"""
CLAIM = "kind: ResourceClaim\nmetadata: {name: two}\nspec: {devices: {requests: [%s]}}\n"
PRODUCT = "device.attributes['gpu.nvidia.com'].productName == 'NVIDIA L4'"


def _gpus(claim: str, by: str = "resourceClaimTemplateName", used: str = "g") -> Gpus:
    (server,) = read_manifest(f"{claim}---{POD % (by, used)}", "a.yaml")
    return server.gpus


@pytest.mark.parametrize(
    ("requests", "count", "names"),
    [
        ("{name: r, exactly: {deviceClassName: gpu.nvidia.com, count: 2}}", 2, ()),
        ("{name: r, deviceClassName: gpu.nvidia.com}", 1, ()),
        ("{name: r, deviceClassName: gpu.amd.com, count: 4}", 4, ()),
        (
            "{name: a, exactly: {deviceClassName: gpu.nvidia.com}}, "
            "{name: b, exactly: {deviceClassName: gpu.nvidia.com, count: 3}}, "
            "{name: n, exactly: {deviceClassName: nic.example.com, count: 8}}",
            4,
            (),
        ),
        ("{name: r, exactly: {deviceClassName: gpu.nvidia.com, allocationMode: All}}", None, ()),
        (
            "{name: r, exactly: {deviceClassName: gpu.nvidia.com, selectors: [{cel: {expression: "
            f'"{PRODUCT}"'
            "}}]}}",
            1,
            ("L4",),
        ),
        ("{name: r, exactly: {deviceClassName: nic.example.com, count: 8}}", None, ()),
    ],
)
def test_claims_count_and_name_gpus(
    requests: str, count: int | None, names: tuple[str, ...]
) -> None:
    gpus = _gpus(TEMPLATE % requests)
    assert (gpus.count, gpus.names) == (count, names)
    assert gpus == _gpus(CLAIM % requests, "resourceClaimName")


def test_a_claim_of_another_container_or_input_counts_nothing() -> None:
    request = "{name: r, deviceClassName: gpu.nvidia.com, count: 2}"
    assert _gpus(TEMPLATE % request, used="other").count is None
    assert _gpus((TEMPLATE % request).replace("two", "three")).count is None
