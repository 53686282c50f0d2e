"""Clusters: a Kubernetes API that answers over HTTP, a real local Ray, and what is planned."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
import yaml
from tests.quiet_http import QuietHTTPServer

from vllm_preflight.base.errors import InvalidRequest, NoGpuDetected
from vllm_preflight.contract.hardware import DetectRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.fleet import ray as fleet_ray
from vllm_preflight.hardware.fleet.fleet import fleet_source, read_fleet, share_of
from vllm_preflight.hardware.fleet.nodes import Fleet, FleetNode
from vllm_preflight.hardware.report import detection_answer
from vllm_preflight.hardware.select import select_hardware
from vllm_preflight.questions.plan import plan_deployment

H100 = {"product": "NVIDIA-H100-80GB-HBM3", "memory": "81559", "major": "9", "minor": "0"}
A100 = {"product": "NVIDIA-A100-SXM4-40GB", "memory": "40960", "major": "8", "minor": "0"}
HAS_RAY = importlib.util.find_spec("ray") is not None


def node(name: str, gpus: int = 8, labels: dict[str, str] | None = None, **more: Any) -> Any:
    """A node as the API lists it, with the labels of GPU feature discovery."""
    facts = H100 if labels is None else labels
    written = {
        "nvidia.com/gpu.product": facts.get("product"),
        "nvidia.com/gpu.memory": facts.get("memory"),
        "nvidia.com/gpu.compute.major": facts.get("major"),
        "nvidia.com/gpu.compute.minor": facts.get("minor"),
        "nvidia.com/gpu.replicas": facts.get("replicas", "1"),
    }
    return {
        "metadata": {"name": name, "labels": {k: v for k, v in written.items() if v}},
        "spec": {"unschedulable": True} if more.get("cordoned") else {},
        "status": {
            "allocatable": {"cpu": "64", "nvidia.com/gpu": str(gpus), **more.get("other", {})},
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "False" if more.get("down") else "True"},
            ],
        },
    }


class Cluster:
    """A server that speaks as much of the Kubernetes API as listing nodes takes."""

    def __init__(self, folder: Path) -> None:
        self.nodes: list[Any] = []
        self.status = 200
        self.pages = 0
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cluster.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                del format, args

        self.server = QuietHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.config = folder / "kubeconfig"
        self.config.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [
                        {
                            "name": "c",
                            "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"},
                        }
                    ],
                    "users": [{"name": "u", "user": {}}],
                }
            ),
            encoding="utf-8",
        )

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One page of nodes, three to a page."""
        url = urlparse(handler.path)
        assert url.path == "/api/v1/nodes"
        self.pages += 1
        start = int(parse_qs(url.query).get("continue", ["0"])[0])
        more = str(start + 3) if start + 3 < len(self.nodes) else ""
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "NodeList",
            "metadata": {"resourceVersion": "1", "continue": more},
            "items": self.nodes[start : start + 3],
        }
        if self.status != 200:
            body = {"kind": "Status", "reason": "Forbidden", "code": self.status}
        data = json.dumps(body).encode()
        handler.send_response(self.status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(made.config))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_nodes_are_read_by_their_labels(cluster: Cluster) -> None:
    cluster.nodes = [node("a"), node("cpu", 0, {}), node("b", 4, A100), *map(node, "cde")]
    fleet = read_fleet("kubernetes")
    assert cluster.pages == 2
    assert [(n.name, n.gpus, n.gpu.name) for n in fleet.nodes] == [
        ("a", 8, "H100 SXM5 80GB"),
        ("b", 4, "A100 SXM4 40GB"),
        ("c", 8, "H100 SXM5 80GB"),
        ("d", 8, "H100 SXM5 80GB"),
        ("e", 8, "H100 SXM5 80GB"),
    ]
    assert fleet.nodes[0].gpu.visible_bytes == find_gpu("H100").visible_bytes
    assert fleet.notes == ("GPUs that running pods hold are counted as available.",)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (node("x", cordoned=True), "Node x is cordoned."),
        (node("x", down=True), "Node x is not ready."),
        (node("x", 0, {}, other={"nvidia.com/mig-1g.10gb": "7"}), "MIG"),
        (node("x", labels={**H100, "product": "NVIDIA-H100-80GB-HBM3-SHARED"}), "shares its GPUs"),
        (node("x", labels={**H100, "replicas": "4"}), "shares its GPUs"),
        (node("x", labels={}), "does not say which GPU"),
        (node("x", labels={"product": "Foo-9000"}), "Foo-9000, whose memory is not known"),
    ],
)
def test_nodes_that_cannot_be_planned_for_are_left_out_with_the_reason(
    cluster: Cluster, item: Any, says: str
) -> None:
    cluster.nodes = [item, node("good")]
    fleet = read_fleet("kubernetes")
    assert [found.name for found in fleet.nodes] == ["good"]
    assert says in " ".join(fleet.notes)


