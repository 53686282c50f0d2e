"""Kubernetes objects, against Kubernetes' published schemas and those of its extensions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import jsonschema
import kubernetes_validate
import pytest

from vllm_preflight.artifacts.assumptions import ray_image_with
from vllm_preflight.artifacts.charts import helm_values, kserve_file
from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.artifacts.kubernetes import bench_job, kubernetes_file
from vllm_preflight.artifacts.multi_node import leader_worker_set, ray_service
from vllm_preflight.artifacts.pods import product_labels
from vllm_preflight.artifacts.shell_files import bench_words
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.hardware.gpu import Gpu

from .conftest import containers_of, crd, deployment, documents, kubernetes_reads

RELEASES = ("1.30", "1.33", "1.37")


def spread(of: Deployment, nodes: int = 2, **changes: Any) -> Deployment:
    return replace(of, **{"gpus": 16, "nodes": nodes, **changes})


def check(document: Any, release: str) -> None:
    """Kubernetes' own schema where the kind is its own, else the extension's and each pod."""
    if "." in document["apiVersion"].split("/")[0]:
        jsonschema.validate(document, crd(document["kind"]))
        for template in _templates(document):
            _check_pod(template, release)
    else:
        kubernetes_validate.validate(document, release, strict=True)


def _check_pod(template: Any, release: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", **template.get("metadata", {})},
        "spec": template["spec"],
    }
    kubernetes_validate.validate(pod, release, strict=True)


def _templates(document: Any) -> list[Any]:
    found: list[Any] = []
    if document["kind"] == "ServingRuntime":
        spec = {k: v for k, v in document["spec"].items() if k != "supportedModelFormats"}
        return [{"spec": spec}]
    stack: list[Any] = [document]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            members = cast(dict[str, Any], node)
            for key, value in members.items():
                if key.lower().endswith("template") and "spec" in value:
                    found.append(value)
                else:
                    stack.append(value)
        elif isinstance(node, list):
            stack += cast(list[Any], node)
    return found


def files(of: Deployment) -> dict[str, str]:
    """All files for Kubernetes, with the model on one machine and on two."""
    several = spread(of)
    image = ray_image_with(of.version)
    assert image is not None
    return {
        "kubernetes": kubernetes_file(of),
        "bench-job": bench_job(of),
        "kserve": kserve_file(of),
        "leaderworkerset": leader_worker_set(several),
        "older": leader_worker_set(spread(several, version=(0, 10, 2))),
        "rayservice": ray_service(several, image),
    }


@pytest.mark.parametrize("release", RELEASES)
def test_objects_are_valid(release: str) -> None:
    for text in files(deployment()).values():
        for document in documents(text):
            check(document, release)


def test_objects_with_awkward_names_are_valid(hostile: Deployment) -> None:
    for text in files(hostile).values():
        for document in documents(text):
            check(document, RELEASES[-1])


@pytest.mark.parametrize("kind", ["kubernetes", "kserve", "leaderworkerset", "older"])
def test_containers_get_the_words_of_the_plan(hostile: Deployment, kind: str) -> None:
    wanted = list(hostile.serve_words())
    containers = [
        c for document in documents(files(hostile)[kind]) for c in containers_of(document)
    ]
    served = [c for c in containers if c["args"]]
    assert served
    for container in served:
        words = [kubernetes_reads(word, HOME="wrong") for word in container["args"]]
        if kind == "kserve":
            # KServe's Go template turns this back.
            words = [word.replace("{{`{{`}}", "{{") for word in words]
        assert words[: len(wanted)] == wanted
        (mount,) = [m for m in container["volumeMounts"] if m["name"] == "model"]
        assert mount["mountPath"] == wanted[0]


def test_the_benchmark_job_gets_its_words(hostile: Deployment) -> None:
    (document,) = documents(bench_job(hostile))
    (container,) = containers_of(document)
    words = [kubernetes_reads(word) for word in container["args"]]
    assert words == bench_words(hostile, "http://vllm-model:8000")


def test_no_token_is_ever_written() -> None:
    for text in files(deployment()).values():
        for document in documents(text):
            for container in containers_of(document):
                (token,) = [e for e in container["env"] if e["name"] == "HF_TOKEN"]
                assert token["valueFrom"]["secretKeyRef"]["optional"] is True
                assert "value" not in token


def test_pods_ask_for_the_gpus_of_a_machine() -> None:
    several = spread(deployment(), gpus=16, nodes=2)
    group = documents(leader_worker_set(several))[0]
    assert group["spec"]["leaderWorkerTemplate"]["size"] == 2
    for container in containers_of(group):
        assert container["resources"]["limits"] == {"nvidia.com/gpu": "8"}


def test_the_startup_probe_waits_for_the_weights() -> None:
    document = documents(kubernetes_file(deployment(weights_bytes=1_250 * 10**9)))[0]
    (container,) = containers_of(document)
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 600 + 10_000
    assert document["spec"]["progressDeadlineSeconds"] > 600 + 10_000


def test_memory_holds_what_is_offloaded_and_shared() -> None:
    plain = deployment()
    offloading = deployment(arguments={**plain.arguments, "cpu_offload_gb": 9.5})
    assert offloading.memory_gib_per_node == plain.memory_gib_per_node + 2 * 10
    assert plain.memory_gib_per_node > plain.shared_memory_gib_per_node


def test_newer_releases_group_machines_themselves_and_older_ones_through_ray() -> None:
    newer, older = spread(deployment()), spread(deployment(), version=(0, 11, 0))
    leader, worker = containers_of(documents(leader_worker_set(newer))[0])
    assert kubernetes_reads(leader["args"][-3], LWS_LEADER_ADDRESS="host") == "host"
    rank = worker["args"][-2]
    assert kubernetes_reads(rank, LWS_WORKER_INDEX="1") == "1"
    assert worker["args"][-1] == "--headless" and "--headless" not in leader["args"]
    leader, worker = containers_of(documents(leader_worker_set(older))[0])
    script = kubernetes_reads(leader["command"][2], LWS_LEADER_ADDRESS="wrong")
    assert script.startswith("ray start --head") and script.endswith('exec vllm serve "$@"')
    assert "--nnodes" not in leader["args"]
    assert '"$LWS_LEADER_ADDRESS:6379"' in kubernetes_reads(worker["command"][2])


def test_the_ray_service_serves_the_plans_arguments(hostile: Deployment) -> None:
    image = ray_image_with((0, 26, 0))
    assert image is not None and image.ray == "2.58.0"
    (document,) = documents(ray_service(spread(hostile), image))
    (application,) = documents(document["spec"]["serveConfigV2"])[0]["applications"]
    (config,) = application["args"]["llm_configs"]
    assert config["model_loading_config"]["model_source"] == hostile.model
    engine = config["engine_kwargs"]
    assert engine["tokenizer"] == hostile.arguments["tokenizer"]
    assert engine["speculative_config"] == json.loads(hostile.arguments["speculative_config"])
    (group,) = document["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert (group["replicas"], group["rayStartParams"]) == (2, {"num-gpus": "8"})


def test_helm_values_are_the_charts(hostile: Deployment) -> None:
    for of in (deployment(), hostile, deployment(gpu=Gpu("X", "unknown", 2**30, "given"))):
        (values,) = documents(helm_values(of))
        jsonschema.validate(values, crd("production-stack-values"))
        (model,) = values["servingEngineSpec"]["modelSpec"]
        assert kubernetes_reads(model["modelURL"]) == of.model
        words = [kubernetes_reads(word) for word in model["vllmConfig"]["extraArgs"]]
        size = of.arguments.get("tensor_parallel_size")
        shown = ["--tensor-parallel-size", str(size)] if size else []
        assert sorted([of.model, *words, *shown]) == sorted(of.serve_words())


def test_prefix_caching_is_said_to_the_chart_which_would_turn_it_off() -> None:
    for pinned, said in ((None, True), (True, True), (False, False)):
        arguments = {} if pinned is None else {"enable_prefix_caching": pinned}
        (values,) = documents(helm_values(deployment(arguments=arguments)))
        (model,) = values["servingEngineSpec"]["modelSpec"]
        assert model["vllmConfig"]["enablePrefixCaching"] is said
        assert not any("prefix" in word for word in model["vllmConfig"]["extraArgs"])


def test_nodes_are_chosen_by_the_product_label() -> None:
    assert product_labels(find_gpu("H100")) == ["NVIDIA-H100-80GB-HBM3"]
    document = documents(kubernetes_file(deployment(gpu=find_gpu("T4"))))[0]
    affinity = document["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (expression,) = term["matchExpressions"]
    assert expression["key"] == "nvidia.com/gpu.product" and "Tesla-T4" in expression["values"]


def test_an_unknown_gpu_is_placed_anywhere() -> None:
    document = documents(kubernetes_file(deployment(gpu=Gpu("X", "unknown", 2**30, "given"))))[0]
    assert "affinity" not in document["spec"]["template"]["spec"]


def test_product_labels_are_labels_for_the_whole_catalogue() -> None:
    labelled = [gpu for gpu in load_catalog() if gpu.vendor == "NVIDIA" and product_labels(gpu)]
    assert len(labelled) > 20
    for gpu in labelled:
        for label in product_labels(gpu):
            assert len(label) <= 63 and " " not in label


def test_a_misspelt_field_is_seen_in_every_kind() -> None:
    for text in files(deployment()).values():
        for document in documents(text):
            with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
                check({**document, "spec": {**document["spec"], "replicass": 1}}, RELEASES[-1])
            for container in containers_of(document):
                container["comand"] = []
                with pytest.raises(kubernetes_validate.ValidationError):
                    check(document, RELEASES[-1])
                break
