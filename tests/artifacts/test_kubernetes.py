"""Kubernetes objects, against Kubernetes' published schemas and those of its extensions."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from dataclasses import replace
from typing import Any, cast

import jsonschema
import kubernetes_validate
import pytest

from vllm_preflight.artifacts.assumptions import ray_image_with
from vllm_preflight.artifacts.charts import helm_values, llm_d_values
from vllm_preflight.artifacts.deployment import Deployment, dns_label
from vllm_preflight.artifacts.kserve import kserve_file, llm_inference_service
from vllm_preflight.artifacts.kubernetes import bench_job, kubernetes_file
from vllm_preflight.artifacts.monitoring import autoscaler, service_monitor
from vllm_preflight.artifacts.multi_node import leader_worker_set, ray_service
from vllm_preflight.artifacts.pods import gpu_resource, product_labels
from vllm_preflight.artifacts.shell_files import bench_words
from vllm_preflight.artifacts.storage import model_cache
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.hardware.gpu import Gpu

from .conftest import containers_of, crd, deployment, documents, kubernetes_reads

RELEASES = ("1.30", "1.33", "1.37")


def spread(of: Deployment, nodes: int = 2, **changes: Any) -> Deployment:
    return replace(of, **{"gpus": 16, "nodes": nodes, **changes})


def replicated(of: Deployment) -> Deployment:
    """Two servers that share nothing, on the GPUs of one machine."""
    return replace(of, arguments={**of.arguments, "data_parallel_size": 2}, gpus=4)


def ranked(of: Deployment, nodes: int = 2) -> Deployment:
    """Data-parallel ranks that share experts, four on each machine."""
    arguments = {**of.arguments, "data_parallel_size": 4 * nodes, "enable_expert_parallel": True}
    return spread(of, nodes, gpus=8 * nodes, arguments=arguments, shares_experts=True)


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
    if document["kind"] == "LLMInferenceService":
        return [{"spec": document["spec"]["template"]}]
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
        "replicas": kubernetes_file(replicated(of)),
        "bench-job": bench_job(of),
        "kserve": kserve_file(of),
        "llminferenceservice": llm_inference_service(of),
        "leaderworkerset": leader_worker_set(several),
        "ranks": leader_worker_set(ranked(of)),
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


@pytest.mark.parametrize(
    "kind", ["kubernetes", "kserve", "llminferenceservice", "leaderworkerset", "ranks", "older"]
)
def test_containers_get_the_words_of_the_plan(hostile: Deployment, kind: str) -> None:
    served_by = ranked(hostile) if kind == "ranks" else hostile
    wanted = list(served_by.serve_words())
    containers = [
        c for document in documents(files(hostile)[kind]) for c in containers_of(document)
    ]
    served = [c for c in containers if c["args"]]
    assert served
    for container in served:
        words = [kubernetes_reads(word, HOME="wrong") for word in container["args"]]
        if kind in ("kserve", "llminferenceservice"):
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
    script = kubernetes_reads(container["command"][2])
    assert script == 'exec vllm "$@" --seed "$(date +%s)"'


def test_the_benchmark_job_asks_the_service_there_is() -> None:
    for of, host in (
        (replicated(deployment()), "vllm-model"),
        (ranked(deployment()), "vllm-model-leader"),
    ):
        (container,) = containers_of(documents(bench_job(of))[0])
        assert f"http://{host}:8000" in container["args"]


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


def test_data_parallel_ranks_are_counted_over_the_machines() -> None:
    leader, worker = containers_of(documents(leader_worker_set(ranked(deployment(), 4)))[0])
    for container in (leader, worker):
        words = [kubernetes_reads(word, LWS_LEADER_ADDRESS="host") for word in container["args"]]
        given = dict(itertools.pairwise(words))
        assert given["--data-parallel-size"] == "16"
        assert given["--data-parallel-size-local"] == "4"
        assert given["--data-parallel-address"] == "host"
        assert container["resources"]["limits"] == {"nvidia.com/gpu": "8"}
    assert leader["command"] == ["vllm", "serve"] and "--headless" not in leader["args"]
    assert worker["args"][-1] == "--headless" and "--port" not in worker["args"]
    script = kubernetes_reads(worker["command"][2])
    done = subprocess.run(
        ["bash", "-c", script.replace("exec vllm", "echo"), "vllm", "a b"],
        env={"LWS_WORKER_INDEX": "3", "PATH": "/usr/bin:/bin"},
        capture_output=True, encoding="utf-8", check=True, timeout=20,
    )  # fmt: skip
    assert done.stdout == "serve a b --data-parallel-start-rank 12\n"


def test_no_service_takes_the_name_of_the_set_nor_one_too_long() -> None:
    # The controller makes a headless Service with the set's name, through which workers find
    # their leader, and labels pods with NAME-0-HASH, in at most 63 characters.
    name = dns_label("x/" + "a" * 100)
    several = spread(deployment(name=name))
    group, front = documents(leader_worker_set(several))
    assert group["kind"] == "LeaderWorkerSet" and front["kind"] == "Service"
    assert front["metadata"]["name"] == f"{group['metadata']['name']}-leader"
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(f"{name}-0-0123456789") == 63
    assert len(f"{name}-leader") <= 63 and len(f"{name}-bench-12345") <= 63


def test_independent_replicas_are_pods() -> None:
    of = replicated(deployment())
    (workload, _) = documents(kubernetes_file(of))
    (container,) = containers_of(workload)
    assert workload["spec"]["replicas"] == 2
    assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert "--data-parallel-size" not in container["args"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert documents(llm_inference_service(of))[0]["spec"]["replicas"] == 2
    assert documents(kserve_file(of))[1]["spec"]["predictor"]["minReplicas"] == 2
    (model,) = documents(helm_values(of))[0]["servingEngineSpec"]["modelSpec"]
    assert (model["replicaCount"], model["requestGPU"]) == (2, 2)
    assert documents(llm_d_values(of))[0]["decode"]["replicas"] == 2


def test_ranks_that_share_experts_stay_one_server() -> None:
    of = replace(replicated(deployment()), shares_experts=True)
    (workload, _) = documents(kubernetes_file(of))
    (container,) = containers_of(workload)
    assert workload["spec"]["replicas"] == 1
    assert "--data-parallel-size" in container["args"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "4"}


@pytest.mark.parametrize("release", RELEASES)
def test_the_claim_holds_the_checkpoint(release: str) -> None:
    for of, mode in (
        (deployment(), "ReadWriteOnce"),
        (replicated(deployment()), "ReadWriteMany"),
        (spread(deployment()), "ReadWriteMany"),
    ):
        (claim,) = documents(model_cache(of))
        kubernetes_validate.validate(claim, release, strict=True)
        assert claim["spec"]["accessModes"] == [mode]
        size = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi"))
        assert of.weights_bytes * 1.2 <= size * 2**30 < of.weights_bytes * 1.2 + 2**30


def test_pods_keep_weights_on_the_claim_and_ask_for_disk() -> None:
    of = deployment()
    (claim,) = documents(model_cache(of))
    for text in files(of).values():
        assert "emptyDir: {}" not in text
        for document in documents(text):
            for template in _templates(document):
                for volume in template["spec"].get("volumes", []):
                    if volume["name"] == "huggingface-cache":
                        named = volume["persistentVolumeClaim"]["claimName"]
                        assert named == claim["metadata"]["name"]
    (container,) = containers_of(documents(kubernetes_file(of))[0])
    assert container["resources"]["requests"]["ephemeral-storage"] == "16Gi"
    assert "hostPath" in kubernetes_file(of).partition("apiVersion")[0]


def test_a_mig_device_is_a_resource_of_its_own() -> None:
    gpu = replace(find_gpu("H100"), mig_profile="3g.40gb")
    assert gpu_resource(gpu) == "nvidia.com/mig-3g.40gb"
    text = kubernetes_file(deployment(gpu=gpu, gpus=1))
    (container,) = containers_of(documents(text)[0])
    assert container["resources"]["limits"] == {"nvidia.com/mig-3g.40gb": "1"}


def test_the_inference_service_speaks_tls_to_the_gateway() -> None:
    (document,) = documents(llm_inference_service(deployment()))
    (container,) = containers_of(document)
    assert container["name"] == "main" and "--ssl-certfile" in container["args"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    assert "scheduler" not in document["spec"]["router"]


def test_values_of_llm_d_are_the_charts(hostile: Deployment) -> None:
    hub = replace(hostile, is_local=False)
    for of in (deployment(), replicated(deployment()), hub):
        (values,) = documents(llm_d_values(of))
        jsonschema.validate(values, crd("llm-d-modelservice-values"))
        (container,) = values["decode"]["containers"]
        words = [kubernetes_reads(word) for word in container["args"]]
        assert words == list(of.replica.serve_words(port=8000))
        fields = {
            k: v for k, v in container.items() if k not in ("modelCommand", "mountModelVolume")
        }
        pod = {"containers": [fields], "volumes": values["decode"]["volumes"]}
        _check_pod({"spec": {**pod, **values["decode"]["extraConfig"]}}, RELEASES[-1])


@pytest.mark.parametrize("release", RELEASES)
def test_metrics_are_read_and_followed(release: str) -> None:
    of = replicated(deployment())
    (monitor,) = documents(service_monitor(of))
    check(monitor, release)
    front = documents(kubernetes_file(of))[1]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= front["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == front["spec"]["ports"][0]["name"]
    (scaler,) = documents(autoscaler(of))
    kubernetes_validate.validate(scaler, release, strict=True)
    spec = scaler["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
    assert spec["scaleTargetRef"]["name"] == documents(kubernetes_file(of))[0]["metadata"]["name"]


def test_the_cache_metric_is_named_as_the_release_names_it() -> None:
    for version, name in (
        ((0, 8, 5), "vllm_gpu_cache_usage_perc"),
        ((0, 9, 1), "vllm_gpu_cache_usage_perc"),
        ((0, 9, 2), "vllm_kv_cache_usage_perc"),
        ((0, 33, 0), "vllm_kv_cache_usage_perc"),
    ):
        (scaler,) = documents(autoscaler(deployment(version=version)))
        found = {metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"]}
        assert found == {"vllm_num_requests_waiting", name}


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


def test_nodes_are_preferred_by_the_product_label() -> None:
    assert product_labels(find_gpu("H100")) == ["NVIDIA-H100-80GB-HBM3"]
    document = documents(kubernetes_file(deployment(gpu=find_gpu("T4"))))[0]
    affinity = document["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    # Without GPU feature discovery no node is labelled: required, a pod would wait for ever.
    assert list(affinity) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    (term,) = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    (expression,) = term["preference"]["matchExpressions"]
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