def test_a_gpu_outside_the_catalogue_is_known_by_its_memory(cluster: Cluster) -> None:
    labels = {"product": "Foo-9000", "memory": "65536", "major": "9", "minor": "0"}
    cluster.nodes = [node("x", labels=labels)]
    (found,) = read_fleet("kubernetes").nodes
    assert found.gpu.name == "Foo 9000" and found.gpu.compute_capability == (9, 0)
    assert 60 * 2**30 < found.gpu.visible_bytes < 64 * 2**30


def test_a_card_without_a_memory_label_is_the_catalogues(cluster: Cluster) -> None:
    cluster.nodes = [node("x", labels={"product": "NVIDIA-H100-80GB-HBM3"})]
    (found,) = read_fleet("kubernetes").nodes
    assert found.gpu == find_gpu("H100")


def test_what_keeps_the_api_from_answering_is_said(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster.status = 403
    with pytest.raises(NoGpuDetected, match="does not answer: Forbidden"):
        read_fleet("kubernetes")
    cluster.server.shutdown()
    cluster.server.server_close()
    with pytest.raises(NoGpuDetected, match="does not answer"):
        read_fleet("kubernetes")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(NoGpuDetected, match="does not answer"):
        read_fleet("kubernetes")


@pytest.mark.parametrize(
    ("source", "module", "says"),
    [("kubernetes", "kubernetes.client", "Kubernetes client"), ("ray", "ray", "Ray is not")],
)
def test_a_missing_client_is_said(
    monkeypatch: pytest.MonkeyPatch, source: Any, module: str, says: str
) -> None:
    real = importlib.import_module

    def import_module(name: str, package: str | None = None) -> Any:
        if name == module:
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(NoGpuDetected, match=says) as error:
        read_fleet(source)
    assert "vllm-preflight[cluster]" in error.value.hint


def test_a_ray_that_cannot_be_loaded_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def import_module(name: str, package: str | None = None) -> Any:
        # As AMD's binding, which Ray loads, does without AMD's library.
        print("Unable to find libamd_smi.so")
        raise KeyError("libamd_smi.so")

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(NoGpuDetected, match=r"Ray cannot be loaded: KeyError: 'libamd_smi\.so'"):
        read_fleet("ray")
    assert capsys.readouterr().out == ""


def test_a_plan_targets_the_cluster(cluster: Cluster) -> None:
    cluster.nodes = [node("a"), node("b"), node("c", 4)]
    request = validate_request(
        PlanRequest, {"model": "deepseek-ai/DeepSeek-R1", "gpu": "fleet:kubernetes"}
    )
    plan = plan_deployment(request)
    assert plan.hardware.gpu == "H100 SXM5 80GB"
    assert (plan.hardware.gpus_available, plan.hardware.nodes) == (16, 2)
    assert plan.feasibility.fits
    assert plan.hardware.gpus == 16
    assert any("2 × 8 of the 20 GPUs on 3 nodes" in warning for warning in plan.warnings)


def test_detection_lists_the_nodes(cluster: Cluster) -> None:
    cluster.nodes = [node("a"), node("b", cordoned=True)]
    answer = detection_answer(DetectRequest(cluster="kubernetes")).to_json_dict()
    assert answer["gpus"] == []
    assert answer["nodes"] == [
        {
            "node": "a",
            "gpu": "H100 SXM5 80GB",
            "gpus": 8,
            "reported": "NVIDIA-H100-80GB-HBM3",
            "visible_gib": 79.19,
        }
    ]
    assert "Node b is cordoned." in answer["reason"]
    assert 'gpu="fleet:kubernetes"' in answer["next_steps"][0]


def fleet_of(*counts: int, gpu: str = "H100") -> Fleet:
    nodes = [FleetNode(f"n{i}", find_gpu(gpu), count, gpu) for i, count in enumerate(counts)]
    return Fleet("ray", tuple(nodes))


@pytest.mark.parametrize(
    ("counts", "gpus", "nodes", "layout"),
    [
        ((8, 8), None, None, (2, 8)),
        ((8, 8, 4), None, None, (2, 8)),
        ((8, 4, 4, 4), None, None, (4, 4)),
        ((8, 8), 8, None, (1, 8)),
        ((4, 4), 8, None, (2, 4)),
        ((8, 8), None, 1, (1, 8)),
        ((8, 4), None, 2, (2, 4)),
        ((8, 8), 4, 2, (2, 2)),
        ((8, 8, 8), 12, None, (2, 6)),
    ],
)
def test_every_machine_gives_as_many(
    counts: tuple[int, ...], gpus: int | None, nodes: int | None, layout: tuple[int, int]
) -> None:
    share = share_of(fleet_of(*counts), gpus, nodes)
    assert (share.nodes, share.gpus_per_node) == layout


@pytest.mark.parametrize(
    ("gpus", "nodes", "says"),
    [(17, None, "cannot give evenly"), (None, 3, "2 nodes"), (9, 2, "cannot give evenly")],
)
def test_more_than_there_is_is_refused(gpus: int | None, nodes: int | None, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        share_of(fleet_of(8, 8), gpus, nodes)


def test_of_different_gpus_the_smallest_used_decides() -> None:
    mixed = Fleet("ray", fleet_of(8, 8).nodes + fleet_of(8, gpu="A100-40GB").nodes)
    share = share_of(mixed, None, None)
    assert share.gpu == find_gpu("A100-40GB") and share.nodes == 3
    assert "the smallest, A100 SXM4 40GB, decides" in " ".join(share.notes)
    # Fewer machines take the larger ones.
    assert share_of(mixed, 16, None).gpu == find_gpu("H100")


def test_an_empty_fleet_says_why() -> None:
    with pytest.raises(NoGpuDetected, match=r"offers no GPU\. Node x is cordoned"):
        share_of(Fleet("kubernetes", (), ("Node x is cordoned.",)), None, None)


def test_fleets_are_named_by_their_cluster() -> None:
    assert fleet_source("Fleet:Ray") == "ray"
    assert fleet_source("H100") is None
    with pytest.raises(InvalidRequest, match="fleet:ray or fleet:kubernetes"):
        fleet_source("fleet:slurm")


@pytest.mark.parametrize(
    ("resources", "found"),
    [
        ({"GPU": 8.0, "accelerator_type:H100": 1.0}, ("H100 SXM5 80GB", 8)),
        (
            {"GPU": 4.0, "accelerator_type:A100": 1.0, "accelerator_type:A100-80G": 1.0},
            ("A100 SXM4 80GB", 4),
        ),
        ({"CPU": 8.0}, None),
        ({"GPU": 8.0}, "does not say"),
        ({"GPU": 8.0, "accelerator_type:A100": 1.0}, "leaves open"),
    ],
)
def test_ray_nodes_are_read_by_their_resources(
    monkeypatch: pytest.MonkeyPatch, resources: dict[str, float], found: Any
) -> None:
    nodes = [
        {"Alive": True, "NodeManagerHostname": "n", "Resources": resources},
        {"Alive": False, "NodeManagerHostname": "dead", "Resources": {"GPU": 8.0}},
    ]
    monkeypatch.setattr(fleet_ray, "_list_nodes", lambda: nodes)
    fleet = read_fleet("ray")
    if isinstance(found, tuple):
        assert [(n.gpu.name, n.gpus) for n in fleet.nodes] == [found]
    else:
        assert fleet.nodes == ()
        assert found is None or found in " ".join(fleet.notes)


@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_real_ray_cluster_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = importlib.import_module("ray.cluster_utils")
    cluster = module.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        for gpus, kind in ((8, "H100"), (8, "H100"), (4, "A100-80G")):
            cluster.add_node(num_cpus=1, num_gpus=gpus, resources={f"accelerator_type:{kind}": 1})
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        fleet = read_fleet("ray")
        assert sorted((n.reported, n.gpus) for n in fleet.nodes) == [
            ("A100-80G", 4), ("H100", 8), ("H100", 8),
        ]  # fmt: skip
        hardware = select_hardware(
            validate_request(PlanRequest, {"model": "m", "gpu": "fleet:ray"})
        )
        assert (hardware.gpu.name, hardware.gpus, hardware.nodes) == ("H100 SXM5 80GB", 16, 2)
        answer = detection_answer(DetectRequest(cluster="ray"))
        assert answer.nodes is not None and len(answer.nodes) == 3
    finally:
        cluster.shutdown()
